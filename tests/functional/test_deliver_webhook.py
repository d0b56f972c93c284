"""Webhook delivery: payload and signature, messages that send nothing, races, crashes and logs."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fluxgate.errors import InvalidTransition
from fluxgate.outcomes.signing import SigningKeys
from fluxgate.tasks.model import Delivery, DeliveryState, Image, Status
from local.providers.listener import HttpRequest, HttpResponse
from local.seeds import SUCCEEDED
from tests.functional.aws_calls import fail
from tests.functional.storage import stored_due_at, stored_item
from tests.functional.webhooks import (
    MESSAGE,
    PROMPT,
    SECRET_PATH,
    Receiver,
    deliver,
    message,
    pending,
    responding,
    responding_bytes,
    store_outcome,
)
from tests.harness import OWNER, Functions, event
from tests.waiting import wait_for

MESSAGE_FAILED = {"batchItemFailures": [{"itemIdentifier": MESSAGE["Records"][0]["messageId"]}]}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def signing_key(functions: Functions) -> Iterator[Callable[..., SigningKeys]]:
    """Reads the stack's signing key, or replaces it until the end of the test."""
    arn = functions.stack.deployment.resources["WebhookSigningKeySecret"]
    client = functions.stack.client("secretsmanager")
    original = client.get_secret_value(SecretId=arn)["SecretString"]

    def key(**stored: str) -> SigningKeys:
        if stored:
            client.put_secret_value(SecretId=arn, SecretString=json.dumps(stored))
        return SigningKeys.from_secret(SecretStr(client.get_secret_value(SecretId=arn)["SecretString"]))

    yield key
    client.put_secret_value(SecretId=arn, SecretString=original)


def owner_secret(keys: SigningKeys, owner: str = OWNER) -> str:
    return keys.secrets(owner)[0].get_secret_value()


# ---------------------------------------------------------------- payload and signature


def test_receiver_gets_the_task_signed_with_its_owners_secret(
    functions: Functions, receiver: Receiver, signing_key: Callable[..., SigningKeys]
) -> None:
    functions.seed()
    task = store_outcome(functions, receiver.url, metadata={"order": "7"})
    assert deliver(functions, task) == Delivery(
        outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1, last_answer="http_204"
    )
    (request,) = receiver.requests
    assert (request.method, request.path, request.query) == ("POST", SECRET_PATH, "key=a-secret-key")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == f"{task.task_id}.succeeded"
    payload = Webhook(owner_secret(signing_key())).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(owner_secret(signing_key(), "another")).verify(request.body, request.headers)
    assert payload["type"] == "task.succeeded"
    assert datetime.fromisoformat(payload["timestamp"]) == task.updated_at
    view = payload["data"]
    assert (view["task_id"], view["prompt"], view["metadata"]) == (task.task_id, PROMPT, {"order": "7"})
    assert "a-source" not in json.dumps(payload)
    assert "callback_url" not in json.dumps(payload)
    assert functions.calls == ["secretsmanager:GetSecretValue", "dynamodb:GetItem", "dynamodb:UpdateItem"]
    assert stored_due_at(functions, task.task_id) is None


@pytest.mark.parametrize("outcome", [Status.FAILED, Status.EXPIRED])
def test_failures_and_expiries_are_delivered_too(functions: Functions, receiver: Receiver, outcome: Status) -> None:
    task = store_outcome(functions, receiver.url, outcome)
    assert deliver(functions, task).state is DeliveryState.DELIVERED
    (payload,) = receiver.payloads
    assert receiver.ids == [f"{task.task_id}.{outcome}"]
    assert (payload["type"], payload["data"]["status"]) == (f"task.{outcome}", outcome)
    error = {"code": "forbidden", "message": "No."} if outcome is Status.FAILED else None
    assert payload["data"]["error"] == error


def test_next_delivery_try_has_the_same_id_and_new_timestamp_signature_and_urls(
    functions: Functions, receiver: Receiver
) -> None:
    functions.seed()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    task = store_outcome(functions, receiver.url, created_at=yesterday, delivery=pending(3))
    receiver.respond = responding(500)
    deliver(functions, task)
    first_second = int(time.time())
    stored = functions.stored(task.task_id)
    assert stored.delivery
    functions.tasks.update_outcome(stored, delivery=pending(stored.delivery.attempts))
    wait_for(lambda: int(time.time()) > first_second)  # timestamps and presigned URLs have whole seconds
    receiver.respond = responding(200)
    deliver(functions, task)
    first, second = receiver.requests
    assert receiver.ids == [f"{task.task_id}.succeeded"] * 2
    for name in ("webhook-timestamp", "webhook-signature"):
        assert first.headers[name] != second.headers[name]
    urls = [payload["data"]["images"][0]["url"] for payload in receiver.payloads]
    assert urls[0] != urls[1]
    assert all(requests.get(url, timeout=120).headers["Content-Type"] == "image/png" for url in urls)
    assert {payload["timestamp"] for payload in receiver.payloads} == {yesterday.isoformat().replace("+00:00", "Z")}


def test_old_and_new_secret_both_verify_during_a_rotation(
    functions: Functions, receiver: Receiver, signing_key: Callable[..., SigningKeys]
) -> None:
    old, new = signing_key(current="one"), signing_key(current="two")
    signing_key(current="two", previous="one")
    deliver(functions, store_outcome(functions, receiver.url))
    (request,) = receiver.requests
    for keys in (old, new):
        Webhook(owner_secret(keys)).verify(request.body, request.headers)


@pytest.mark.parametrize("stored", [{"current": ""}, {"previous": "one"}])
def test_nothing_is_sent_without_a_signing_key(
    functions: Functions, receiver: Receiver, signing_key: Callable[..., SigningKeys], stored: dict[str, str]
) -> None:
    client = functions.stack.client("secretsmanager")
    arn = functions.stack.deployment.resources["WebhookSigningKeySecret"]
    client.put_secret_value(SecretId=arn, SecretString=json.dumps(stored))
    task = store_outcome(functions, receiver.url)
    assert functions.invoke("deliver_webhook", message(task)) == MESSAGE_FAILED
    assert receiver.requests == []


def test_message_sent_by_fluxgate_itself_is_delivered_like_an_event(functions: Functions, receiver: Receiver) -> None:
    task = store_outcome(functions, receiver.url)
    own = message(task)
    own["Records"][0]["body"] = json.dumps({"type": "webhook", "task_id": task.task_id, "status": "succeeded"})
    assert functions.invoke("deliver_webhook", own) == {"batchItemFailures": []}
    assert receiver.ids == [f"{task.task_id}.succeeded"]


# ---------------------------------------------------------------- nothing to send

NOTHING_TO_SEND: dict[str, dict[str, Any]] = {
    "delivered": {"delivery": Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1)},
    "given up": {"delivery": Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.GIVEN_UP, attempts=9)},
    "too early": {"delivery": pending(1, timedelta(hours=1))},
    "a late result is being archived": {"status": Status.GENERATED},
    "still open": {"status": Status.SUBMITTED},
    "another outcome": {"status": Status.EXPIRED},
    "no callback URL": {"callback_url": None},
}


@pytest.mark.parametrize("name", NOTHING_TO_SEND)
def test_repeated_early_or_old_message_sends_nothing(functions: Functions, receiver: Receiver, name: str) -> None:
    task = store_outcome(functions, **{"callback_url": receiver.url, **NOTHING_TO_SEND[name]})
    before = functions.stored(task.task_id)
    assert functions.invoke("deliver_webhook", message(task, Status.SUCCEEDED)) == {"batchItemFailures": []}
    assert (receiver.requests, functions.stored(task.task_id)) == ([], before)
    assert "dynamodb:UpdateItem" not in functions.calls


def test_message_about_a_deleted_task_is_not_an_error(functions: Functions) -> None:
    deleted = event("deliver_webhook.good_succeeded")
    record = deleted["Records"][0]
    record["body"] = record["body"].replace("000000000005", "00000000dead")
    assert functions.invoke("deliver_webhook", deleted) == {"batchItemFailures": []}


def test_malformed_message_fails_without_a_call_to_aws(functions: Functions) -> None:
    assert len(functions.invoke("deliver_webhook", event("deliver_webhook.bad_message"))["batchItemFailures"]) == 1
    assert functions.calls == []
    assert functions.metrics()["MessageFailed"] == 1


def test_late_success_has_a_webhook_of_its_own(functions: Functions, receiver: Receiver) -> None:
    task = store_outcome(functions, receiver.url, Status.EXPIRED)
    deliver(functions, task)
    images = (Image(source_url="https://cdn.example.com/late.png", key=f"{OWNER}/{SUCCEEDED}/0.png"),)
    functions.tasks.transition(task.task_id, Status.GENERATED, images=images)
    late = functions.tasks.transition(task.task_id, Status.SUCCEEDED)
    functions.tasks.update_outcome(late, announced=Status.SUCCEEDED)
    old_message = message(task)
    assert functions.invoke("deliver_webhook", old_message) == {"batchItemFailures": []}
    delivery = deliver(functions, late)
    assert (delivery.outcome, delivery.attempts) == (Status.SUCCEEDED, 1)
    assert receiver.ids == [f"{task.task_id}.expired", f"{task.task_id}.succeeded"]
    assert [payload["type"] for payload in receiver.payloads] == ["task.expired", "task.succeeded"]
    assert stored_due_at(functions, task.task_id) is None


# ---------------------------------------------------------------- races and crashes


def test_late_result_during_the_request_is_not_overwritten(functions: Functions, receiver: Receiver) -> None:
    task = store_outcome(functions, receiver.url, Status.EXPIRED)

    def store_late_result(_: HttpRequest) -> HttpResponse:
        functions.tasks.transition(task.task_id, Status.GENERATED, images=())
        return HttpResponse(200, "text/plain", b"")

    receiver.respond = store_late_result
    assert functions.invoke("deliver_webhook", message(task)) == {"batchItemFailures": []}
    stored = functions.stored(task.task_id)
    assert (stored.status, stored.delivery) == (Status.GENERATED, None)
    assert stored_due_at(functions, task.task_id)


def test_delivery_recorded_by_a_concurrent_message_is_not_overwritten(functions: Functions, receiver: Receiver) -> None:
    task = store_outcome(functions, receiver.url)
    other = Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1, last_answer="http_200")

    def store_other_delivery(_: HttpRequest) -> HttpResponse:
        functions.tasks.update_outcome(functions.stored(task.task_id), delivery=other)
        return HttpResponse(500, "text/plain", b"")

    receiver.respond = store_other_delivery
    assert deliver(functions, task) == other
    assert stored_due_at(functions, task.task_id) is None
    assert "WebhookFailed" not in functions.metrics()


def test_task_deleted_during_the_request_is_not_created_again(functions: Functions, receiver: Receiver) -> None:
    task = store_outcome(functions, receiver.url)
    table = functions.stack.deployment.resources["TasksTable"]

    def delete_item(_: HttpRequest) -> HttpResponse:
        functions.stack.client("dynamodb").delete_item(TableName=table, Key={"task_id": {"S": task.task_id}})
        return HttpResponse(200, "text/plain", b"")

    receiver.respond = delete_item
    assert functions.invoke("deliver_webhook", message(task)) == {"batchItemFailures": []}
    assert stored_item(functions, task.task_id) is None


@pytest.mark.parametrize("operation", ["GetSecretValue", "GetItem", "UpdateItem"])
def test_failed_message_is_retried_with_the_same_webhook_id(
    functions: Functions, receiver: Receiver, operation: str
) -> None:
    task = store_outcome(functions, receiver.url)
    functions.before_call = fail(operation, "ThrottlingException")
    assert functions.invoke("deliver_webhook", message(task)) == MESSAGE_FAILED
    assert len(receiver.requests) == (1 if operation == "UpdateItem" else 0)
    functions.before_call = lambda **_: None
    assert deliver(functions, task).state is DeliveryState.DELIVERED
    assert set(receiver.ids) == {f"{task.task_id}.succeeded"}
    assert functions.metrics()["WebhookDelivered"] == 1


def test_delivery_of_a_previous_outcome_cannot_be_stored(functions: Functions) -> None:
    """The workflow relies on this condition of the store."""
    task = store_outcome(functions, None, Status.FAILED)
    functions.tasks.transition(task.task_id, Status.GENERATED)
    with pytest.raises(InvalidTransition):
        functions.tasks.update_outcome(task, delivery=pending(1))


# ---------------------------------------------------------------- logs


def test_logs_contain_the_task_id_but_no_urls_bodies_or_secrets(
    functions: Functions,
    receiver: Receiver,
    signing_key: Callable[..., SigningKeys],
    caplog: pytest.LogCaptureFixture,
) -> None:
    functions.seed()
    responders = [
        responding(200),
        responding(500),
        responding(410),
        responding_bytes(b"HTTP/1.1 200 OK\r\na-private-response\r\n\r\n"),
        responding_bytes(b"x\r\n"),
    ]
    for responder in responders:
        receiver.respond = responder
        task = store_outcome(functions, receiver.url)
        functions.invoke("deliver_webhook", message(task))
    for url in (receiver.url, f"https://localhost{SECRET_PATH}"):
        functions.invoke("deliver_webhook", message(store_outcome(functions, url)), ALLOW_LOCAL_URLS="")
    assert len(receiver.requests) == len(responders)
    logs = functions.logs() + caplog.text
    assert task.task_id in logs
    secret = owner_secret(signing_key())
    for word in ("a-secret", "127.0.0.1", "localhost", "a-private-response", "Füchslein", "F\\u00fcchslein", "X-Amz",
                 secret, secret.removeprefix("whsec_"), receiver.requests[0].headers["webhook-signature"]):  # fmt: skip
        assert word not in logs
