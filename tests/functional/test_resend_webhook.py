"""Sending a webhook again: whose, of what, and that it begins anew under the same id."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from fluxgate.tasks.model import OUTCOMES, Delivery, DeliveryState, Status, Task, TaskError
from fluxgate.tasks.schedule import DELIVERED_WITHIN
from local.providers.listener import HttpRequest, HttpResponse, Listener
from tests.harness import OWNER, Event, Functions, Response, event

RESEND = event("resend_webhook.good_task")
PENDING = Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.PENDING, attempts=0)
GIVEN_UP = Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.GIVEN_UP, attempts=9, last_answer="http_500")


@pytest.fixture
def jobs(functions: Functions) -> Iterator[Callable[[], list[Any]]]:
    """Reads the messages on the webhook queue that have been sent since the last reading."""
    sqs, queue = functions.stack.client("sqs"), functions.stack.deployment.resources["WebhookQueue"]

    def receive() -> list[Any]:
        found = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    receive()
    yield receive
    receive()


def stored(functions: Functions, to: Status = Status.SUCCEEDED, **facts: Any) -> Task:
    now = datetime.now(UTC).replace(microsecond=0)
    defaults: dict[str, Any] = {
        "task_id": str(uuid4()), "owner": OWNER, "status": to, "action": "generate", "model": "flux-dev",
        "prompt": "a fox", "size": "512x512", "count": 1, "provider": "acedata", "created_at": now, "updated_at": now,
        "expires_at": now + timedelta(days=7), "callback_url": "https://example.com/a-secret-path", "announced": to,
    }  # fmt: skip
    task = Task(**defaults | facts)
    functions.store(task)
    return task


def about(task_id: str, owner: str = OWNER) -> Event:
    changed = copy.deepcopy(RESEND)
    changed["path"] = f"/v1/tasks/{task_id}/webhook"
    changed["pathParameters"] = {"task_id": task_id}
    changed["requestContext"]["identity"]["apiKeyId"] = owner
    return changed


def resent(functions: Functions, task: Task, **options: Any) -> Response:
    return functions.http("resend_webhook", about(task.task_id, **options))


DELIVERIES = {
    "given up": GIVEN_UP,
    "delivered": Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1, last_answer="http_200"),
    "waiting": Delivery(
        outcome=Status.SUCCEEDED,
        state=DeliveryState.PENDING,
        attempts=3,
        next_at=datetime(2100, 1, 1, tzinfo=UTC),
        last_answer="http_500",
    ),
    "about another outcome": Delivery(outcome=Status.EXPIRED, state=DeliveryState.DELIVERED, attempts=2),
    "never tried": None,
}


@pytest.mark.parametrize("name", DELIVERIES)
def test_the_delivery_begins_anew_whatever_became_of_the_last(functions: Functions, jobs: Any, name: str) -> None:
    task = stored(functions, delivery=DELIVERIES[name])
    answer = resent(functions, task)
    assert (answer.status, answer.headers["location"]) == (202, f"../{task.task_id}")
    assert (answer.body["task_id"], answer.body["status"]) == (task.task_id, "succeeded")
    assert answer.body["webhook"] == {"state": "pending", "attempts": 0, "next_at": None, "last_answer": None}
    assert functions.stored(task.task_id).delivery == PENDING
    assert jobs() == [{"type": "webhook", "task_id": task.task_id, "status": "succeeded"}]
    assert functions.calls == ["dynamodb:GetItem", "dynamodb:UpdateItem", "sqs:SendMessage"]


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    """The URL of a real one, and the ids of what it was sent."""
    heard: list[str] = []

    def answer(request: HttpRequest) -> HttpResponse:
        heard.append(request.headers["webhook-id"])
        return HttpResponse(200, "text/plain", b"")

    listener = Listener(answer, "127.0.0.1", 0)
    listener.start()
    yield f"http://127.0.0.1:{listener.port}/", heard
    listener.close()


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_the_receiver_gets_it_again_under_the_same_id(
    functions: Functions, jobs: Any, receiver: tuple[str, list[str]], outcome: Status
) -> None:
    url, heard = receiver
    error = TaskError(code="c", message="m") if outcome is Status.FAILED else None
    task = stored(functions, outcome, error=error, callback_url=url)
    for _ in range(2):
        resent(functions, task)
        (job,) = jobs()
        message = event("deliver_webhook.good_succeeded")
        message["Records"][0]["body"] = json.dumps(job)
        assert functions.invoke("deliver_webhook", message) == {"batchItemFailures": []}
    assert heard == [f"{task.task_id}.{outcome}"] * 2
    delivery = functions.stored(task.task_id).delivery
    assert delivery
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


def test_a_task_whose_message_is_lost_is_due(functions: Functions, jobs: Any) -> None:
    task = stored(functions, delivery=GIVEN_UP)
    functions.before_call = lambda model, **_: _refused() if model.name == "SendMessage" else None
    answer = resent(functions, task)
    assert (answer.status, answer.body["code"]) == (503, "queue_unavailable")
    assert (functions.stored(task.task_id).delivery, jobs()) == (PENDING, [])
    table = functions.stack.deployment.resources["TasksTable"]
    item = functions.stack.client("dynamodb").get_item(TableName=table, Key={"task_id": {"S": task.task_id}})["Item"]
    due_in = datetime.fromisoformat(item["due_at"]["S"]) - datetime.now(UTC)
    assert timedelta(0) < due_in <= DELIVERED_WITHIN


def _refused() -> tuple[Any, dict[str, Any]]:
    answer = {"Error": {"Code": "AWS.SimpleQueueService.Refused", "Message": "no"}, "ResponseMetadata": {}}
    return type("Response", (), {"status_code": 400, "headers": {}, "content": b""})(), answer


def test_a_write_that_fails_sends_nothing(functions: Functions, jobs: Any) -> None:
    task = stored(functions, delivery=GIVEN_UP)
    functions.before_call = lambda model, **_: _refused() if model.name == "UpdateItem" else None
    answer = resent(functions, task)
    assert (answer.status, answer.body["code"]) == (503, "storage_unavailable")
    assert (functions.stored(task.task_id).delivery, jobs()) == (GIVEN_UP, [])


NOTHING_TO_DELIVER: dict[str, dict[str, Any]] = {
    "nobody wants it": {"callback_url": None},
    **{status: {"to": status} for status in sorted(set(Status) - OUTCOMES)},
}


@pytest.mark.parametrize("name", NOTHING_TO_DELIVER)
def test_without_outcome_or_receiver_there_is_nothing_to_deliver(functions: Functions, jobs: Any, name: str) -> None:
    task = stored(functions, **NOTHING_TO_DELIVER[name])
    answer = resent(functions, task)
    assert (answer.status, answer.body["code"]) == (409, "nothing_to_deliver")
    assert (functions.stored(task.task_id), jobs()) == (task, [])


def test_an_unknown_task_and_anothers_task_are_the_same_404(functions: Functions, jobs: Any) -> None:
    task = stored(functions, delivery=GIVEN_UP)
    anothers = resent(functions, task, owner="someone-else")
    unknown = functions.http("resend_webhook", event("resend_webhook.bad_unknown_task"))
    assert anothers.status == unknown.status == 404
    assert anothers.body == unknown.body
    assert unknown.body["code"] == "task_not_found"
    assert (functions.stored(task.task_id), jobs()) == (task, [])


def before_the_write(functions: Functions, change: Callable[[], object]) -> None:
    """Let something else happen to the task between the workflow's read and its first write."""
    pending = [change]

    def meanwhile(model: Any, **_: Any) -> None:
        if model.name == "UpdateItem" and pending:
            pending.pop()()

    functions.before_call = meanwhile


def test_an_attempt_that_is_noted_meanwhile_is_no_obstacle(functions: Functions, jobs: Any) -> None:
    task = stored(functions, delivery=Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.PENDING, attempts=8))
    before_the_write(functions, lambda: functions.tasks.update_outcome(task, delivery=GIVEN_UP))
    assert resent(functions, task).status == 202
    assert functions.stored(task.task_id).delivery == PENDING
    assert len(jobs()) == 1


def test_a_late_result_meanwhile_leaves_nothing_to_deliver_yet(functions: Functions, jobs: Any) -> None:
    task = stored(functions, Status.EXPIRED)
    before_the_write(functions, lambda: functions.tasks.transition(task.task_id, Status.GENERATED, images=()))
    answer = resent(functions, task)
    assert (answer.status, answer.body["code"]) == (409, "nothing_to_deliver")
    assert (functions.stored(task.task_id).delivery, jobs()) == (None, [])


def test_logs_hold_the_task_and_no_url(functions: Functions, jobs: Any) -> None:
    task = stored(functions, delivery=GIVEN_UP)
    resent(functions, task)
    assert task.task_id in functions.logs()
    assert "a-secret-path" not in functions.logs()
