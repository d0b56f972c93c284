"""Webhooks over real HTTP: a receiver, tasks with an outcome, and messages about them."""

import copy
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from fluxgate.tasks.model import Delivery, DeliveryState, Image, Status, Task, TaskError
from local.providers.listener import ConnectionDropped, HttpRequest, HttpResponse, Listener
from local.seeds import SUCCEEDED
from tests.builders import a_task
from tests.harness import OWNER, Event, Functions, event

MESSAGE = event("deliver_webhook.good_succeeded")
DETAIL = json.loads(MESSAGE["Records"][0]["body"])["detail"]
PROMPT = "Ein Füchslein 🦊 im Schnee"
SECRET_PATH = "/hooks/a-secret-path"

Responder = Callable[[HttpRequest], HttpResponse]


class Receiver:
    """Records requests and sends the response of `respond`, by default 204."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.respond: Responder = responding(204, b"")
        self._listener = Listener(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.port}{SECRET_PATH}?key=a-secret-key"

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self.respond(request)

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]

    @property
    def payloads(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests]


def responding(status: int, body: bytes = b"a-private-response", **headers: str) -> Responder:
    return lambda _: HttpResponse(
        status, "text/plain", body, headers={n.replace("_", "-"): v for n, v in headers.items()}
    )


def responding_bytes(*parts: bytes, pause: float = 0.0, silence: float = 0.0) -> Responder:
    """Send the parts `pause` seconds apart, keep the connection open for `silence` seconds, then close it."""

    def respond(request: HttpRequest) -> HttpResponse:
        for part in parts:
            request.connection.sendall(part)
            time.sleep(pause)
        deadline = time.monotonic() + silence
        while time.monotonic() < deadline and not request.disconnected:
            time.sleep(0.02)
        raise ConnectionDropped

    return respond


def store_outcome(
    functions: Functions, callback_url: str | None, status: Status = Status.SUCCEEDED, **fields: Any
) -> Task:
    """A stored task with an announced outcome."""
    image = Image(source_url="https://cdn.example.com/a-source.png", key=f"{OWNER}/{SUCCEEDED}/0.png", width=512)
    defaults: dict[str, Any] = {
        "prompt": PROMPT,
        "announced": status,
        "images": (image,) if status is Status.SUCCEEDED else (),
        "error": TaskError(code="forbidden", message="No.") if status is Status.FAILED else None,
    }
    task = a_task(status=status, callback_url=callback_url, **defaults | fields)
    functions.store(task)
    return task


def pending(tries: int, due_in: timedelta = timedelta(seconds=-1)) -> Delivery:
    """A delivery of a success after so many failed tries."""
    next_at = datetime.now(UTC) + due_in
    return Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.PENDING, attempts=tries, next_at=next_at)


def message(task: Task, status: Status | None = None) -> Event:
    """The message about an outcome of the task, by default its current one."""
    changed = copy.deepcopy(MESSAGE)
    record = changed["Records"][0]
    outcome = status or task.status
    detail = {**DETAIL, "id": f"{task.task_id}.{outcome}", "task_id": task.task_id, "status": outcome}
    record["body"] = json.dumps({**json.loads(record["body"]), "detail": detail})
    return changed


def deliver(functions: Functions, task: Task, **environment: str) -> Delivery:
    """Process one message about the task's outcome and return the stored delivery."""
    assert functions.invoke("deliver_webhook", message(task), **environment) == {"batchItemFailures": []}
    delivery = functions.stored(task.task_id).delivery
    assert delivery
    return delivery
