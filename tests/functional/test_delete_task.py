"""Deletion: removed content, tombstones, tasks that cannot be deleted, and recovery after crashes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fluxgate.clock import Clock
from fluxgate.errors import StorageUnavailable
from fluxgate.submission.intake import request_hash
from fluxgate.tasks.model import (
    OUTCOMES,
    Attempt,
    DeletionState,
    Image,
    Status,
    Task,
    TaskError,
    task_id_for,
    token_hash,
)
from fluxgate.tasks.store import TaskStore
from fluxgate.wire.requests import GenerateRequest
from local.seeds import SUCCEEDED
from tests.builders import a_task
from tests.functional.aws_calls import fail
from tests.functional.storage import bucket_keys, stored_item
from tests.harness import OWNER, Event, Functions, event, with_body

DELETE = event("delete_task.good_task")
GENERATE = event("submit_task.good_generate")
KEY = f"{OWNER}/{SUCCEEDED}/0.png"
SECRET = "a-private-prompt"
IN_FLIGHT = [Status.SUBMITTING, Status.SUBMITTED, Status.GENERATED]


@pytest.fixture(autouse=True)
def _seeded(functions: Functions) -> None:
    functions.seed()


def delete(task_id: str) -> Event:
    return {**DELETE, "path": f"/v1/tasks/{task_id}", "pathParameters": {"task_id": task_id}}


def store_task(functions: Functions, status: Status, **fields: Any) -> Task:
    """A stored task with content in every attribute that a deletion removes."""
    content: dict[str, Any] = {
        "prompt": SECRET,
        "metadata": {"note": SECRET},
        "callback_url": "https://receiver.example.com/",
        "callback_tokens": frozenset({token_hash("token")}),
        "attempt_id": "first",
        "attempts": 1,
        "error": TaskError(code="no", message=SECRET),
    }
    task = a_task(status=status, **content | fields)
    functions.store(task)
    return task


def item(functions: Functions, task_id: str) -> dict[str, Any]:
    stored = stored_item(functions, task_id)
    assert stored
    return stored


def store_at(functions: Functions, moment: datetime) -> TaskStore:
    store = functions.tasks
    store._clock = Clock(now=lambda: moment)
    return store


def test_deletion_removes_the_task_and_its_images(functions: Functions) -> None:
    assert KEY in bucket_keys(functions)
    response = functions.invoke("delete_task", DELETE)
    assert response["statusCode"] == 204
    assert not response["body"]
    assert functions.calls == ["dynamodb:UpdateItem", "s3:DeleteObject", "dynamodb:UpdateItem"]
    assert KEY not in bucket_keys(functions)
    assert functions.http("read_tasks", event("read_tasks.good_task")).body["code"] == "task_not_found"
    listed = functions.http("read_tasks", event("read_tasks.good_list")).body["tasks"]
    assert SUCCEEDED not in [task["task_id"] for task in listed]
    assert functions.http("delete_task", DELETE).status == 404


@pytest.mark.parametrize("status", sorted(OUTCOMES | {Status.QUEUED}))
def test_tombstone_keeps_no_content(functions: Functions, status: Status) -> None:
    task = store_task(functions, status)
    assert functions.invoke("delete_task", delete(task.task_id))["statusCode"] == 204
    tombstone = item(functions, task.task_id)
    assert tombstone.keys() == {"task_id", "owner", "status", "updated_at", "expires_at"}
    assert tombstone["status"] == {"S": "deleted"}
    assert tombstone["expires_at"] == {"N": str(int(task.expires_at.timestamp()))}


@pytest.mark.parametrize("status", IN_FLIGHT)
def test_task_in_flight_cannot_be_deleted(functions: Functions, status: Status) -> None:
    task = store_task(functions, status)
    response = functions.http("delete_task", delete(task.task_id))
    assert (response.status, response.body["code"]) == (409, "task_in_flight")
    assert functions.stored(task.task_id) == task
    assert functions.calls == ["dynamodb:UpdateItem"]


def test_unknown_task_and_another_owners_task_are_not_found(functions: Functions) -> None:
    task = store_task(functions, Status.SUCCEEDED, owner="somebody-else")
    for task_id in (task.task_id, "no-such-task"):
        response = functions.http("delete_task", delete(task_id))
        assert (response.status, response.body["code"]) == (404, "task_not_found")
    assert functions.stored(task.task_id) == task


def test_deleted_queued_task_is_never_submitted(functions: Functions) -> None:
    task = store_task(functions, Status.QUEUED)
    functions.invoke("delete_task", delete(task.task_id))
    deferred = event("submit_queued.good_deferred")
    deferred["Records"][0]["body"] = f'{{"type": "submit", "task_id": "{task.task_id}", "attempt": 2}}'
    before = len(functions.simulator.submissions)
    assert functions.invoke("submit_queued", deferred) == {"batchItemFailures": []}
    assert len(functions.simulator.submissions) == before
    assert item(functions, task.task_id)["status"] == {"S": "deleted"}


def test_callback_does_not_restore_a_deleted_task(functions: Functions) -> None:
    task = store_task(functions, Status.FAILED)
    functions.invoke("delete_task", delete(task.task_id))
    callback = event("receive_callback.good_success")
    callback["rawPath"] = f"/callbacks/acedata/{task.task_id}/token"
    callback["requestContext"]["http"]["path"] = callback["rawPath"]
    assert functions.http("receive_callback", callback).status == 404
    assert item(functions, task.task_id)["status"] == {"S": "deleted"}


def test_idempotency_key_of_a_deleted_task_is_never_submitted_again(functions: Functions) -> None:
    body = {"prompt": SECRET}
    stored_hash = request_hash(GenerateRequest(**body))
    task = store_task(functions, Status.SUCCEEDED, task_id=task_id_for(OWNER, "once"), request_hash=stored_hash)
    functions.invoke("delete_task", delete(task.task_id))
    before = len(functions.simulator.submissions)
    response = functions.http("submit_task", with_body(GENERATE, body, **{"Idempotency-Key": "once"}))
    assert (response.status, response.body["code"]) == (409, "task_deleted")
    assert len(functions.simulator.submissions) == before
    message = event("submit_queued.good_order")
    order = {"action": "generate", "owner": OWNER, "prompt": "x", "idempotency_key": "once"}
    message["Records"][0]["body"] = json.dumps(order)
    assert functions.invoke("submit_queued", message) == {"batchItemFailures": []}
    assert "Order rejected" in functions.logs()
    assert len(functions.simulator.submissions) == before


def test_bucket_failure_leaves_the_task_hidden_and_due(functions: Functions) -> None:
    functions.before_call = fail("DeleteObject", "SlowDown")
    assert functions.http("delete_task", DELETE).status == 503
    stored = item(functions, SUCCEEDED)
    assert stored["status"] == {"S": "deleting"}
    assert stored.keys() == {"task_id", "owner", "status", "updated_at", "expires_at", "images", "due_shard", "due_at"}
    assert functions.http("read_tasks", event("read_tasks.good_task")).status == 404
    functions.before_call = lambda **_: None
    assert functions.invoke("delete_task", DELETE)["statusCode"] == 204
    assert item(functions, SUCCEEDED)["status"] == {"S": "deleted"}
    assert KEY not in bucket_keys(functions)


@pytest.mark.parametrize("operation", ["DeleteObject", "UpdateItem"])
def test_reconciler_finishes_an_interrupted_deletion(functions: Functions, operation: str) -> None:
    """The function was killed just before this operation."""
    task = functions.stored(SUCCEEDED)
    store_at(functions, datetime.now(UTC) - timedelta(minutes=5)).begin_deletion(SUCCEEDED, OWNER)
    if operation == "UpdateItem":
        bucket = functions.stack.deployment.resources["ImagesBucket"]
        functions.stack.client("s3").delete_object(Bucket=bucket, Key=task.images[0].key)
    functions.invoke("reconcile_tasks", event("reconcile_tasks.good_minute"))
    assert item(functions, SUCCEEDED)["status"] == {"S": "deleted"}
    assert "due_at" not in item(functions, SUCCEEDED)
    assert KEY not in bucket_keys(functions)


def test_failing_deletion_does_not_block_the_reconciler(functions: Functions) -> None:
    overdue = datetime.now(UTC) - timedelta(minutes=5)
    store_at(functions, overdue).begin_deletion(SUCCEEDED, OWNER)
    other = store_task(functions, Status.FAILED, created_at=overdue)
    functions.before_call = fail("DeleteObject", "SlowDown")
    with pytest.raises(StorageUnavailable):
        functions.invoke("reconcile_tasks", event("reconcile_tasks.good_minute"))
    assert functions.stored(other.task_id).announced is Status.FAILED
    assert item(functions, SUCCEEDED)["status"] == {"S": "deleting"}


def test_images_archived_after_the_deletion_are_deleted(functions: Functions) -> None:
    """As by a repeated message of the archive queue."""
    message = event("archive_images.good_generated")
    url = f"{functions.simulator.public_url}/images/sample.png"
    deleted = store_task(functions, Status.SUCCEEDED)
    functions.invoke("delete_task", delete(deleted.task_id))
    job = {
        "type": "archive",
        "task_id": deleted.task_id,
        "owner": OWNER,
        "generated_at": "2026-11-22T12:00:09Z",
        "images": [{"source_url": url}],
    }
    message["Records"][0]["body"] = json.dumps(job)
    assert functions.invoke("archive_images", message) == {"batchItemFailures": []}
    assert not [key for key in bucket_keys(functions) if deleted.task_id in key]
    assert functions.calls[-3:] == ["s3:PutObject", "dynamodb:UpdateItem", "s3:DeleteObject"]


def test_claimed_task_cannot_be_deleted(functions: Functions) -> None:
    task = store_task(functions, Status.QUEUED)
    functions.tasks.claim(task.task_id, Attempt())
    assert functions.http("delete_task", delete(task.task_id)).body["code"] == "task_in_flight"


def test_logs_contain_no_content(functions: Functions) -> None:
    images = (Image(source_url="https://cdn.example.com/secret.png"),)
    task = store_task(functions, Status.FAILED, images=images)
    functions.invoke("delete_task", delete(task.task_id))
    logs = functions.logs()
    assert task.task_id in logs
    assert SECRET not in logs
    assert "secret.png" not in logs


def test_deletion_states_are_not_task_statuses() -> None:
    assert not set(DeletionState) & set(Status)
