"""When the reconciler looks at a task."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from fluxgate.clock import Clock
from fluxgate.tasks.model import OUTCOMES, Delivery, DeliveryState, Status, Task
from fluxgate.tasks.schedule import ANNOUNCED_WITHIN, DELIVERED_WITHIN, DUE_AFTER, POLL_EXPIRED_AFTER, next_due
from tests.builders import a_task

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


def at(moment: datetime) -> Clock:
    return Clock(now=lambda: moment)


def announced(status: Status = Status.SUCCEEDED, **fields: Any) -> Task:
    """A task whose outcome was announced and whose webhook, if it has a callback URL, was not delivered."""
    defaults: dict[str, Any] = {
        "created_at": NOW,
        "expires_at": NOW + timedelta(days=1),
        "announced": status,
        "callback_url": "https://example.com/hook",
    }
    return a_task(status=status, **defaults | fields)


def delivery(state: DeliveryState, outcome: Status = Status.SUCCEEDED, next_at: datetime | None = None) -> Delivery:
    return Delivery(outcome=outcome, state=state, attempts=1, next_at=next_at)


@pytest.mark.parametrize("status", DUE_AFTER)
def test_open_task_is_due_after_the_time_of_its_status(status: Status) -> None:
    assert next_due(announced(status), at(NOW)) == NOW + DUE_AFTER[status]


@pytest.mark.parametrize("status", sorted(OUTCOMES))
def test_outcome_is_due_until_it_is_announced(status: Status) -> None:
    (earlier,) = sorted(OUTCOMES - {status})[:1]
    for last_announced in (None, earlier):
        task = announced(status, announced=last_announced, delivery=delivery(DeliveryState.DELIVERED, status))
        assert next_due(task, at(NOW)) == NOW + ANNOUNCED_WITHIN


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_announced_outcome_without_callback_url_is_not_due(status: Status) -> None:
    assert next_due(announced(status, callback_url=None), at(NOW)) is None


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.GIVEN_UP])
def test_finished_delivery_is_not_due(state: DeliveryState) -> None:
    assert next_due(announced(delivery=delivery(state)), at(NOW)) is None


def test_pending_delivery_is_due_at_its_next_try_or_soon_if_overdue() -> None:
    assert next_due(announced(), at(NOW)) == NOW + DELIVERED_WITHIN
    for next_at, due in ((LATER, LATER), (NOW, NOW + DELIVERED_WITHIN), (None, NOW + DELIVERED_WITHIN)):
        assert next_due(announced(delivery=delivery(DeliveryState.PENDING, next_at=next_at)), at(NOW)) == due


def test_delivery_of_an_earlier_outcome_does_not_count() -> None:
    earlier = delivery(DeliveryState.DELIVERED, Status.EXPIRED)
    assert next_due(announced(delivery=earlier), at(NOW)) == NOW + DELIVERED_WITHIN


def test_expired_task_is_due_at_growing_intervals_until_it_is_deleted() -> None:
    task = announced(Status.EXPIRED, callback_url=None)
    moments = [NOW]
    while moment := next_due(task, at(moments[-1])):
        moments.append(moment)
    intervals = [later - earlier for earlier, later in pairwise(moments)]
    assert intervals[0] == POLL_EXPIRED_AFTER
    assert intervals == sorted(intervals)
    assert intervals[-1] > timedelta(hours=4)
    assert len(intervals) < 12
    assert moments[-1] < task.expires_at


def test_expired_task_is_due_for_its_poll_or_its_delivery_whichever_is_first() -> None:
    soon = NOW + timedelta(seconds=5)
    for next_at, due in ((soon, soon), (LATER, NOW + POLL_EXPIRED_AFTER)):
        pending = delivery(DeliveryState.PENDING, Status.EXPIRED, next_at)
        assert next_due(announced(Status.EXPIRED, delivery=pending), at(NOW)) == due
    given_up = announced(Status.EXPIRED, delivery=delivery(DeliveryState.GIVEN_UP, Status.EXPIRED))
    assert next_due(given_up, at(NOW)) == NOW + POLL_EXPIRED_AFTER


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.EXPIRED])
def test_task_is_not_due_after_it_is_deleted(status: Status) -> None:
    pending = delivery(DeliveryState.PENDING, status, NOW + timedelta(days=2))
    task = announced(status, delivery=pending)
    assert next_due(task, at(task.expires_at - timedelta(minutes=1))) is None
