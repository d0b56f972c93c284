"""Item sizes and capacity units, compared with examples calculated by hand from DynamoDB's rules."""

from collections.abc import Mapping

import pytest

from tests.bench.capacity import Index, Item, Write, item_bytes, read_units

DUE = Index("due", ("due_shard", "due_at"))
OWNER = Index("by_owner", ("owner",))


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"id": {"S": "abc"}}, 2 + 3),
        ({"id": {"S": "ä"}}, 2 + 2),
        ({"n": {"N": "1234567"}}, 1 + 4 + 1),
        ({"n": {"N": "1200"}}, 1 + 1 + 1),  # leading and trailing zeros are not stored
        ({"n": {"N": "-0.5"}}, 1 + 1 + 1 + 1),
        ({"n": {"N": "0"}}, 1 + 1),
        ({"s": {"SS": ["ab", "cde"]}}, 1 + 5),
        ({"b": {"BOOL": True}}, 1 + 1),
        ({"m": {"M": {}}}, 1 + 3),
        ({"l": {"L": [{"M": {"k": {"S": "v"}}}]}}, 1 + 3 + 1 + 3 + 1 + 2),
    ],
)
def test_item_bytes_follows_dynamodbs_rules(item: Item, size: int) -> None:
    assert item_bytes(item) == size


def item(size: int = 500, keys: Mapping[str, str] | None = None, **attributes: str) -> Item:
    """An item of this many bytes."""
    given = {name: {"S": value} for name, value in {**(keys or {}), **attributes}.items()}
    return given | {"p": {"S": "x" * (size - 1 - item_bytes(given))}}


IN_DUE = {"due_shard": "1", "due_at": "12:00"}


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, item(), 1),
        (None, item(1024), 1),
        (None, item(1025), 2),
        (None, item(owner="a", keys=IN_DUE), 3),
        (item(owner="a"), item(owner="a"), 1),  # unchanged: no write to the index
        (item(owner="a"), item(owner="a", status="b"), 2),
        (item(keys=IN_DUE), item(due_shard="1", due_at="12:01"), 3),  # deleted and put, since the key changes
        (item(keys=IN_DUE), item(), 2),
        (item(1500, owner="a"), item(500, owner="a"), 4),  # the larger size counts
        (item(1500, IN_DUE), None, 4),
    ],
)
def test_write_units_include_the_indexes(before: Item | None, after: Item | None, units: int) -> None:
    assert sum(Write(before, after).units([OWNER, DUE]).values()) == units


def test_index_changes_name_each_affected_index() -> None:
    write = Write(item(owner="a", keys=IN_DUE), item(owner="a", due_shard="1", due_at="12:01"))
    assert write.index_changes([OWNER, DUE]) == {"by_owner": "changed", "due": "moved"}
    assert write.units([OWNER, DUE]) == {"table": 1, "by_owner": 1, "due": 2}
    assert Write(item(owner="a", keys=IN_DUE), item(owner="a")).index_changes([DUE]) == {"due": "removed"}


@pytest.mark.parametrize(
    ("size", "consistent", "units"),
    [(0, True, 1), (4096, True, 1), (4097, True, 2), (0, False, 0.5), (9000, False, 1.5)],
)
def test_read_units_depend_on_size_and_consistency(size: int, *, consistent: bool, units: float) -> None:
    assert read_units(size, consistent=consistent) == units
