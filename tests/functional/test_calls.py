"""What an operation costs in requests and items: as the table says, however many tasks are stored."""

import json
from collections.abc import Iterator

import pytest

from fluxgate.tasks.store import FILTERED_PAGE
from tests.bench.calls import SIZES, TABLE, Counts, Processes, differences
from tests.bench.operations import Operation
from tests.harness import event

pytestmark = pytest.mark.xdist_group("calls")


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as processes:
        yield processes


@pytest.mark.parametrize("size", SIZES)
def test_every_operation_asks_for_what_the_table_says(processes: Processes, size: int) -> None:
    """If the change is meant: `make calls`."""
    changes = differences(json.loads(TABLE.read_text()), processes.count(size))
    assert not changes, f"with {size} tasks stored, where the table says -> what was counted:\n" + "\n".join(changes)


def test_items_that_a_filter_leaves_out_are_counted(processes: Processes) -> None:
    """As DynamoDB does: one page of the index is read, whatever the filter leaves."""
    page = Operation("ten that succeeded", "read_tasks", lambda _: event("read_tasks.good_list"))
    assert processes.count_one(page, SIZES[-1]).items_read == FILTERED_PAGE


def test_a_change_is_told_figure_by_figure() -> None:
    now = Counts({"dynamodb GetItem": 2}, {}, items_read=2, items_written=0, read_units=2, write_units=0)
    before = {"read task": {**vars(now), "requests": {"dynamodb GetItem": 1}, "items_read": 1, "read_units": 1}}
    assert differences(before, {"read task": now}) == [
        "read task: requests {'dynamodb GetItem': 1} -> {'dynamodb GetItem': 2}",
        "read task: items_read 1 -> 2",
        "read task: read_units 1 -> 2",
    ]
