"""Requests and items of each operation, compared with tests/bench/calls.json."""

import json
from collections.abc import Iterator

import pytest

from fluxgate.tasks.store import FILTERED_PAGE
from tests.bench.calls import SIZES, TABLE, Counts, OperationCounter, differences
from tests.bench.operations import Operation
from tests.harness import event


@pytest.fixture(scope="module")
def counter() -> Iterator[OperationCounter]:
    with OperationCounter() as counter:
        yield counter


@pytest.mark.parametrize("size", [SIZES[0], *(pytest.param(size, marks=pytest.mark.exhaustive) for size in SIZES[1:])])
def test_operations_make_the_listed_requests_with_any_number_of_stored_tasks(
    counter: OperationCounter, size: int
) -> None:
    """If a difference is intended, run `make calls`."""
    changes = differences(json.loads(TABLE.read_text()), counter.count(size))
    assert not changes, f"with {size} stored tasks, listed -> counted:\n" + "\n".join(changes)


def test_counts_include_items_that_a_filter_removes(counter: OperationCounter) -> None:
    """As DynamoDB does: it reads one page of the index, whatever the filter keeps."""
    page = Operation("ten that succeeded", "read_tasks", lambda _: event("read_tasks.good_list"))
    assert counter.count_one(page, 3 * FILTERED_PAGE).items_read == FILTERED_PAGE


def test_differences_list_each_changed_count() -> None:
    now = Counts({"dynamodb GetItem": 2}, {}, items_read=2, items_written=0, read_units=2, write_units=0)
    before = {"read task": {**vars(now), "requests": {"dynamodb GetItem": 1}, "items_read": 1, "read_units": 1}}
    assert differences(before, {"read task": now}) == [
        "read task: requests {'dynamodb GetItem': 1} -> {'dynamodb GetItem': 2}",
        "read task: items_read 1 -> 2",
        "read task: read_units 1 -> 2",
    ]
