"""What DynamoDB charges for: the size of an item, and the units that a read or a write of it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
WRITE_UNIT, READ_UNIT = 1024, 4096  # bytes
DOCUMENT = 3  # of a list or a map, beside one byte for each element

TABLE = "table"  # beside the indexes' names

Item = Mapping[str, Any]  # in DynamoDB's JSON


@dataclass(frozen=True)
class Index:
    """It holds whole items: those that have its key."""

    name: str
    key: tuple[str, ...]

    def entry(self, item: Item | None) -> tuple[Any, ...] | None:
        """Where an item stands in the index; None where it does not."""
        if item is None or not all(name in item for name in self.key):
            return None
        return tuple(item[name] for name in self.key)


@dataclass(frozen=True)
class Write:
    """One accepted write of one item: what was stored before and after, None for nothing."""

    before: Item | None
    after: Item | None

    def units(self, indexes: Sequence[Index]) -> dict[str, int]:
        """Of the table, and of each index. One whose key changes is written twice, to remove and to put."""
        larger = max(item_bytes(self.before), item_bytes(self.after))
        return {TABLE: _write_units(larger)} | {index.name: self._index_units(index) for index in indexes}

    def places(self, indexes: Sequence[Index]) -> dict[str, str]:
        """What happens to the item in each index that it is or was in."""
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
    """Of one item that is read by its key, or of one query over items of this size together."""
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
    """One byte for two significant digits, one more, and one for the sign below zero."""
    significant = digits.lstrip("-").replace(".", "").strip("0")
    return math.ceil(len(significant) / 2) + 1 + digits.startswith("-")
