"""The table of moves, and tasks as items."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxgate.clock import Clock
from fluxgate.tasks.items import from_item, timestamp, to_item
from fluxgate.tasks.model import (
    OUTCOMES,
    TRANSITIONS,
    Attempt,
    Delivery,
    DeliveryState,
    Image,
    Status,
    Task,
    TaskError,
    token_hash,
)
from fluxgate.tasks.schedule import ANNOUNCED_WITHIN, DELIVERED_WITHIN, DUE_AFTER, POLL_EXPIRED_AFTER, next_due


def at(moment: datetime) -> Clock:
    return Clock(now=lambda: moment)


CREATED_IN = {Status.QUEUED, Status.SUBMITTING}


def test_every_state_can_be_reached_and_only_an_end_has_nothing_left_to_do() -> None:
    assert TRANSITIONS.keys() == set(Status)
    reached = set(CREATED_IN)
    while more := {status for status, sources in TRANSITIONS.items() if sources & reached} - reached:
        reached |= more
    assert reached == set(Status)
    assert set(Status) - DUE_AFTER.keys() == {Status.SUCCEEDED, Status.FAILED, Status.EXPIRED}


def test_success_is_final_and_a_late_result_undoes_every_other_end() -> None:
    leaves = {source: {to for to, sources in TRANSITIONS.items() if source in sources} for source in Status}
    assert leaves[Status.SUCCEEDED] == set()
    assert leaves[Status.FAILED] == leaves[Status.EXPIRED] == {Status.GENERATED}
    assert leaves[Status.GENERATED] == {Status.SUCCEEDED}


moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(min_size=1, max_size=20)
images = st.builds(Image, source_url=texts, seed=st.none() | st.integers(-(2**63), 2**64), key=st.none() | texts)
tasks = st.fixed_dictionaries(
    {
        "status": st.sampled_from(Status),
        "model": texts,
        "size": texts,
        "count": st.integers(1, 4),
        "provider": texts,
        "task_id": texts,
        "owner": texts,
        "prompt": texts,
        "action": st.sampled_from(["generate", "edit"]),
        "metadata": st.dictionaries(texts, st.text(max_size=9), max_size=3),
        "created_at": moments,
        "updated_at": moments,
        "attempted_at": st.none() | moments,
        "expires_at": moments.map(lambda moment: moment.replace(microsecond=0)),
        "images": st.lists(images, max_size=3).map(tuple),
        "error": st.none() | st.builds(TaskError, code=texts, message=texts),
        "callback_tokens": st.frozensets(texts, max_size=3),
    }
).map(lambda facts: Task(**facts))


@given(tasks)
def test_a_task_survives_being_stored(task: Task) -> None:
    item = {name: value for name, value in to_item(task).items() if value is not None}
    assert from_item(item) == task


@given(moments, moments)
def test_timestamps_sort_as_text(one: datetime, other: datetime) -> None:
    assert (timestamp(one) < timestamp(other)) == (one < other)
    assert timestamp(one).endswith("Z")
    assert datetime.fromisoformat(timestamp(one + timedelta(hours=1))) == one + timedelta(hours=1)


def test_tokens_are_long_random_and_never_shown() -> None:
    attempts = [Attempt() for _ in range(100)]
    assert len({attempt.token for attempt in attempts}) == len({attempt.attempt_id for attempt in attempts}) == 100
    assert all(len(attempt.token) >= 43 for attempt in attempts)
    assert attempts[0].token not in repr(attempts[0])
    assert len(token_hash(attempts[0].token)) == 64


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


def settled(status: Status = Status.SUCCEEDED, **facts: Any) -> Task:
    """A task whose outcome has been announced and whose webhook, if it wants one, has not been sent."""
    defaults: dict[str, Any] = {
        "task_id": "t", "owner": "o", "status": status, "action": "generate", "model": "flux-dev", "prompt": "a fox",
        "size": "1024x1024", "count": 1, "provider": "acedata", "created_at": NOW, "updated_at": NOW,
        "expires_at": NOW + timedelta(days=1), "announced": status, "callback_url": "https://example.com/hook",
    }  # fmt: skip
    return Task(**defaults | facts)


def delivery(state: DeliveryState, outcome: Status = Status.SUCCEEDED, next_at: datetime | None = None) -> Delivery:
    return Delivery(outcome=outcome, state=state, attempts=1, next_at=next_at)


@pytest.mark.parametrize("status", DUE_AFTER)
def test_an_open_task_is_due_again(status: Status) -> None:
    assert next_due(settled(status), at(NOW)) == NOW + DUE_AFTER[status]


@pytest.mark.parametrize("status", sorted(OUTCOMES))
def test_an_outcome_is_due_until_it_is_announced_itself(status: Status) -> None:
    (earlier,) = sorted(OUTCOMES - {status})[:1]
    for announced in (None, earlier):
        task = settled(status, announced=announced, delivery=delivery(DeliveryState.DELIVERED, status))
        assert next_due(task, at(NOW)) == NOW + ANNOUNCED_WITHIN


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_nothing_is_left_to_do_where_nobody_wants_to_be_told(status: Status) -> None:
    assert next_due(settled(status, callback_url=None), at(NOW)) is None


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.GIVEN_UP])
def test_nothing_is_left_to_do_after_the_webhook(state: DeliveryState) -> None:
    assert next_due(settled(delivery=delivery(state)), at(NOW)) is None


def test_a_webhook_is_due_at_its_own_time_and_an_overdue_one_soon() -> None:
    assert next_due(settled(), at(NOW)) == NOW + DELIVERED_WITHIN
    for planned, due in ((LATER, LATER), (NOW, NOW + DELIVERED_WITHIN), (None, NOW + DELIVERED_WITHIN)):
        assert next_due(settled(delivery=delivery(DeliveryState.PENDING, next_at=planned)), at(NOW)) == due


def test_the_webhook_of_an_earlier_outcome_says_nothing_of_this_one() -> None:
    told = delivery(DeliveryState.DELIVERED, Status.EXPIRED)
    assert next_due(settled(delivery=told), at(NOW)) == NOW + DELIVERED_WITHIN


def test_an_expired_task_is_asked_about_ever_more_rarely_until_it_is_gone() -> None:
    task = settled(Status.EXPIRED, callback_url=None)
    moments = [NOW]
    while moment := next_due(task, at(moments[-1])):
        moments.append(moment)
    waits = [later - earlier for earlier, later in pairwise(moments)]
    assert waits[0] == POLL_EXPIRED_AFTER
    assert waits == sorted(waits)
    assert waits[-1] > timedelta(hours=4)
    assert len(waits) < 12
    assert moments[-1] < task.expires_at


def test_an_expired_task_is_due_for_whatever_comes_first() -> None:
    soon = NOW + timedelta(seconds=5)
    for planned, due in ((soon, soon), (LATER, NOW + POLL_EXPIRED_AFTER)):
        told = delivery(DeliveryState.PENDING, Status.EXPIRED, planned)
        assert next_due(settled(Status.EXPIRED, delivery=told), at(NOW)) == due
    given_up = settled(Status.EXPIRED, delivery=delivery(DeliveryState.GIVEN_UP, Status.EXPIRED))
    assert next_due(given_up, at(NOW)) == NOW + POLL_EXPIRED_AFTER


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.EXPIRED])
def test_no_moment_is_beyond_the_tasks_end(status: Status) -> None:
    beyond = delivery(DeliveryState.PENDING, status, NOW + timedelta(days=2))
    task = settled(status, delivery=beyond)
    assert next_due(task, at(task.expires_at - timedelta(minutes=1))) is None
