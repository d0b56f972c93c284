"""Webhook receivers: some work, some fail at first, some fail permanently. Verifies each delivery on arrival."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Self

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.chaos.http_server import BackgroundServer, SilentHandler
from tests.chaos.journal import Journal
from tests.chaos.plan import Plan
from tests.chaos.random_source import RandomSource

HANG = 20  # seconds; longer than fluxgate's timeout
KILL_RATE = 0.04  # of the first deliveries, before the response


@dataclass(frozen=True)
class Delivery:
    number: int
    webhook_id: str
    status: int | None  # of the response; None if the connection was dropped
    problem: str | None  # what is wrong with the webhook


class Receivers:
    """A context manager. `secrets` maps each owner to its webhook secret."""

    def __init__(self, rng: RandomSource, journal: Journal, kill: Callable[[int | None, str, str], None]) -> None:
        """`kill(number, function, reason)` ends the function's process that handles a task."""
        self.deliveries: list[Delivery] = []
        self.followed_redirects = 0
        self.secrets: dict[str, str] = {}
        self._rng, self._journal, self._kill = rng, journal, kill
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._lock = Lock()
        self._server = _Server(self)
        self.url = f"{self._server.url}/hooks"

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> int | None:
        """The status of the response; None drops the connection."""
        if "/elsewhere/" in path:
            self.followed_redirects += 1
            return 200
        number = int(path.rpartition("/")[2])
        webhook_id = headers.get("webhook-id", "")
        with self._lock:
            index = self._counts[webhook_id]
            self._counts[webhook_id] += 1
        # Only at the first: after the third failure the next try comes half an hour later, which is a minute here.
        killed = index == 0 and self._rng.chance(
            KILL_RATE, webhook_id.rpartition(".")[2], number, index, "killed while delivering"
        )
        if killed:
            self._kill(number, "deliver_webhook", "function killed while delivering")
        plan = Plan(number, self._rng)
        status = _status(plan, index)
        problem = self._problem(plan, headers, body)
        self.deliveries.append(Delivery(number, webhook_id, status, problem))
        self._journal.record(number, "receiver", f"{webhook_id}: {status}{', ' + problem if problem else ''}")
        if plan.receiver == "hangs at first" and index == 0:
            time.sleep(HANG)
        return None if killed else status

    def _problem(self, plan: Plan, headers: dict[str, str], body: bytes) -> str | None:
        try:
            message = Webhook(self.secrets[plan.owner]).verify(body, headers)
        except WebhookVerificationError as error:
            return str(error)
        webhook_id, task = headers["webhook-id"], message["data"]
        if webhook_id != f"{task['task_id']}.{task['status']}" or message["type"] != f"task.{task['status']}":
            return f"the body is about {task['task_id']}.{task['status']}, the type is {message['type']}"
        return None if self._journal.number_of(task["task_id"]) == plan.number else "about another task"


def _status(plan: Plan, index: int) -> int | None:
    failures = plan.rng.randint(1, 2, plan.number, "failures of the receiver")
    always = {"always redirects": 302, "always fails": 503, "gone": 410}
    at_first = {
        "fails at first": 500,
        "redirects at first": 307,
        "drops the connection at first": None,
        "hangs at first": None,
    }
    if plan.receiver in at_first and index < (failures if plan.receiver == "fails at first" else 1):
        return at_first[plan.receiver]
    return always.get(plan.receiver, 204)


class _Server(BackgroundServer):
    def __init__(self, receivers: Receivers) -> None:
        super().__init__(_Handler, "receivers")
        self.receivers = receivers


class _Handler(SilentHandler):
    server: _Server

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.receivers.receive(self.path, headers, body)
        if status is None:
            return
        self.send_response(status)
        if status in {302, 307}:
            self.send_header("Location", f"{self.server.receivers.url}/elsewhere/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - a followed redirect
