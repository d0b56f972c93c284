"""Deleting: what is gone, what stays, what cannot go yet, and what crashes leave behind."""

import json
from collections.abc import Callable
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
from fluxgate.wire.requests import GenerateRequest
from local.seeds import SUCCEEDED
from tests.harness import Event, Functions, event, with_body

DELETE = event("delete_task.good_task")
GENERATE = event("submit_task.good_generate")
OWNER = "local"
KEY = f"local/{SUCCEEDED}/0.png"
SECRET = "nobody may read this"
IN_FLIGHT = [Status.SUBMITTING, Status.SUBMITTED, Status.GENERATED]


@pytest.fixture(autouse=True)
def _seeded(functions: Functions) -> None:
    functions.seed()


def delete(task_id: str) -> Event:
    return {**DELETE, "path": f"/v1/tasks/{task_id}", "pathParameters": {"task_id": task_id}}


def a_task(functions: Functions, status: Status, **facts: Any) -> Task:
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "task_id": task_id_for(OWNER, None), "owner": OWNER, "status": status, "action": "generate",
        "model": "flux-dev", "prompt": SECRET, "size": "512x512", "count": 1, "provider": "acedata",
        "attempt_id": "first", "attempts": 1, "metadata": {"note": SECRET}, "created_at": now, "updated_at": now,
        "callback_url": "https://receiver.example.com/", "callback_tokens": frozenset({token_hash("token")}),
        "error": TaskError(code="no", message=SECRET),
        "expires_at": now.replace(microsecond=0) + timedelta(days=30),
    }  # fmt: skip
    task = Task(**known | facts)
    functions.store(task)
    return task


def item(functions: Functions, task_id: str) -> dict[str, Any]:
    table = functions.stack.deployment.resources["TasksTable"]
    key = {"task_id": {"S": task_id}}
    return dict(functions.stack.client("dynamodb").get_item(TableName=table, Key=key)["Item"])


def in_bucket(functions: Functions) -> list[str]:
    bucket = functions.stack.deployment.resources["ImagesBucket"]
    listed = functions.stack.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return [entry["Key"] for entry in listed]


def test_a_settled_task_and_its_images_are_gone(functions: Functions) -> None:
    assert KEY in in_bucket(functions)
    answer = functions.invoke("delete_task", DELETE)
    assert answer["statusCode"] == 204
    assert not answer["body"]
    assert functions.calls == ["dynamodb:UpdateItem", "s3:DeleteObject", "dynamodb:UpdateItem"]
    assert KEY not in in_bucket(functions)
    read = {**event("read_tasks.good_task")}
    assert functions.http("read_tasks", read).body["code"] == "task_not_found"
    listed = functions.http("read_tasks", event("read_tasks.good_list")).body["tasks"]
    assert SUCCEEDED not in [task["task_id"] for task in listed]
    assert functions.http("delete_task", DELETE).status == 404


@pytest.mark.parametrize("status", sorted(OUTCOMES | {Status.QUEUED}))
def test_a_tombstone_has_no_content(functions: Functions, status: Status) -> None:
    task = a_task(functions, status)
    assert functions.invoke("delete_task", delete(task.task_id))["statusCode"] == 204
    left = item(functions, task.task_id)
    assert left.keys() == {"task_id", "owner", "status", "updated_at", "expires_at"}
    assert left["status"] == {"S": "deleted"}
    assert left["expires_at"] == {"N": str(int(task.expires_at.timestamp()))}


@pytest.mark.parametrize("status", IN_FLIGHT)
def test_what_is_in_flight_stays(functions: Functions, status: Status) -> None:
    task = a_task(functions, status)
    answer = functions.http("delete_task", delete(task.task_id))
    assert (answer.status, answer.body["code"]) == (409, "task_in_flight")
    assert functions.stored(task.task_id) == task
    assert functions.calls == ["dynamodb:UpdateItem"]


def test_what_is_anothers_or_nobodys_is_not_found(functions: Functions) -> None:
    task = a_task(functions, Status.SUCCEEDED, owner="somebody-else")
    for task_id in (task.task_id, "no-such-task"):
        answer = functions.http("delete_task", delete(task_id))
        assert (answer.status, answer.body["code"]) == (404, "task_not_found")
    assert functions.stored(task.task_id) == task


def test_a_cancelled_task_is_never_submitted(functions: Functions) -> None:
    task = a_task(functions, Status.QUEUED)
    functions.invoke("delete_task", delete(task.task_id))
    deferred = event("submit_queued.good_deferred")
    deferred["Records"][0]["body"] = f'{{"type": "submit", "task_id": "{task.task_id}", "attempt": 2}}'
    before = len(functions.simulator.submissions)
    assert functions.invoke("submit_queued", deferred) == {"batchItemFailures": []}
    assert len(functions.simulator.submissions) == before
    assert item(functions, task.task_id)["status"] == {"S": "deleted"}


def test_no_callback_brings_it_back(functions: Functions) -> None:
    task = a_task(functions, Status.FAILED)
    functions.invoke("delete_task", delete(task.task_id))
    callback = event("receive_callback.good_success")
    callback["rawPath"] = f"/callbacks/acedata/{task.task_id}/token"
    callback["requestContext"]["http"]["path"] = callback["rawPath"]
    assert functions.http("receive_callback", callback).status == 404
    assert item(functions, task.task_id)["status"] == {"S": "deleted"}


def test_its_idempotency_key_does_not_buy_again(functions: Functions) -> None:
    body = {"prompt": SECRET}
    task_id = task_id_for(OWNER, "once")
    task = a_task(functions, Status.SUCCEEDED, task_id=task_id, request_hash=request_hash(GenerateRequest(**body)))
    functions.invoke("delete_task", delete(task.task_id))
    again = with_body(GENERATE, body, **{"Idempotency-Key": "once"})
    before = len(functions.simulator.submissions)
    answer = functions.http("submit_task", again)
    assert (answer.status, answer.body["code"]) == (409, "task_deleted")
    assert len(functions.simulator.submissions) == before
    order = event("submit_queued.good_order")
    ordered = {"action": "generate", "owner": OWNER, "prompt": "x", "idempotency_key": "once"}
    order["Records"][0]["body"] = json.dumps(ordered)
    assert functions.invoke("submit_queued", order) == {"batchItemFailures": []}
    assert "Order rejected" in functions.logs()
    assert len(functions.simulator.submissions) == before


def refusing(operation: str) -> Callable[..., Any]:
    response = type("Response", (), {"status_code": 503, "headers": {}, "content": b""})()
    error = {"Error": {"Code": "SlowDown", "Message": "no"}, "ResponseMetadata": {}}
    return lambda model, **_: (response, error) if model.name == operation else None


def test_a_bucket_that_fails_leaves_it_unseen_and_due(functions: Functions) -> None:
    functions.before_call = refusing("DeleteObject")
    assert functions.http("delete_task", DELETE).status == 503
    left = item(functions, SUCCEEDED)
    assert left["status"] == {"S": "deleting"}
    assert left.keys() == {"task_id", "owner", "status", "updated_at", "expires_at", "images", "due_shard", "due_at"}
    assert functions.http("read_tasks", event("read_tasks.good_task")).status == 404
    functions.before_call = lambda **_: None
    assert functions.invoke("delete_task", DELETE)["statusCode"] == 204
    assert item(functions, SUCCEEDED)["status"] == {"S": "deleted"}
    assert KEY not in in_bucket(functions)


@pytest.mark.parametrize("operation", ["DeleteObject", "UpdateItem"])
def test_the_reconciler_ends_what_a_crash_has_left(functions: Functions, operation: str) -> None:
    """Killed before the images went, or after it and before the tombstone."""
    task = functions.stored(SUCCEEDED)
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    store = store_at(functions, long_ago)
    store.begin_deletion(SUCCEEDED, OWNER)
    if operation == "UpdateItem":
        bucket = functions.stack.deployment.resources["ImagesBucket"]
        functions.stack.client("s3").delete_object(Bucket=bucket, Key=task.images[0].key)
    functions.invoke("reconcile_tasks", event("reconcile_tasks.good_minute"))
    assert item(functions, SUCCEEDED)["status"] == {"S": "deleted"}
    assert "due_at" not in item(functions, SUCCEEDED)
    assert KEY not in in_bucket(functions)


def test_a_removal_that_fails_holds_up_no_other(functions: Functions) -> None:
    store = store_at(functions, datetime.now(UTC) - timedelta(minutes=5))
    store.begin_deletion(SUCCEEDED, OWNER)
    told = a_task(functions, Status.FAILED, created_at=datetime.now(UTC) - timedelta(minutes=5))
    functions.before_call = refusing("DeleteObject")
    with pytest.raises(StorageUnavailable):
        functions.invoke("reconcile_tasks", event("reconcile_tasks.good_minute"))
    assert functions.stored(told.task_id).announced is Status.FAILED
    assert item(functions, SUCCEEDED)["status"] == {"S": "deleting"}


def store_at(functions: Functions, moment: datetime) -> Any:
    store = functions.tasks
    store._clock = Clock(now=lambda: moment)
    return store


def test_images_that_come_after_the_deletion_go_at_once(functions: Functions) -> None:
    """A repeated message of the archive queue."""
    message = event("archive_images.good_generated")
    url = f"{functions.simulator.public_url}/images/sample.png"
    gone = a_task(functions, Status.SUCCEEDED)
    functions.invoke("delete_task", delete(gone.task_id))
    job = (
        f'{{"type": "archive", "task_id": "{gone.task_id}", "owner": "{OWNER}", '
        f'"generated_at": "2026-11-22T12:00:09Z", "images": [{{"source_url": "{url}"}}]}}'
    )
    message["Records"][0]["body"] = job
    assert functions.invoke("archive_images", message) == {"batchItemFailures": []}
    assert not [key for key in in_bucket(functions) if gone.task_id in key]
    assert functions.calls[-3:] == ["s3:PutObject", "dynamodb:UpdateItem", "s3:DeleteObject"]


def test_a_claim_that_was_faster_wins(functions: Functions) -> None:
    task = a_task(functions, Status.QUEUED)
    functions.tasks.claim(task.task_id, Attempt())
    assert functions.http("delete_task", delete(task.task_id)).body["code"] == "task_in_flight"


def test_logs_hold_no_content(functions: Functions) -> None:
    task = a_task(functions, Status.FAILED, images=(Image(source_url="https://cdn.example.com/secret.png"),))
    functions.invoke("delete_task", delete(task.task_id))
    logs = functions.logs()
    assert task.task_id in logs
    assert SECRET not in logs
    assert "secret.png" not in logs


def test_both_words_for_what_is_gone_are_no_status() -> None:
    assert not set(DeletionState) & set(Status)
