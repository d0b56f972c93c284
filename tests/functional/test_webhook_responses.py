"""Responses of webhook receivers: which ones count, when the next try is due, and receivers that misbehave."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from fluxgate.outcomes import receivers
from fluxgate.outcomes.delivery import RETRY_AFTER
from fluxgate.tasks.model import Delivery, DeliveryState, Status
from local.providers.listener import ConnectionDropped, HttpRequest, HttpResponse
from tests.functional.storage import stored_due_at
from tests.functional.webhooks import (
    Receiver,
    Responder,
    deliver,
    pending,
    responding,
    responding_bytes,
    store_outcome,
)
from tests.harness import Functions, event


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def redirect_target() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


# ---------------------------------------------------------------- statuses


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_delivery(functions: Functions, receiver: Receiver, code: int) -> None:
    receiver.respond = responding(code, b"" if code == 204 else b"a-private-response")
    delivery = deliver(functions, store_outcome(functions, receiver.url))
    assert (delivery.state, delivery.last_answer) == (DeliveryState.DELIVERED, f"http_{code}")
    assert (functions.metrics()["WebhookDelivered"], "SettledToDelivered" in functions.metrics()) == (1, True)


@pytest.mark.parametrize("code", [300, 301, 304, 400, 401, 403, 404, 409, 429, 500, 503])
def test_other_statuses_are_retried(functions: Functions, receiver: Receiver, code: int) -> None:
    receiver.respond = responding(code, b"" if code == 304 else b"a-private-response")
    task = store_outcome(functions, receiver.url)
    started_at = datetime.now(UTC)
    delivery = deliver(functions, task)
    assert (delivery.state, delivery.attempts, delivery.last_answer) == (DeliveryState.PENDING, 1, f"http_{code}")
    assert delivery.next_at
    assert started_at + RETRY_AFTER[0] <= delivery.next_at <= datetime.now(UTC) + RETRY_AFTER[0]
    assert stored_due_at(functions, task.task_id) == delivery.next_at
    assert functions.metrics()["WebhookFailed"] == 1


def test_delay_starts_with_the_response(functions: Functions, receiver: Receiver) -> None:
    responded_at: list[datetime] = []

    def respond_late(_: HttpRequest) -> HttpResponse:
        time.sleep(0.2)
        responded_at.append(datetime.now(UTC))
        return HttpResponse(500, "text/plain", b"")

    receiver.respond = respond_late
    next_at = deliver(functions, store_outcome(functions, receiver.url)).next_at
    assert next_at
    assert next_at >= responded_at[0] + RETRY_AFTER[0]


def test_redirect_is_not_followed_and_its_body_is_not_read(
    functions: Functions, receiver: Receiver, redirect_target: Receiver
) -> None:
    def body() -> Iterator[bytes]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            yield b"x" * 65536

    receiver.respond = lambda _: HttpResponse(307, "text/plain", body(), headers={"Location": redirect_target.url})
    started = time.monotonic()
    delivery = deliver(functions, store_outcome(functions, receiver.url))
    assert time.monotonic() - started < 30
    assert (delivery.state, delivery.last_answer) == (DeliveryState.PENDING, "http_307")
    assert (len(receiver.requests), redirect_target.requests) == (1, [])


def test_410_gives_up_at_once(functions: Functions, receiver: Receiver) -> None:
    receiver.respond = responding(410, Retry_After="60")
    task = store_outcome(functions, receiver.url)
    delivery = deliver(functions, task)
    assert (delivery.state, delivery.next_at, delivery.last_answer) == (DeliveryState.GIVEN_UP, None, "http_410")
    assert stored_due_at(functions, task.task_id) is None
    deliver(functions, task)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("code", [429, 503, 500])
def test_retry_after_is_respected(functions: Functions, receiver: Receiver, form: str, code: int) -> None:
    delay = timedelta(hours=2)
    started_at = datetime.now(UTC)
    receiver.respond = responding(
        code, Retry_After=format_datetime(started_at + delay, usegmt=True) if form == "date" else "7200"
    )
    task = store_outcome(functions, receiver.url)
    next_at = deliver(functions, task).next_at
    ended_at = datetime.now(UTC)
    assert next_at
    assert started_at + delay - timedelta(seconds=1) <= next_at <= ended_at + delay  # dates have whole seconds
    assert stored_due_at(functions, task.task_id) == next_at


@pytest.mark.parametrize("value", ["soon", "-1", "9" * 5000, "Sun, 99999999999999999999 Nov 2026 12:05:00 GMT"])
def test_invalid_retry_after_does_not_prevent_a_retry(functions: Functions, receiver: Receiver, value: str) -> None:
    receiver.respond = responding(503, Retry_After=value)
    delivery = deliver(functions, store_outcome(functions, receiver.url))
    assert (delivery.attempts, delivery.next_at is not None) == (1, True)


def test_failing_receiver_is_retried_for_more_than_a_day_and_then_given_up(
    functions: Functions, receiver: Receiver
) -> None:
    receiver.respond = responding(500)
    task = store_outcome(functions, receiver.url)
    total_delay = timedelta(0)
    for tries in range(1, len(RETRY_AFTER) + 1):
        delivery = deliver(functions, task)
        assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, tries)
        assert delivery.next_at
        total_delay += delivery.next_at - datetime.now(UTC)
        functions.tasks.update_outcome(functions.stored(task.task_id), delivery=pending(tries))  # due now
    assert total_delay > timedelta(days=1)
    tries = len(RETRY_AFTER) + 1
    assert deliver(functions, task) == Delivery(
        outcome=Status.SUCCEEDED, state=DeliveryState.GIVEN_UP, attempts=tries, last_answer="http_500"
    )
    assert stored_due_at(functions, task.task_id) is None
    assert functions.metrics()["WebhookGivenUp"] == 1
    assert functions.metrics()["WebhookFailed"] == len(RETRY_AFTER)
    read = event("read_tasks.good_task")
    read["path"] = f"/v1/tasks/{task.task_id}"
    read["pathParameters"] = {"task_id": task.task_id}
    assert functions.http("read_tasks", read).body["webhook"] == {
        "state": "given_up", "attempts": tries, "next_at": None, "last_answer": "http_500",
    }  # fmt: skip
    assert set(receiver.ids) == {f"{task.task_id}.succeeded"}


# ---------------------------------------------------------------- slow and broken receivers

HEAD_200 = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"

# Each takes at least 60 seconds without a limit. The limits of those that send a status leave time to receive it.
SLOW: dict[str, tuple[Responder, float, str]] = {
    "silence": (responding_bytes(silence=60), 0.6, "too_slow"),
    "slow headers": (responding_bytes(b"HTTP/1.1 200 OK\r\n", *[b"x"] * 1200, pause=0.05), 0.6, "too_slow"),
    "no final status": (
        responding_bytes(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 1200, pause=0.05), 0.6, "too_slow"
    ),
    "no body": (responding_bytes(HEAD_200 + b"\r\n", silence=60), 3.0, "http_200"),
    "slow body": (responding_bytes(HEAD_200 + b"\r\n", *[b"x"] * 1200, pause=0.05), 3.0, "http_200"),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_slow_receiver_is_cut_off(
    functions: Functions, receiver: Receiver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.respond, limit, summary = SLOW[name]
    monkeypatch.setattr(receivers, "RECEIVER_SECONDS", limit)
    started = time.monotonic()
    delivery = deliver(functions, store_outcome(functions, receiver.url))
    assert time.monotonic() - started < 30
    assert delivery.last_answer == summary
    assert delivery.state is (DeliveryState.DELIVERED if summary == "http_200" else DeliveryState.PENDING)


def test_function_timeout_leaves_time_for_the_writes(functions: Functions) -> None:
    assert functions.stack.deployment.functions["deliver_webhook"].timeout > receivers.RECEIVER_SECONDS + 10


BROKEN = {
    "closed": responding_bytes(),
    "reset": responding_bytes(),
    "not HTTP": responding_bytes(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "endless headers": responding_bytes(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 200, silence=1),
    "a huge header": responding_bytes(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, silence=1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_response_is_a_failed_delivery_try(functions: Functions, receiver: Receiver, name: str) -> None:
    def reset(_: HttpRequest) -> HttpResponse:
        raise ConnectionDropped(reset=True)

    receiver.respond = reset if name == "reset" else BROKEN[name]
    delivery = deliver(functions, store_outcome(functions, receiver.url))
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)
    assert delivery.last_answer in {"ConnectionError", "ChunkedEncodingError"}


BODIES = {
    "huge": responding_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1_000_000, silence=1),
    "truncated": responding_bytes(HEAD_200 + b"\r\nhalf"),
    "a bad chunk": responding_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "bad gzip": responding_bytes(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "without a length": responding_bytes(b"HTTP/1.1 200 OK\r\n\r\na-private-response"),
}


@pytest.mark.parametrize("name", BODIES)
def test_body_of_a_2xx_response_does_not_matter(functions: Functions, receiver: Receiver, name: str) -> None:
    receiver.respond = BODIES[name]
    assert deliver(functions, store_outcome(functions, receiver.url)).state is DeliveryState.DELIVERED


def test_unreachable_receiver_is_a_failed_delivery_try(functions: Functions) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/"):
        assert deliver(functions, store_outcome(functions, url)).last_answer == "ConnectionError"
