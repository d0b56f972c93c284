"""Standard Webhooks: who signs with what, and one signed POST (https://www.standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pydantic import SecretStr

from fluxgate.tasks import scaled

PREFIX = "whsec_"

# Waits after the first, second, … failed attempt, as the specification proposes: about a day and a half in all.
RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000))
LONGEST_WAIT = timedelta(hours=24)  # of those that a receiver may ask for


@dataclass(frozen=True)
class SigningKeys:
    """The stack's keys, the current one first. While a rotation is under way there are two, and both sign."""

    keys: Sequence[SecretStr]

    @classmethod
    def from_secret(cls, secret: SecretStr) -> SigningKeys:
        """The secret is a JSON object with `current` and, while a rotation is under way, `previous`."""
        found = json.loads(secret.get_secret_value())
        return cls([SecretStr(found[name]) for name in ("current", "previous") if found.get(name)])

    def secrets(self, owner: str) -> list[SecretStr]:
        """An owner's secrets, as it configures them at its receiver, the current one first."""
        digests = [
            hmac.digest(key.get_secret_value().encode(), f"webhook\n{owner}".encode(), "sha256") for key in self.keys
        ]
        return [SecretStr(PREFIX + base64.b64encode(digest).decode()) for digest in digests]

    def headers(self, owner: str, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
        timestamp = str(int(now.timestamp()))
        signed = b".".join([message_id.encode(), timestamp.encode(), body])
        signatures = [_sign(secret, signed) for secret in self.secrets(owner)]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(signatures),
            "content-type": "application/json",
        }


def _sign(secret: SecretStr, signed: bytes) -> str:
    key = base64.b64decode(secret.get_secret_value().removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def next_attempt(attempts: int, retry_after: str | None, now: datetime) -> datetime | None:
    """When to try again after so many failed attempts, not before the receiver wants it; None: never again."""
    if attempts > len(RETRY_AFTER):
        return None
    return now + scaled(max(RETRY_AFTER[attempts - 1], min(_wait(retry_after, now), LONGEST_WAIT)))


def _wait(retry_after: str | None, now: datetime) -> timedelta:
    """RFC 9110, 10.2.3: seconds or a date. Anything else counts as nothing."""
    if not retry_after:
        return timedelta(0)
    if retry_after.isascii() and retry_after.isdigit():
        return timedelta(seconds=min(int(retry_after), int(LONGEST_WAIT.total_seconds())))
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return timedelta(0)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
