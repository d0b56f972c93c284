"""Sending a webhook again: the delivery restarts with the same webhook id."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fluxgate.tasks.model import OUTCOMES, Delivery, DeliveryState, Status, Task, TaskError
from fluxgate.tasks.schedule import DELIVERED_WITHIN
from local.providers.listener import HttpRequest, HttpResponse, Listener
from tests.builders import a_task
from tests.functional.aws_calls import fail, run_before
from tests.harness import OWNER, Functions, Response, event

CALLBACK_URL = "https://example.com/a-secret-path"
PENDING = Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.PENDING, attempts=0)
GIVEN_UP = Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.GIVEN_UP, attempts=9, last_answer="http_500")


Jobs = Callable[[], list[Any]]  # the messages on the webhook queue that were sent since the last call


@pytest.fixture
def jobs(functions: Functions) -> Iterator[Jobs]:
    def receive() -> list[Any]:
        return functions.drain("WebhookQueue")

    receive()
    yield receive
    receive()


def store(functions: Functions, status: Status = Status.SUCCEEDED, **fields: Any) -> Task:
    """A stored and announced task with a callback URL."""
    task = a_task(**{"status": status, "announced": status, "callback_url": CALLBACK_URL, **fields})
    functions.store(task)
    return task


def resend(functions: Functions, task: Task, owner: str = OWNER) -> Response:
    request = event("resend_webhook.good_task")
    request["path"] = f"/v1/tasks/{task.task_id}/webhook"
    request["pathParameters"] = {"task_id": task.task_id}
    request["requestContext"]["identity"]["apiKeyId"] = owner
    return functions.http("resend_webhook", request)


DELIVERIES = {
    "given up": GIVEN_UP,
    "delivered": Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1, last_answer="http_200"),
    "pending": Delivery(
        outcome=Status.SUCCEEDED,
        state=DeliveryState.PENDING,
        attempts=3,
        next_at=datetime(2100, 1, 1, tzinfo=UTC),
        last_answer="http_500",
    ),
    "of another outcome": Delivery(outcome=Status.EXPIRED, state=DeliveryState.DELIVERED, attempts=2),
    "never tried": None,
}


@pytest.mark.parametrize("name", DELIVERIES)
def test_the_delivery_restarts_whatever_its_state(functions: Functions, jobs: Jobs, name: str) -> None:
    task = store(functions, delivery=DELIVERIES[name])
    response = resend(functions, task)
    assert (response.status, response.headers["location"]) == (202, f"../{task.task_id}")
    assert (response.body["task_id"], response.body["status"]) == (task.task_id, "succeeded")
    assert response.body["webhook"] == {"state": "pending", "attempts": 0, "next_at": None, "last_answer": None}
    assert functions.stored(task.task_id).delivery == PENDING
    assert jobs() == [{"type": "webhook", "task_id": task.task_id, "status": "succeeded"}]
    assert functions.calls == ["dynamodb:GetItem", "dynamodb:UpdateItem", "sqs:SendMessage"]


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    """The URL of a webhook receiver, and the webhook ids it has received."""
    received: list[str] = []

    def respond(request: HttpRequest) -> HttpResponse:
        received.append(request.headers["webhook-id"])
        return HttpResponse(200, "text/plain", b"")

    listener = Listener(respond, "127.0.0.1", 0)
    listener.start()
    yield f"http://127.0.0.1:{listener.port}/", received
    listener.close()


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_the_receiver_gets_the_webhook_again_with_the_same_id(
    functions: Functions, jobs: Jobs, receiver: tuple[str, list[str]], outcome: Status
) -> None:
    url, received = receiver
    error = TaskError(code="c", message="m") if outcome is Status.FAILED else None
    task = store(functions, outcome, error=error, callback_url=url)
    for _ in range(2):
        resend(functions, task)
        (job,) = jobs()
        message = event("deliver_webhook.good_succeeded")
        message["Records"][0]["body"] = json.dumps(job)
        assert functions.invoke("deliver_webhook", message) == {"batchItemFailures": []}
    assert received == [f"{task.task_id}.{outcome}"] * 2
    delivery = functions.stored(task.task_id).delivery
    assert delivery
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


def test_a_task_whose_message_cannot_be_sent_stays_due(functions: Functions, jobs: Jobs) -> None:
    task = store(functions, delivery=GIVEN_UP)
    functions.before_call = fail("SendMessage")
    response = resend(functions, task)
    assert (response.status, response.body["code"]) == (503, "queue_unavailable")
    assert (functions.stored(task.task_id).delivery, jobs()) == (PENDING, [])
    table = functions.stack.deployment.resources["TasksTable"]
    item = functions.stack.client("dynamodb").get_item(TableName=table, Key={"task_id": {"S": task.task_id}})["Item"]
    due_in = datetime.fromisoformat(item["due_at"]["S"]) - datetime.now(UTC)
    assert timedelta(0) < due_in <= DELIVERED_WITHIN


def test_a_failed_write_sends_no_message(functions: Functions, jobs: Jobs) -> None:
    task = store(functions, delivery=GIVEN_UP)
    functions.before_call = fail("UpdateItem")
    response = resend(functions, task)
    assert (response.status, response.body["code"]) == (503, "storage_unavailable")
    assert (functions.stored(task.task_id).delivery, jobs()) == (GIVEN_UP, [])


NOTHING_TO_DELIVER: dict[str, dict[str, Any]] = {
    "no callback URL": {"callback_url": None},
    **{status: {"status": status} for status in sorted(set(Status) - OUTCOMES)},
}


@pytest.mark.parametrize("name", NOTHING_TO_DELIVER)
def test_a_task_without_outcome_or_callback_url_is_rejected(functions: Functions, jobs: Jobs, name: str) -> None:
    task = store(functions, **NOTHING_TO_DELIVER[name])
    response = resend(functions, task)
    assert (response.status, response.body["code"]) == (409, "nothing_to_deliver")
    assert (functions.stored(task.task_id), jobs()) == (task, [])


def test_an_unknown_task_and_another_owners_task_have_the_same_404_response(functions: Functions, jobs: Jobs) -> None:
    task = store(functions, delivery=GIVEN_UP)
    not_owned = resend(functions, task, owner="someone-else")
    unknown = functions.http("resend_webhook", event("resend_webhook.bad_unknown_task"))
    assert not_owned.status == unknown.status == 404
    assert not_owned.body == unknown.body
    assert unknown.body["code"] == "task_not_found"
    assert (functions.stored(task.task_id), jobs()) == (task, [])


def test_a_delivery_recorded_since_the_read_is_replaced(functions: Functions, jobs: Jobs) -> None:
    task = store(functions, delivery=Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.PENDING, attempts=8))
    record_delivery = run_before("UpdateItem", lambda: functions.tasks.update_outcome(task, delivery=GIVEN_UP))
    functions.before_call = record_delivery
    assert resend(functions, task).status == 202
    assert functions.stored(task.task_id).delivery == PENDING
    assert len(jobs()) == 1


def test_a_late_result_accepted_since_the_read_leaves_nothing_to_deliver(functions: Functions, jobs: Jobs) -> None:
    task = store(functions, Status.EXPIRED)
    accept_result = run_before(
        "UpdateItem", lambda: functions.tasks.transition(task.task_id, Status.GENERATED, images=())
    )
    functions.before_call = accept_result
    response = resend(functions, task)
    assert (response.status, response.body["code"]) == (409, "nothing_to_deliver")
    assert (functions.stored(task.task_id).delivery, jobs()) == (None, [])


def test_logs_contain_the_task_id_but_not_the_callback_url(functions: Functions, jobs: Jobs) -> None:
    task = store(functions, delivery=GIVEN_UP)
    resend(functions, task)
    assert task.task_id in functions.logs()
    assert "a-secret-path" not in functions.logs()
