"""Webhooks over real HTTP: what receivers get, what their answers mean, and where none is ever sent."""

import copy
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Thread, get_ident
from typing import Any
from uuid import uuid4

import pytest
import requests
import trustme
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fluxgate.errors import InvalidTransition
from fluxgate.outcomes import receivers
from fluxgate.outcomes.delivery import RETRY_AFTER
from fluxgate.outcomes.receivers import Receivers
from fluxgate.outcomes.signing import SigningKeys
from fluxgate.tasks.model import Delivery, DeliveryState, Image, Status, Task, TaskError
from local.providers.listener import ConnectionDropped, HttpRequest, HttpResponse, Listener
from local.seeds import SUCCEEDED
from tests.harness import OWNER, Event, Functions, event

MESSAGE = event("deliver_webhook.good_succeeded")
DETAIL = json.loads(MESSAGE["Records"][0]["body"])["detail"]
MESSAGE_ID = MESSAGE["Records"][0]["messageId"]
FAILED_MESSAGE = {"batchItemFailures": [{"itemIdentifier": MESSAGE_ID}]}
PROMPT = "Ein Füchslein 🦊 im Schnee"
SECRET_PATH = "/hooks/a-secret-path"

Answering = Callable[[HttpRequest], HttpResponse]


def status(code: int, body: bytes = b"a-private-answer", **headers: str) -> Answering:
    return lambda _: HttpResponse(
        code, "text/plain", body, headers={n.replace("_", "-"): v for n, v in headers.items()}
    )


class Receiver:
    """Keeps what it was sent, and answers as told."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.answer: Answering = status(204, b"")
        self._listener = Listener(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.port}{SECRET_PATH}?key=a-secret-key"
        self._listener.start()

    def _serve(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self.answer(request)

    def close(self) -> None:
        self._listener.close()

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]

    @property
    def told(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def other() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def signing_key(functions: Functions) -> Iterator[Callable[..., SigningKeys]]:
    """Reads the stack's signing key, or puts another one there for the time of the test."""
    arn = functions.stack.deployment.resources["WebhookSigningKeySecret"]
    client = functions.stack.client("secretsmanager")
    before = client.get_secret_value(SecretId=arn)["SecretString"]

    def key(**stored: str) -> SigningKeys:
        if stored:
            client.put_secret_value(SecretId=arn, SecretString=json.dumps(stored))
        return SigningKeys.from_secret(SecretStr(client.get_secret_value(SecretId=arn)["SecretString"]))

    yield key
    client.put_secret_value(SecretId=arn, SecretString=before)


def settled(functions: Functions, callback_url: str | None, to: Status = Status.SUCCEEDED, **facts: Any) -> Task:
    """A stored task with an announced outcome."""
    now = datetime.now(UTC).replace(microsecond=0)
    image = Image(source_url="https://cdn.example.com/a-source.png", key=f"{OWNER}/{SUCCEEDED}/0.png", width=512)
    defaults: dict[str, Any] = {
        "task_id": str(uuid4()), "owner": OWNER, "status": to, "action": "generate", "model": "flux-dev",
        "prompt": PROMPT, "size": "512x512", "count": 1, "provider": "acedata", "created_at": now,
        "updated_at": now, "expires_at": now + timedelta(days=7), "callback_url": callback_url, "announced": to,
        "images": (image,) if to is Status.SUCCEEDED else (),
        "error": TaskError(code="forbidden", message="No.") if to is Status.FAILED else None,
    }  # fmt: skip
    task = Task(**defaults | facts)
    functions.store(task)
    return task


def pending(attempts: int, due_in: timedelta = timedelta(seconds=-1), outcome: Status = Status.SUCCEEDED) -> Delivery:
    return Delivery(outcome=outcome, state=DeliveryState.PENDING, attempts=attempts, next_at=datetime.now(UTC) + due_in)


def message(task: Task, about: Status | None = None) -> Event:
    changed = copy.deepcopy(MESSAGE)
    record = changed["Records"][0]
    outcome = about or task.status
    detail = {**DETAIL, "id": f"{task.task_id}.{outcome}", "task_id": task.task_id, "status": outcome}
    record["body"] = json.dumps({**json.loads(record["body"]), "detail": detail})
    return changed


def delivered(functions: Functions, task: Task, **environment: str) -> Delivery:
    """What the task says after one message about it."""
    assert functions.invoke("deliver_webhook", message(task), **environment) == {"batchItemFailures": []}
    delivery = functions.stored(task.task_id).delivery
    assert delivery
    return delivery


def due_at(functions: Functions, task: Task) -> datetime | None:
    """What the sparse index says."""
    table = functions.stack.deployment.resources["TasksTable"]
    item = functions.stack.client("dynamodb").get_item(TableName=table, Key={"task_id": {"S": task.task_id}})["Item"]
    assert ("due_at" in item) == ("due_shard" in item)
    return datetime.fromisoformat(item["due_at"]["S"]) if "due_at" in item else None


def aws_error(code: str) -> tuple[Any, dict[str, Any]]:
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}
    return type("Response", (), {"status_code": 400, "headers": {}, "content": b""})(), answer


# ---------------------------------------------------------------- the message


def test_a_receiver_gets_the_task_signed_for_its_owner(
    functions: Functions, receiver: Receiver, signing_key: Callable[..., SigningKeys]
) -> None:
    functions.seed()
    task = settled(functions, receiver.url, metadata={"order": "7"})
    assert delivered(functions, task) == Delivery(
        outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1, last_answer="http_204"
    )
    (request,) = receiver.requests
    assert (request.method, request.path, request.query) == ("POST", SECRET_PATH, "key=a-secret-key")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == f"{task.task_id}.succeeded"
    secret = signing_key().secrets(OWNER)[0].get_secret_value()
    told = Webhook(secret).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(signing_key().secrets("another")[0].get_secret_value()).verify(request.body, request.headers)
    assert told["type"] == "task.succeeded"
    assert datetime.fromisoformat(told["timestamp"]) == task.updated_at
    view = told["data"]
    assert (view["task_id"], view["prompt"], view["metadata"]) == (task.task_id, PROMPT, {"order": "7"})
    assert "a-source" not in json.dumps(told)
    assert "callback_url" not in json.dumps(told)
    assert functions.calls == ["secretsmanager:GetSecretValue", "dynamodb:GetItem", "dynamodb:UpdateItem"]
    assert due_at(functions, task) is None


@pytest.mark.parametrize("outcome", [Status.FAILED, Status.EXPIRED])
def test_other_outcomes_are_told_in_the_same_way(functions: Functions, receiver: Receiver, outcome: Status) -> None:
    task = settled(functions, receiver.url, outcome)
    assert delivered(functions, task).state is DeliveryState.DELIVERED
    (told,) = receiver.told
    assert receiver.ids == [f"{task.task_id}.{outcome}"]
    assert (told["type"], told["data"]["status"]) == (f"task.{outcome}", outcome)
    assert told["data"]["error"] == ({"code": "forbidden", "message": "No."} if outcome is Status.FAILED else None)


def test_a_repeated_attempt_has_the_same_id_and_a_new_time_signature_and_urls(
    functions: Functions, receiver: Receiver
) -> None:
    functions.seed()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    task = settled(functions, receiver.url, created_at=yesterday, updated_at=yesterday, delivery=pending(3))
    receiver.answer = status(500)
    delivered(functions, task)
    time.sleep(1.1)
    stored = functions.stored(task.task_id)
    assert stored.delivery
    functions.tasks.update_outcome(stored, delivery=pending(stored.delivery.attempts))
    receiver.answer = status(200)
    delivered(functions, task)
    first, second = receiver.requests
    assert receiver.ids == [f"{task.task_id}.succeeded"] * 2
    for name in ("webhook-timestamp", "webhook-signature"):
        assert first.headers[name] != second.headers[name]
    urls = [told["data"]["images"][0]["url"] for told in receiver.told]
    assert urls[0] != urls[1]
    assert all(requests.get(url, timeout=10).headers["Content-Type"] == "image/png" for url in urls)
    assert {told["timestamp"] for told in receiver.told} == {yesterday.isoformat().replace("+00:00", "Z")}


def test_while_a_rotation_is_under_way_old_and_new_secret_verify(
    functions: Functions, receiver: Receiver, signing_key: Callable[..., SigningKeys]
) -> None:
    old, new = signing_key(current="one"), signing_key(current="two")
    signing_key(current="two", previous="one")
    delivered(functions, settled(functions, receiver.url))
    (request,) = receiver.requests
    for keys in (old, new):
        Webhook(keys.secrets(OWNER)[0].get_secret_value()).verify(request.body, request.headers)


@pytest.mark.parametrize("stored", [{"current": ""}, {"previous": "one"}])
def test_nothing_is_sent_unsigned(
    functions: Functions, receiver: Receiver, signing_key: Callable[..., SigningKeys], stored: dict[str, str]
) -> None:
    client = functions.stack.client("secretsmanager")
    arn = functions.stack.deployment.resources["WebhookSigningKeySecret"]
    client.put_secret_value(SecretId=arn, SecretString=json.dumps(stored))
    task = settled(functions, receiver.url)
    assert functions.invoke("deliver_webhook", message(task)) == FAILED_MESSAGE
    assert receiver.requests == []


def test_fluxgates_own_messages_are_taken_like_the_buss(functions: Functions, receiver: Receiver) -> None:
    task = settled(functions, receiver.url)
    own = message(task)
    own["Records"][0]["body"] = json.dumps({"type": "webhook", "task_id": task.task_id, "status": "succeeded"})
    assert functions.invoke("deliver_webhook", own) == {"batchItemFailures": []}
    assert receiver.ids == [f"{task.task_id}.succeeded"]


# ---------------------------------------------------------------- the answer


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_counts(functions: Functions, receiver: Receiver, code: int) -> None:
    receiver.answer = status(code, b"" if code == 204 else b"a-private-answer")
    delivery = delivered(functions, settled(functions, receiver.url))
    assert (delivery.state, delivery.last_answer) == (DeliveryState.DELIVERED, f"http_{code}")
    assert (functions.metrics()["WebhookDelivered"], "SettledToDelivered" in functions.metrics()) == (1, True)


@pytest.mark.parametrize("code", [300, 301, 304, 400, 401, 403, 404, 409, 429, 500, 503])
def test_nothing_else_does(functions: Functions, receiver: Receiver, code: int) -> None:
    receiver.answer = status(code, b"" if code == 304 else b"a-private-answer")
    task = settled(functions, receiver.url)
    begun = datetime.now(UTC)
    delivery = delivered(functions, task)
    assert (delivery.state, delivery.attempts, delivery.last_answer) == (DeliveryState.PENDING, 1, f"http_{code}")
    assert delivery.next_at
    assert begun + RETRY_AFTER[0] <= delivery.next_at <= datetime.now(UTC) + RETRY_AFTER[0]
    assert due_at(functions, task) == delivery.next_at
    assert functions.metrics()["WebhookFailed"] == 1


def test_the_wait_begins_with_the_answer(functions: Functions, receiver: Receiver) -> None:
    answered: list[datetime] = []

    def late(_: HttpRequest) -> HttpResponse:
        time.sleep(0.2)
        answered.append(datetime.now(UTC))
        return HttpResponse(500, "text/plain", b"")

    receiver.answer = late
    next_at = delivered(functions, settled(functions, receiver.url)).next_at
    assert next_at
    assert next_at >= answered[0] + RETRY_AFTER[0]


def test_a_redirect_is_not_followed_and_its_body_is_not_read(
    functions: Functions, receiver: Receiver, other: Receiver
) -> None:
    def endless() -> Iterator[bytes]:
        begun = time.monotonic()
        while time.monotonic() - begun < 20:
            yield b"x" * 65536

    receiver.answer = lambda _: HttpResponse(307, "text/plain", endless(), headers={"Location": other.url})
    begun = time.monotonic()
    delivery = delivered(functions, settled(functions, receiver.url))
    assert time.monotonic() - begun < 10
    assert (delivery.state, delivery.last_answer) == (DeliveryState.PENDING, "http_307")
    assert (len(receiver.requests), other.requests) == (1, [])


def test_gone_ends_it(functions: Functions, receiver: Receiver) -> None:
    receiver.answer = status(410, Retry_After="60")
    task = settled(functions, receiver.url)
    delivery = delivered(functions, task)
    assert (delivery.state, delivery.next_at, delivery.last_answer) == (DeliveryState.GIVEN_UP, None, "http_410")
    assert due_at(functions, task) is None
    delivered(functions, task)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("code", [429, 503, 500])
def test_retry_after_is_honoured(functions: Functions, receiver: Receiver, form: str, code: int) -> None:
    begun = datetime.now(UTC)
    wanted = format_datetime(begun + timedelta(hours=2), usegmt=True) if form == "date" else "7200"
    receiver.answer = status(code, Retry_After=wanted)
    task = settled(functions, receiver.url)
    next_at = delivered(functions, task).next_at
    assert next_at
    assert timedelta(seconds=-1) <= next_at - begun - timedelta(hours=2) <= timedelta(seconds=10)
    assert due_at(functions, task) == next_at


@pytest.mark.parametrize("wish", ["soon", "-1", "9" * 5000, "Sun, 99999999999999999999 Nov 2026 12:05:00 GMT"])
def test_a_malicious_retry_after_is_no_way_out(functions: Functions, receiver: Receiver, wish: str) -> None:
    receiver.answer = status(503, Retry_After=wish)
    delivery = delivered(functions, settled(functions, receiver.url))
    assert (delivery.attempts, delivery.next_at is not None) == (1, True)


def test_a_receiver_that_never_answers_is_tried_for_more_than_a_day_and_then_given_up_visibly(
    functions: Functions, receiver: Receiver
) -> None:
    receiver.answer = status(500)
    task = settled(functions, receiver.url)
    waited = timedelta(0)
    for attempts in range(1, len(RETRY_AFTER) + 1):
        delivery = delivered(functions, task)
        assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, attempts)
        assert delivery.next_at
        waited += delivery.next_at - datetime.now(UTC)
        functions.tasks.update_outcome(
            functions.stored(task.task_id), delivery=pending(attempts)
        )  # the time has passed
    assert waited > timedelta(days=1)
    given_up = delivered(functions, task)
    assert given_up == Delivery(
        outcome=Status.SUCCEEDED,
        state=DeliveryState.GIVEN_UP,
        attempts=len(RETRY_AFTER) + 1,
        last_answer="http_500",
    )
    assert due_at(functions, task) is None
    assert functions.metrics()["WebhookGivenUp"] == 1
    assert functions.metrics()["WebhookFailed"] == len(RETRY_AFTER)
    asking = event("read_tasks.good_task")
    asking["path"] = f"/v1/tasks/{task.task_id}"
    asking["pathParameters"] = {"task_id": task.task_id}
    assert functions.http("read_tasks", asking).body["webhook"] == {
        "state": "given_up", "attempts": len(RETRY_AFTER) + 1, "next_at": None, "last_answer": "http_500",
    }  # fmt: skip
    assert set(receiver.ids) == {f"{task.task_id}.succeeded"}


# ---------------------------------------------------------------- when nothing is sent

NOTHING_TO_SEND: dict[str, dict[str, Any]] = {
    "delivered": {"delivery": Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1)},
    "given up": {"delivery": Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.GIVEN_UP, attempts=9)},
    "too early": {"delivery": pending(1, timedelta(hours=1))},
    "a late result is being archived": {"to": Status.GENERATED},
    "still open": {"to": Status.SUBMITTED},
    "another outcome": {"to": Status.EXPIRED},
    "nobody wants it": {"callback_url": None},
}


@pytest.mark.parametrize("name", NOTHING_TO_SEND)
def test_a_message_that_is_repeated_early_or_old_sends_nothing(
    functions: Functions, receiver: Receiver, name: str
) -> None:
    task = settled(functions, **{"callback_url": receiver.url, **NOTHING_TO_SEND[name]})
    before = functions.stored(task.task_id)
    assert functions.invoke("deliver_webhook", message(task, Status.SUCCEEDED)) == {"batchItemFailures": []}
    assert (receiver.requests, functions.stored(task.task_id)) == ([], before)
    assert "dynamodb:UpdateItem" not in functions.calls


def test_a_task_that_is_gone_is_no_error(functions: Functions, receiver: Receiver) -> None:
    assert functions.invoke("deliver_webhook", MESSAGE | message_of_nobody()) == {"batchItemFailures": []}


def message_of_nobody() -> Event:
    changed = copy.deepcopy(MESSAGE)
    record = changed["Records"][0]
    record["body"] = record["body"].replace("000000000005", "00000000dead")
    return changed


def test_a_message_that_makes_no_sense_is_left_to_the_dead_letters(functions: Functions) -> None:
    assert len(functions.invoke("deliver_webhook", event("deliver_webhook.bad_message"))["batchItemFailures"]) == 1
    assert functions.calls == []
    assert functions.metrics()["MessageFailed"] == 1


def test_a_late_success_is_a_webhook_of_its_own(functions: Functions, receiver: Receiver) -> None:
    task = settled(functions, receiver.url, Status.EXPIRED)
    delivered(functions, task)
    images = (Image(source_url="https://cdn.example.com/late.png", key=f"{OWNER}/{SUCCEEDED}/0.png"),)
    functions.tasks.transition(task.task_id, Status.GENERATED, images=images)
    late = functions.tasks.transition(task.task_id, Status.SUCCEEDED)
    functions.tasks.update_outcome(late, announced=Status.SUCCEEDED)
    assert functions.invoke("deliver_webhook", message(task)) == {"batchItemFailures": []}  # the old one, again
    delivery = delivered(functions, late)
    assert (delivery.outcome, delivery.attempts) == (Status.SUCCEEDED, 1)
    assert receiver.ids == [f"{task.task_id}.expired", f"{task.task_id}.succeeded"]
    assert [told["type"] for told in receiver.told] == ["task.expired", "task.succeeded"]
    assert due_at(functions, task) is None


# ---------------------------------------------------------------- races and crashes


def test_a_late_result_during_the_attempt_is_not_overwritten(functions: Functions, receiver: Receiver) -> None:
    task = settled(functions, receiver.url, Status.EXPIRED)

    def meanwhile(_: HttpRequest) -> HttpResponse:
        functions.tasks.transition(task.task_id, Status.GENERATED, images=())
        return HttpResponse(200, "text/plain", b"")

    receiver.answer = meanwhile
    assert functions.invoke("deliver_webhook", message(task)) == {"batchItemFailures": []}
    stored = functions.stored(task.task_id)
    assert (stored.status, stored.delivery) == (Status.GENERATED, None)
    assert due_at(functions, task)


def test_two_messages_at_once_count_one_attempt(functions: Functions, receiver: Receiver) -> None:
    task = settled(functions, receiver.url)
    other = Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.DELIVERED, attempts=1, last_answer="http_200")

    def meanwhile(_: HttpRequest) -> HttpResponse:
        functions.tasks.update_outcome(functions.stored(task.task_id), delivery=other)
        return HttpResponse(500, "text/plain", b"")

    receiver.answer = meanwhile
    assert delivered(functions, task) == other
    assert due_at(functions, task) is None
    assert "WebhookFailed" not in functions.metrics()


def test_a_task_that_ends_during_the_attempt_is_not_created_anew(functions: Functions, receiver: Receiver) -> None:
    task = settled(functions, receiver.url)
    table = functions.stack.deployment.resources["TasksTable"]
    key = {"task_id": {"S": task.task_id}}

    def meanwhile(_: HttpRequest) -> HttpResponse:
        functions.stack.client("dynamodb").delete_item(TableName=table, Key=key)
        return HttpResponse(200, "text/plain", b"")

    receiver.answer = meanwhile
    assert functions.invoke("deliver_webhook", message(task)) == {"batchItemFailures": []}
    assert "Item" not in functions.stack.client("dynamodb").get_item(TableName=table, Key=key)


@pytest.mark.parametrize("call", ["GetSecretValue", "GetItem", "UpdateItem"])
def test_a_message_whose_delivery_could_not_be_noted_comes_again_with_the_same_id(
    functions: Functions, receiver: Receiver, call: str
) -> None:
    task = settled(functions, receiver.url)
    functions.before_call = lambda model, **_: aws_error("ThrottlingException") if model.name == call else None
    assert functions.invoke("deliver_webhook", message(task)) == FAILED_MESSAGE
    assert len(receiver.requests) == (1 if call == "UpdateItem" else 0)
    functions.before_call = lambda **_: None
    assert delivered(functions, task).state is DeliveryState.DELIVERED
    assert set(receiver.ids) == {f"{task.task_id}.succeeded"}
    assert functions.metrics()["WebhookDelivered"] == 1


def test_a_task_that_has_moved_cannot_be_noted(functions: Functions) -> None:
    """What the workflow relies on."""
    task = settled(functions, None, Status.FAILED)
    functions.tasks.transition(task.task_id, Status.GENERATED)
    with pytest.raises(InvalidTransition):
        functions.tasks.update_outcome(task, delivery=pending(1))


# ---------------------------------------------------------------- receivers that misbehave

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"


def raw(*parts: bytes, pause: float = 0.0, last: float = 0.0) -> Answering:
    """Bytes on the wire, `pause` seconds apart, and `last` seconds of silence at the end."""

    def answer(request: HttpRequest) -> HttpResponse:
        for part in parts:
            request.connection.sendall(part)
            time.sleep(pause)
        begun = time.monotonic()
        while time.monotonic() - begun < last and not request.disconnected:
            time.sleep(0.02)
        raise ConnectionDropped

    return answer


SLOW = {
    "silence": (raw(last=30), "too_slow"),
    "a trickle of headers": (raw(b"HTTP/1.1 200 OK\r\n", *[b"x"] * 400, pause=0.05), "too_slow"),
    "a trickle before the status": (raw(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 400, pause=0.05), "too_slow"),
    "a hanging body": (raw(HEAD + b"\r\n", last=30), "http_200"),
    "a trickle of body": (raw(HEAD + b"\r\n", *[b"x"] * 400, pause=0.05), "http_200"),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_receiver_that_hangs_or_trickles_does_not_outlast_the_function(
    functions: Functions, receiver: Receiver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "RECEIVER_SECONDS", 0.6)
    receiver.answer, summary = SLOW[name]
    begun = time.monotonic()
    delivery = delivered(functions, settled(functions, receiver.url))
    assert time.monotonic() - begun < 10
    assert delivery.last_answer == summary
    assert delivery.state is (DeliveryState.DELIVERED if summary == "http_200" else DeliveryState.PENDING)


def test_what_a_receiver_may_take_leaves_time_for_the_writes(functions: Functions) -> None:
    assert functions.stack.deployment.functions["deliver_webhook"].timeout > receivers.RECEIVER_SECONDS + 10


BROKEN = {
    "closed": raw(),
    "reset": raw(),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "endless headers": raw(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 200, last=1),
    "a huge header": raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, last=1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_failed_attempt(functions: Functions, receiver: Receiver, name: str) -> None:
    def reset(_: HttpRequest) -> HttpResponse:
        raise ConnectionDropped(reset=True)

    receiver.answer = reset if name == "reset" else BROKEN[name]
    delivery = delivered(functions, settled(functions, receiver.url))
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)
    assert delivery.last_answer in {"ConnectionError", "ChunkedEncodingError"}


BODIES = {
    "huge": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1_000_000, last=1),
    "truncated": raw(HEAD + b"\r\nhalf"),
    "a bad chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "bad gzip": raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "until the end": raw(b"HTTP/1.1 200 OK\r\n\r\na-private-answer"),
}


@pytest.mark.parametrize("name", BODIES)
def test_after_a_2xx_the_body_does_not_matter(functions: Functions, receiver: Receiver, name: str) -> None:
    receiver.answer = BODIES[name]
    assert delivered(functions, settled(functions, receiver.url)).state is DeliveryState.DELIVERED


def test_nobody_listens(functions: Functions) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/"):
        assert delivered(functions, settled(functions, url)).last_answer == "ConnectionError"


# ---------------------------------------------------------------- addresses

PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0", "localhost", "10.0.0.1",
    "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "224.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_at_aws_a_private_address_is_never_connected_to(functions: Functions, host: str) -> None:
    """However it came into the table: requests refuse these already."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        task = settled(functions, f"https://{host}:{listener.getsockname()[1]}/hook")
        delivery = delivered(functions, task, ALLOW_LOCAL_URLS="")
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (delivery.state, delivery.attempts, delivery.last_answer) == (DeliveryState.PENDING, 1, "address_not_public")


def test_at_aws_only_https_is_used(functions: Functions, receiver: Receiver) -> None:
    assert delivered(functions, settled(functions, receiver.url), ALLOW_LOCAL_URLS="").last_answer == "not_https"
    assert receiver.requests == []


class Names:
    """What the resolver says of `hooks.fluxgate.dev`, one answer after the other, and where connections go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.asked: list[str] = []
        self.connected: list[str] = []
        self.served_at: tuple[str, int] | None = None
        self._addresses = iter(addresses)
        self._resolve, self._connect = socket.getaddrinfo, socket.socket.connect
        self._thread = get_ident()

        def connect(connection: socket.socket, address: Any) -> None:
            self.connect(connection, address)

        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)
        monkeypatch.setattr(socket.socket, "connect", connect)
        # 203.0.113.0/24 is for documentation: for these tests it is public.
        monkeypatch.setattr("requests_hardened.ip_filter.ipaddress.IPv4Address.is_private", property(_is_private))

    def resolve(self, host: str, *arguments: Any, **options: Any) -> Any:
        if host != "hooks.fluxgate.dev":
            return self._resolve(host, *arguments, **options)
        self.asked.append(host)
        address = next(self._addresses)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        place = (address, 443, 0, 0) if ":" in address else (address, 443)
        return [(family, socket.SOCK_STREAM, 6, "", place)]

    def connect(self, connection: socket.socket, address: Any) -> None:
        if get_ident() != self._thread:  # a local stack that lives in this process
            self._connect(connection, address)
            return
        self.connected.append(address[0])
        if self.served_at is None:
            raise OSError("not in this test")
        self._connect(connection, self.served_at)


def _is_private(address: Any) -> bool:
    return not str(address).startswith("203.0.113.")


HOOK = "https://hooks.fluxgate.dev/hook"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1", "fd00::1", "fe80::1"],
)
def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    names = Names(monkeypatch, address)
    answer = Receivers(allow_local=False).post(HOOK, b"{}", {})
    assert (answer.status, answer.summary, names.connected) == (None, "address_not_public", [])


def test_a_name_that_changes_its_address_is_checked_at_each_delivery_and_connected_to_where_it_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(monkeypatch, "203.0.113.1", "127.0.0.1")
    receivers = Receivers(allow_local=False)
    assert receivers.post(HOOK, b"{}", {}).summary == "ConnectionError"
    assert (names.asked, set(names.connected)) == (["hooks.fluxgate.dev"], {"203.0.113.1"})
    assert receivers.post(HOOK, b"{}", {}).summary == "address_not_public"
    assert set(names.connected) == {"203.0.113.1"}


@pytest.fixture
def ca(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> trustme.CA:
    ca = trustme.CA()
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(bundle))
    return ca


class TlsReceiver:
    """One connection, one answer."""

    def __init__(self, ca: trustme.CA, name: str, *, shakes_hands: bool = True) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(name).configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.address = self._listener.getsockname()
        self.heard = b""
        self._thread = Thread(target=self._serve if shakes_hands else self._trickle)

    def __enter__(self) -> "TlsReceiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            try:
                with self._context.wrap_socket(connection, server_side=True) as secured:
                    while not self.heard.endswith(b"{}") and (part := secured.recv(65536)):
                        self.heard += part
                    secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                return

    def _trickle(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            try:
                for byte in b"\x16\x03\x03\x3f\xff" + b"\x02\x00\x3f\x00" + b"\x03" * 400:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                return


def test_the_checked_address_is_spoken_to_under_its_name(monkeypatch: pytest.MonkeyPatch, ca: trustme.CA) -> None:
    names = Names(monkeypatch, "203.0.113.1")
    with TlsReceiver(ca, "hooks.fluxgate.dev") as server:
        names.served_at = server.address
        assert Receivers(allow_local=False).post(HOOK, b"{}", {}).summary == "http_200"
    assert b"POST /hook HTTP/1.1\r\n" in server.heard
    assert b"Host: hooks.fluxgate.dev\r\n" in server.heard


def test_a_certificate_for_another_name_is_not_accepted(monkeypatch: pytest.MonkeyPatch, ca: trustme.CA) -> None:
    names = Names(monkeypatch, "203.0.113.1")
    with TlsReceiver(ca, "other.fluxgate.dev") as server:
        names.served_at = server.address
        assert Receivers(allow_local=False).post(HOOK, b"{}", {}).summary == "SSLError"
    assert server.heard == b""


def test_a_handshake_that_trickles_is_left(monkeypatch: pytest.MonkeyPatch, ca: trustme.CA) -> None:
    monkeypatch.setattr(receivers, "RECEIVER_SECONDS", 0.6)
    names = Names(monkeypatch, "203.0.113.1")
    begun = time.monotonic()
    with TlsReceiver(ca, "hooks.fluxgate.dev", shakes_hands=False) as server:
        names.served_at = server.address
        assert Receivers(allow_local=False).post(HOOK, b"{}", {}).summary == "too_slow"
    assert time.monotonic() - begun < 10


def test_a_name_that_is_looked_up_for_too_long_is_not_posted_to(
    monkeypatch: pytest.MonkeyPatch, ca: trustme.CA
) -> None:
    monkeypatch.setattr(receivers, "RECEIVER_SECONDS", 0.2)
    names = Names(monkeypatch, "203.0.113.1")

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.5)
        return names.resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with TlsReceiver(ca, "hooks.fluxgate.dev") as server:
        names.served_at = server.address
        assert Receivers(allow_local=False).post(HOOK, b"{}", {}).summary == "too_slow"
    assert server.heard == b""


# ---------------------------------------------------------------- logs


def test_logs_hold_the_task_and_neither_urls_nor_bodies_nor_secrets(
    functions: Functions,
    receiver: Receiver,
    signing_key: Callable[..., SigningKeys],
    caplog: pytest.LogCaptureFixture,
) -> None:
    functions.seed()
    answers = [
        status(200),
        status(500),
        status(410),
        raw(b"HTTP/1.1 200 OK\r\na-private-answer\r\n\r\n"),
        raw(b"x\r\n"),
    ]
    for answer in answers:
        receiver.answer = answer
        task = settled(functions, receiver.url)
        functions.invoke("deliver_webhook", message(task))
    functions.invoke("deliver_webhook", message(settled(functions, receiver.url)), ALLOW_LOCAL_URLS="")
    private = settled(functions, f"https://localhost{SECRET_PATH}")
    functions.invoke("deliver_webhook", message(private), ALLOW_LOCAL_URLS="")
    assert len(receiver.requests) == len(answers)
    logs = functions.logs() + caplog.text
    assert task.task_id in logs
    secret = signing_key().secrets(OWNER)[0].get_secret_value()
    for word in ("a-secret", "127.0.0.1", "localhost", "a-private-answer", "Füchslein", "F\\u00fcchslein", "X-Amz",
                 secret, secret.removeprefix("whsec_"), receiver.requests[0].headers["webhook-signature"]):  # fmt: skip
        assert word not in logs
