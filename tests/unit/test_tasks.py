"""The table of transitions, and the tokens of attempts."""

from fluxgate.tasks.model import TRANSITIONS, Attempt, Status, token_hash
from fluxgate.tasks.schedule import DUE_AFTER

INITIAL = {Status.QUEUED, Status.SUBMITTING}


def test_every_status_is_reachable_and_every_open_status_becomes_due() -> None:
    assert TRANSITIONS.keys() == set(Status)
    reached = set(INITIAL)
    while more := {status for status, sources in TRANSITIONS.items() if sources & reached} - reached:
        reached |= more
    assert reached == set(Status)
    assert set(Status) - DUE_AFTER.keys() == {Status.SUCCEEDED, Status.FAILED, Status.EXPIRED}


def test_succeeded_is_final_and_a_late_result_leaves_failed_and_expired() -> None:
    targets = {source: {to for to, sources in TRANSITIONS.items() if source in sources} for source in Status}
    assert targets[Status.SUCCEEDED] == set()
    assert targets[Status.FAILED] == targets[Status.EXPIRED] == {Status.GENERATED}
    assert targets[Status.GENERATED] == {Status.SUCCEEDED}


def test_tokens_are_long_random_and_not_in_the_representation() -> None:
    attempts = [Attempt() for _ in range(100)]
    assert len({attempt.token for attempt in attempts}) == len({attempt.attempt_id for attempt in attempts}) == 100
    assert all(len(attempt.token) >= 43 for attempt in attempts)
    assert attempts[0].token not in repr(attempts[0])
    assert len(token_hash(attempts[0].token)) == 64
