"""Computes item sizes and the capacity units of reads and writes by DynamoDB's rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
WRITE_UNIT, READ_UNIT = 1024, 4096  # bytes
DOCUMENT = 3  # bytes of overhead of a list or map, plus one byte for each element

TABLE = "table"  # a key next to the indexes' names

Item = Mapping[str, Any]  # DynamoDB JSON


@dataclass(frozen=True)
class Index:
    """Projects all attributes of the items that have its key."""

    name: str
    key: tuple[str, ...]

    def entry(self, item: Item | None) -> tuple[Any, ...] | None:
        """The item's key in the index; None if the index does not contain it."""
        if item is None or not all(name in item for name in self.key):
            return None
        return tuple(item[name] for name in self.key)


@dataclass(frozen=True)
class Write:
    """One accepted write of one item. None stands for no item before or after."""

    before: Item | None
    after: Item | None

    def units(self, indexes: Sequence[Index]) -> dict[str, int]:
        """Write units of the table and of each index. A changed index key takes two writes: a delete and a put."""
        larger = max(item_bytes(self.before), item_bytes(self.after))
        return {TABLE: _write_units(larger)} | {index.name: self._index_units(index) for index in indexes}

    def index_changes(self, indexes: Sequence[Index]) -> dict[str, str]:
        """put, removed, moved or changed, for each index affected."""
        return {index.name: change for index in indexes if (change := self._change(index))}

    def _change(self, index: Index) -> str:
        old, new = index.entry(self.before), index.entry(self.after)
        if old is None or new is None:
            return "removed" if old else "put" if new else ""
        return "moved" if old != new else "changed" if self.before != self.after else ""

    def _index_units(self, index: Index) -> int:
        before, after = item_bytes(self.before), item_bytes(self.after)
        match self._change(index):
            case "put":
                return _write_units(after)
            case "removed":
                return _write_units(before)
            case "moved":
                return _write_units(before) + _write_units(after)
            case "changed":
                return _write_units(max(before, after))
        return 0


def read_units(size: int, *, consistent: bool) -> float:
    """Units of reading one item, or of one query over items with this total size in bytes."""
    return max(math.ceil(size / READ_UNIT), 1) * (1 if consistent else 0.5)


def item_bytes(item: Item | None) -> int:
    return sum(len(name.encode()) + _value_bytes(value) for name, value in (item or {}).items())


def _write_units(size: int) -> int:
    return max(math.ceil(size / WRITE_UNIT), 1)


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_bytes(content)
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "BOOL" | "NULL":
            return 1
        case "L":
            return DOCUMENT + sum(1 + _value_bytes(element) for element in content)
        case "M":
            return DOCUMENT + len(content) + item_bytes(content)
    raise NotImplementedError(kind)


def _number_bytes(digits: str) -> int:
    """One byte for every two significant digits, one byte more, and one for a negative sign."""
    significant = digits.lstrip("-").replace(".", "").strip("0")
    return math.ceil(len(significant) / 2) + 1 + digits.startswith("-")
