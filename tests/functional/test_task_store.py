"""The task store against a real table: transitions, attempts and callback tokens."""

from datetime import UTC, datetime
from itertools import product
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.errors import CallbackRefused, InvalidTransition, StorageUnavailable, TaskNotFound
from fluxgate.tasks.model import TRANSITIONS, Attempt, Image, Status, TaskError, token_hash
from fluxgate.tasks.schedule import ANNOUNCED_WITHIN, DUE_AFTER
from fluxgate.tasks.store import TaskStore
from tests.builders import a_task
from tests.harness import Functions


@pytest.fixture
def tasks(functions: Functions) -> TaskStore:
    return functions.tasks


@pytest.mark.parametrize(("source", "to"), list(product(Status, Status)))
def test_only_the_transitions_of_the_table_are_allowed(tasks: TaskStore, source: Status, to: Status) -> None:
    stored = tasks.create(a_task(status=source))
    if source in TRANSITIONS[to]:
        assert tasks.transition(stored.task_id, to).status is to
    else:
        with pytest.raises(InvalidTransition) as error:
            tasks.transition(stored.task_id, to, images=(Image(source_url="https://cdn/1"),))
        assert error.value.task == stored
        assert tasks.get(stored.task_id, "local") == stored


@pytest.mark.parametrize("status", Status)
def test_a_transition_sets_when_the_task_is_due(functions: Functions, tasks: TaskStore, status: Status) -> None:
    source = min(TRANSITIONS[status])
    task = tasks.transition(tasks.create(a_task(status=source)).task_id, status)
    table = functions.stack.deployment.resources["TasksTable"]
    due = functions.stack.client("dynamodb").scan(TableName=table, IndexName="due")["Items"]
    due_at = [item["due_at"]["S"] for item in due if item["task_id"]["S"] == task.task_id]
    delay = DUE_AFTER.get(status, ANNOUNCED_WITHIN)
    assert [datetime.fromisoformat(text) for text in due_at] == [task.updated_at + delay]


def test_a_create_repeated_by_the_sdk_succeeds(tasks: TaskStore) -> None:
    task = a_task(attempt_id=Attempt().attempt_id)
    assert tasks.create(task) == tasks.create(task) == task


def test_a_create_by_another_attempt_raises_with_the_stored_task(tasks: TaskStore) -> None:
    first = tasks.create(a_task(attempt_id="one"))
    with pytest.raises(InvalidTransition) as error:
        tasks.create(a_task(task_id=first.task_id, attempt_id="two"))
    assert error.value.task == first


def test_the_token_of_every_attempt_is_accepted_and_any_other_is_rejected(tasks: TaskStore) -> None:
    old, new = Attempt(), Attempt()
    tokens = frozenset(token_hash(attempt.token) for attempt in (old, new))
    for attempt in (old, new):
        stored = tasks.create(a_task(callback_tokens=tokens))
        tasks.transition_by_token(stored.task_id, Status.GENERATED, token=attempt.token)
        assert tasks.get(stored.task_id).status is Status.GENERATED
    for wrong in ("", "x", old.attempt_id, *tokens, old.token + " "):
        stored = tasks.create(a_task(callback_tokens=tokens))
        with pytest.raises(CallbackRefused):
            tasks.transition_by_token(stored.task_id, Status.GENERATED, token=wrong)


def test_a_transition_by_token_returns_when_the_former_status_was_entered(tasks: TaskStore) -> None:
    submitted_at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    tokens = frozenset({token_hash("right")})
    stored = tasks.create(a_task(status=Status.SUBMITTED, updated_at=submitted_at, callback_tokens=tokens))
    assert tasks.transition_by_token(stored.task_id, Status.GENERATED, token="right") == submitted_at
    assert tasks.get(stored.task_id).updated_at > submitted_at


def test_mark_submitted_returns_the_task_as_stored(tasks: TaskStore) -> None:
    stored = tasks.create(a_task(metadata={"a": "b"}, attempt_id="one"))
    assert tasks.mark_submitted(stored, "p-1") == tasks.get(stored.task_id)
    with pytest.raises(InvalidTransition):
        tasks.mark_submitted(stored, "p-2")
    assert tasks.get(stored.task_id).provider_task_id == "p-1"


def test_a_wrong_token_is_rejected_before_an_invalid_transition(tasks: TaskStore) -> None:
    stored = tasks.create(a_task(status=Status.SUCCEEDED, callback_tokens=frozenset({token_hash("right")})))
    with pytest.raises(CallbackRefused):
        tasks.transition_by_token(stored.task_id, Status.GENERATED, token="wrong")
    with pytest.raises(InvalidTransition):
        tasks.transition_by_token(stored.task_id, Status.GENERATED, token="right")


def test_no_write_creates_an_unknown_task(tasks: TaskStore) -> None:
    unknown = str(uuid4())
    with pytest.raises(TaskNotFound):
        tasks.transition(unknown, Status.SUBMITTED)
    with pytest.raises(CallbackRefused):
        tasks.transition_by_token(unknown, Status.GENERATED, token="x")
    with pytest.raises(TaskNotFound):
        tasks.update(unknown, while_in=Status.GENERATED, archive_attempts=1)
    with pytest.raises(TaskNotFound):
        tasks.get(unknown, "local")


def test_a_transition_sets_fields_and_removes_those_that_are_none(tasks: TaskStore) -> None:
    stored = tasks.create(a_task(error=TaskError(code="c", message="m")))
    task = tasks.transition(stored.task_id, Status.SUBMITTED, provider_task_id="p", error=None)
    assert (task.provider_task_id, task.error) == ("p", None)
    assert tasks.get(stored.task_id, "local") == task


def test_an_unreachable_table_raises_storage_unavailable() -> None:
    nowhere = boto3.client(
        "dynamodb", endpoint_url="http://127.0.0.1:1", region_name="us-east-1", aws_access_key_id="x",
        aws_secret_access_key="x", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    with pytest.raises(StorageUnavailable):
        TaskStore(Table(nowhere, "tasks"), Clock()).get("t", "local")
