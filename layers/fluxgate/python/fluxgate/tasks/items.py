"""Tasks as DynamoDB items. Annotations decide how fields are decoded, so a new field needs no code here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from fluxgate.tasks.model import Deletion, EpochSeconds, Task

T = TypeVar("T")
Decoder = Callable[[Any], Any]

_STORED_UNCHANGED = frozenset({str, int, bool, NoneType})


def to_item(task: Task) -> dict[str, Any]:
    """All fields. The table leaves out those that are None."""
    return {field.name: encode(getattr(task, field.name)) for field in fields(task)} | {
        "expires_at": int(task.expires_at.timestamp())
    }


def from_item(item: Mapping[str, Any]) -> Task:
    """Raises KeyError, TypeError or ValueError if the item is not a task."""
    return _decode(Task, item)


def deletion_from_item(item: Mapping[str, Any]) -> Deletion:
    keys = (image.get("key") for image in item.get("images", ()))
    return Deletion(
        task_id=item["task_id"],
        keys=tuple(key for key in keys if key),
        due_at=datetime.fromisoformat(item["due_at"]) if "due_at" in item else None,
    )


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds. The indexes sort these strings."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode(value: Any) -> Any:
    """The stored form of a field: no empty sets, no None inside maps, datetimes as text."""
    if type(value) in _STORED_UNCHANGED:  # most values
        return value
    stored = value
    match value:
        case datetime():
            stored = timestamp(value)
        case StrEnum():
            stored = value.value
        case tuple():
            stored = [encode(element) for element in value]
        case frozenset():
            stored = {encode(element) for element in value} or None
        case dict():
            stored = {name: encode(part) for name, part in value.items() if part is not None}
        case _ if is_dataclass(value):
            stored = encode(vars(value))
    return stored


def _decode(kind: Callable[..., T], item: Mapping[str, Any]) -> T:
    return kind(**{name: decode(item[name]) for name, decode in _decoders(kind).items() if name in item})


@cache
def _decoders(kind: Callable[..., Any]) -> dict[str, Decoder]:
    return {name: _decoder(hint) for name, hint in get_type_hints(kind, include_extras=True).items()}


def _decoder(hint: Any) -> Decoder:
    """Raises TypeError for an annotation that has no stored form."""
    origin = get_origin(hint)
    if origin in _GENERIC:
        return _GENERIC[origin](get_args(hint))
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_decode, hint)
    raise TypeError(f"no stored form for {hint}")


def _unchanged(value: Any) -> Any:
    return value


def _epoch_seconds(arguments: tuple[Any, ...]) -> Decoder:
    if arguments != get_args(EpochSeconds):
        raise TypeError(f"no stored form for values annotated with {arguments}")
    return lambda seconds: datetime.fromtimestamp(int(seconds), UTC)


def _optional(arguments: tuple[Any, ...]) -> Decoder:
    """An absent attribute stands for None."""
    inner = [argument for argument in arguments if argument is not NoneType]
    if len(inner) != 1:
        raise TypeError(f"no stored form for a union of {inner}")
    return _decoder(inner[0])


def _tuple(arguments: tuple[Any, ...]) -> Decoder:
    if arguments[1:] != (...,):
        raise TypeError(f"no stored form for a tuple of {arguments}")
    decode = _decoder(arguments[0])
    return lambda values: tuple(decode(value) for value in values)


def _frozenset(arguments: tuple[Any, ...]) -> Decoder:
    decode = _decoder(arguments[0])
    return lambda values: frozenset(decode(value) for value in values)


def _map(arguments: tuple[Any, ...]) -> Decoder:
    decode = _decoder(arguments[1])
    return lambda values: {name: decode(value) for name, value in values.items()}


_SIMPLE: dict[Any, Decoder] = {str: _unchanged, bool: _unchanged, int: int, datetime: datetime.fromisoformat}
_GENERIC: dict[Any, Callable[[tuple[Any, ...]], Decoder]] = {
    Annotated: _epoch_seconds,
    Literal: lambda _: _unchanged,
    UnionType: _optional,
    tuple: _tuple,
    frozenset: _frozenset,
    dict: _map,
}
