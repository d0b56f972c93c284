"""The table of moves, and tasks as items."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fluxgate.tasks import DUE_AFTER, REACHED_FROM, Attempt, Image, Status, Task, TaskError, timestamp, token_hash

CREATED_IN = {Status.QUEUED, Status.SUBMITTING}


def test_every_state_can_be_reached_and_only_an_end_has_nothing_left_to_do() -> None:
    assert REACHED_FROM.keys() == set(Status)
    reached = set(CREATED_IN)
    while more := {status for status, sources in REACHED_FROM.items() if sources & reached} - reached:
        reached |= more
    assert reached == set(Status)
    assert set(Status) - DUE_AFTER.keys() == {Status.SUCCEEDED, Status.FAILED, Status.EXPIRED}


def test_success_is_final_and_a_late_result_undoes_every_other_end() -> None:
    leaves = {source: {to for to, sources in REACHED_FROM.items() if source in sources} for source in Status}
    assert leaves[Status.SUCCEEDED] == set()
    assert leaves[Status.FAILED] == leaves[Status.EXPIRED] == {Status.GENERATED}
    assert leaves[Status.GENERATED] == {Status.SUCCEEDED}


moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(min_size=1, max_size=20)
images = st.builds(Image, source_url=texts, seed=st.none() | st.integers(-(2**63), 2**64), key=st.none() | texts)
tasks = st.builds(
    Task,
    task_id=texts,
    owner=texts,
    prompt=texts,
    action=st.sampled_from(["generate", "edit"]),
    metadata=st.dictionaries(texts, st.text(max_size=9), max_size=3),
    created_at=moments,
    updated_at=moments,
    attempted_at=st.none() | moments,
    expires_at=moments.map(lambda moment: moment.replace(microsecond=0)),
    images=st.lists(images, max_size=3).map(tuple),
    error=st.none() | st.builds(TaskError, code=texts, message=texts),
    callback_tokens=st.frozensets(texts, max_size=3),
)


@given(tasks)
def test_a_task_survives_being_stored(task: Task) -> None:
    item = {name: value for name, value in task.to_item().items() if value is not None}
    assert Task.from_item(item) == task


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
