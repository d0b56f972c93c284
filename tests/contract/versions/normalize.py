"""Makes two recordings of the same behaviour equal, and writes them as JSON that people can read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

BEGIN = datetime(2026, 11, 16, 12, tzinfo=UTC)
RETENTION = timedelta(days=30)
BYTES = 204800
KINDS = {"sent_by", "type", "detail_type", "detail-type"}
WIDTH = 160


def normalized(found: Any, number: int, hosts: Mapping[str, str]) -> Any:
    """What was recorded about task `number`, with fixed values for everything that differs between two recordings:

    - moments of one task keep their order, a second apart, from minute `number` after BEGIN on; its expiry is RETENTION
      after that minute, and an event's own time is the minute itself;
    - version 4 UUIDs (the provider's ids, events' ids), attempt ids and hashes of callback tokens are counted;
      task ids, which are version 5 UUIDs and follow from idempotency keys, stay;
    - addresses of this machine become those in `hosts`, and presigned URLs lose their signature;
    - an image's size in bytes, which depends on the library that draws it, is BYTES.
    """
    minute = BEGIN + timedelta(minutes=number)
    text = without_signatures(json.dumps(found))
    for local, public in hosts.items():
        text = text.replace(local, public)
    moments = sorted(set(re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", text)))
    for rank, moment in enumerate(moments):
        text = text.replace(moment, f"{minute + timedelta(seconds=rank):%Y-%m-%dT%H:%M:%S}.123456Z")
    expiry = minute + RETENTION
    text = re.sub(r'("expires_at": {"N": )"\d+"', rf'\1"{int(expiry.timestamp())}"', text)
    text = re.sub(r'("expires_at": )"[^"]+"', rf'\1"{expiry:%Y-%m-%dT%H:%M:%SZ}"', text)
    text = re.sub(r'("time": )"[^"]+"', rf'\1"{minute:%Y-%m-%dT%H:%M:%SZ}"', text)
    text = re.sub(r'("bytes": (?:{"N": ")?)\d+', rf"\g<1>{BYTES}", text)
    uuids = re.findall(r"(?!0{8})[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", text)
    for count, uuid in enumerate(dict.fromkeys(uuids)):
        text = text.replace(uuid, f"00000000-0000-4000-8000-{number:08}{count:04}")
    text = re.sub(r'("attempt_id": {"S": )"[^"]+"', rf'\1"{_hash(number, "attempt")[:16]}"', text)
    tokens = r'(?<="callback_tokens": {"SS": )\[[^]]*\]'
    return json.loads(re.sub(tokens, lambda hashes: json.dumps(_tokens(number, hashes[0].count(",") + 1)), text))


def without_signatures(text: str) -> str:
    """Presigned URLs as everyone may read them."""
    presigned = r"http://[^/\"]+/[^/\"]+/([^?\"]+)\?X-Amz-[^\"]+"
    return re.sub(presigned, r"https://images.example.com/\1?X-Amz-Expires=3600", text)


def distinct(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first entry of each kind and shape."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        found.setdefault(json.dumps(_shape(entry), sort_keys=True), entry)
    return list(found.values())


def _shape(value: Any) -> Any:
    """Names and types; of the fields that tell the kind also the value."""
    if isinstance(value, dict):
        return {name: part if name in KINDS else _shape(part) for name, part in value.items() if name != "about"}
    if isinstance(value, list):
        return sorted({json.dumps(_shape(part), sort_keys=True) for part in value})
    return type(value).__name__


def _tokens(number: int, count: int) -> list[str]:
    return sorted(_hash(number, f"token {n}") for n in range(count))


def _hash(number: int, text: str) -> str:
    return hashlib.sha256(f"{number} {text}".encode()).hexdigest()


def written(value: Any, depth: int = 0, before: int = 0) -> str:
    """JSON whose lines are filled, but for the outermost entries; `before` is the width of what a line begins with."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (depth > 0 and depth + before + len(flat) < WIDTH):
        return flat
    is_dict = isinstance(value, dict)
    lines: list[str] = []
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        label = f"{json.dumps(name)}: " if is_dict else ""
        entry = label + written(part, depth + 1, len(label))
        fills = depth > 0 and lines and (is_dict or not isinstance(part, dict)) and "\n" not in lines[-1] + entry
        if fills and depth + len(lines[-1]) + len(entry) + 4 <= WIDTH:
            lines[-1] += f", {entry}"
        else:
            lines.append(entry)
    margin = " " * depth
    body = ",\n".join(f"{margin} {line}" for line in lines)
    return f"{'{' if is_dict else '['}\n{body}\n{margin}{'}' if is_dict else ']'}"
