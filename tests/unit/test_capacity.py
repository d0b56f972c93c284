"""Sizes and units, against examples worked out by hand from DynamoDB's rules."""

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
        ({"n": {"N": "1200"}}, 1 + 1 + 1),  # zeros at the ends are not stored
        ({"n": {"N": "-0.5"}}, 1 + 1 + 1 + 1),
        ({"n": {"N": "0"}}, 1 + 1),
        ({"s": {"SS": ["ab", "cde"]}}, 1 + 5),
        ({"b": {"BOOL": True}}, 1 + 1),
        ({"m": {"M": {}}}, 1 + 3),
        ({"l": {"L": [{"M": {"k": {"S": "v"}}}]}}, 1 + 3 + 1 + 3 + 1 + 2),
    ],
)
def test_the_size_of_an_item(item: Item, size: int) -> None:
    assert item_bytes(item) == size


def item(size: int = 500, facts: Mapping[str, str] | None = None, **more: str) -> Item:
    named = {name: {"S": value} for name, value in {**(facts or {}), **more}.items()}
    return named | {"p": {"S": "x" * (size - 1 - item_bytes(named))}}


PLACED = {"due_shard": "1", "due_at": "12:00"}


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, item(), 1),
        (None, item(1024), 1),
        (None, item(1025), 2),
        (None, item(owner="a", facts=PLACED), 3),
        (item(owner="a"), item(owner="a"), 1),  # nothing has changed: the index is left alone
        (item(owner="a"), item(owner="a", status="b"), 2),
        (item(facts=PLACED), item(due_shard="1", due_at="12:01"), 3),  # removed here, put there
        (item(facts=PLACED), item(), 2),
        (item(1500, owner="a"), item(500, owner="a"), 4),  # the larger of the two counts
        (item(1500, PLACED), None, 4),
    ],
)
def test_the_units_of_a_write_and_its_indexes(before: Item | None, after: Item | None, units: int) -> None:
    assert sum(Write(before, after).units([OWNER, DUE]).values()) == units


def test_what_becomes_of_an_item_in_the_indexes() -> None:
    write = Write(item(owner="a", facts=PLACED), item(owner="a", due_shard="1", due_at="12:01"))
    assert write.places([OWNER, DUE]) == {"by_owner": "changed", "due": "moved"}
    assert write.units([OWNER, DUE]) == {"table": 1, "by_owner": 1, "due": 2}
    assert Write(item(owner="a", facts=PLACED), item(owner="a")).places([DUE]) == {"due": "removed"}


@pytest.mark.parametrize(
    ("size", "consistent", "units"),
    [(0, True, 1), (4096, True, 1), (4097, True, 2), (0, False, 0.5), (9000, False, 1.5)],
)
def test_the_units_of_a_read(size: int, *, consistent: bool, units: float) -> None:
    assert read_units(size, consistent=consistent) == units
