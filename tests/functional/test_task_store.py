"""The table of moves against a real table: every pair of states, and what a refusal tells."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.errors import CallbackRefused, InvalidTransition, StorageUnavailable, TaskNotFound
from fluxgate.tasks.model import TRANSITIONS, Attempt, Image, Status, Task, TaskError, token_hash
from fluxgate.tasks.schedule import ANNOUNCED_WITHIN, DUE_AFTER
from fluxgate.tasks.store import TaskStore
from tests.harness import Functions

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def tasks(functions: Functions) -> TaskStore:
    return functions.tasks


def task(status: Status = Status.SUBMITTING, **facts: Any) -> Task:
    defaults: dict[str, Any] = {
        "task_id": str(uuid4()), "owner": "o", "status": status, "action": "generate", "model": "flux-dev",
        "prompt": "a fox", "size": "1024x1024", "count": 1, "provider": "acedata", "created_at": NOW, "updated_at": NOW,
        "expires_at": NOW + timedelta(days=1),
    }  # fmt: skip
    return Task(**defaults | facts)


@pytest.mark.parametrize(("source", "to"), list(product(Status, Status)))
def test_exactly_the_moves_of_the_table_are_possible(tasks: TaskStore, source: Status, to: Status) -> None:
    stored = tasks.create(task(source))
    if source in TRANSITIONS[to]:
        assert tasks.transition(stored.task_id, to).status is to
    else:
        with pytest.raises(InvalidTransition) as refused:
            tasks.transition(stored.task_id, to, images=(Image(source_url="https://cdn/1"),))
        assert refused.value.task == stored
        assert tasks.get(stored.task_id, "o") == stored


@pytest.mark.parametrize("status", Status)
def test_a_task_that_has_come_to_a_state_is_due_in_its_time(
    functions: Functions, tasks: TaskStore, status: Status
) -> None:
    source = min(TRANSITIONS[status])
    moved = tasks.transition(tasks.create(task(source)).task_id, status)
    table = functions.stack.deployment.resources["TasksTable"]
    due = functions.stack.client("dynamodb").scan(TableName=table, IndexName="due")["Items"]
    found = [item["due_at"]["S"] for item in due if item["task_id"]["S"] == moved.task_id]
    wait = DUE_AFTER.get(status, ANNOUNCED_WITHIN)
    assert [datetime.fromisoformat(moment) for moment in found] == [moved.updated_at + wait]


def test_an_sdk_that_repeats_our_own_write_is_no_conflict(tasks: TaskStore) -> None:
    ours = task(attempt_id=Attempt().attempt_id)
    assert tasks.create(ours) == tasks.create(ours) == ours


def test_another_attempt_at_the_same_id_is_refused_with_what_is_stored(tasks: TaskStore) -> None:
    first = tasks.create(task(attempt_id="one"))
    with pytest.raises(InvalidTransition) as refused:
        tasks.create(task(task_id=first.task_id, attempt_id="two"))
    assert refused.value.task == first


def test_a_token_of_any_attempt_is_good_and_any_other_is_not(tasks: TaskStore) -> None:
    old, new = Attempt(), Attempt()
    tokens = frozenset(token_hash(attempt.token) for attempt in (old, new))
    for attempt in (old, new):
        stored = tasks.create(task(callback_tokens=tokens))
        tasks.transition_by_token(stored.task_id, Status.GENERATED, token=attempt.token)
        assert tasks.get(stored.task_id).status is Status.GENERATED
    for wrong in ("", "x", old.attempt_id, *tokens, old.token + " "):
        with pytest.raises(CallbackRefused):
            tasks.transition_by_token(tasks.create(task(callback_tokens=tokens)).task_id, Status.GENERATED, token=wrong)


def test_a_callback_learns_when_the_task_came_to_its_former_state(tasks: TaskStore) -> None:
    stored = tasks.create(task(Status.SUBMITTED, callback_tokens=frozenset({token_hash("right")})))
    assert tasks.transition_by_token(stored.task_id, Status.GENERATED, token="right") == NOW
    assert tasks.get(stored.task_id).updated_at > NOW


def test_what_an_attempt_knows_after_the_providers_answer_is_what_is_stored(tasks: TaskStore) -> None:
    stored = tasks.create(task(metadata={"a": "b"}, attempt_id="one"))
    assert tasks.mark_submitted(stored, "p-1") == tasks.get(stored.task_id)
    with pytest.raises(InvalidTransition):
        tasks.mark_submitted(stored, "p-2")
    assert tasks.get(stored.task_id).provider_task_id == "p-1"


def test_a_wrong_token_is_refused_also_where_the_move_would_be(tasks: TaskStore) -> None:
    stored = tasks.create(task(Status.SUCCEEDED, callback_tokens=frozenset({token_hash("right")})))
    with pytest.raises(CallbackRefused):
        tasks.transition_by_token(stored.task_id, Status.GENERATED, token="wrong")
    with pytest.raises(InvalidTransition):
        tasks.transition_by_token(stored.task_id, Status.GENERATED, token="right")


def test_an_unknown_task_is_not_created_by_a_move(tasks: TaskStore) -> None:
    unknown = str(uuid4())
    with pytest.raises(TaskNotFound):
        tasks.transition(unknown, Status.SUBMITTED)
    with pytest.raises(CallbackRefused):
        tasks.transition_by_token(unknown, Status.GENERATED, token="x")
    with pytest.raises(TaskNotFound):
        tasks.update(unknown, while_in=Status.GENERATED, archive_attempts=1)
    with pytest.raises(TaskNotFound):
        tasks.get(unknown, "o")


def test_facts_are_set_and_a_none_removes_one(tasks: TaskStore) -> None:
    stored = tasks.create(task(error=TaskError(code="c", message="m")))
    moved = tasks.transition(stored.task_id, Status.SUBMITTED, provider_task_id="p", error=None)
    assert (moved.provider_task_id, moved.error) == ("p", None)
    assert tasks.get(stored.task_id, "o") == moved


def test_a_table_that_cannot_be_reached_is_a_defined_error() -> None:
    nowhere = boto3.client(
        "dynamodb", endpoint_url="http://127.0.0.1:1", region_name="us-east-1", aws_access_key_id="x",
        aws_secret_access_key="x", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    with pytest.raises(StorageUnavailable):
        TaskStore(Table(nowhere, "tasks"), Clock()).get("t", "o")
