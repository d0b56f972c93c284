"""Receivers of webhooks: some work, some fail for a while, some for ever. What they get is checked on arrival."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Self

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.chaos.dice import Dice
from tests.chaos.journal import Journal
from tests.chaos.plan import Plan
from tests.chaos.quiet import QuietHandler, QuietServer

HANG = 20  # seconds; longer than fluxgate waits
KILLED = 0.04  # of the first deliveries, before they are answered


@dataclass(frozen=True)
class Delivery:
    number: int
    webhook_id: str
    status: int | None  # what was answered
    fault: str | None  # what is wrong with it


class Receivers:
    """A context manager. `secrets` maps an owner to the secret of its webhooks."""

    def __init__(self, dice: Dice, journal: Journal, kill: Callable[[int | None, str, str], None]) -> None:
        self.deliveries: list[Delivery] = []
        self.followed = 0  # redirects
        self.secrets: dict[str, str] = {}
        self._dice, self._journal, self._kill = dice, journal, kill
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._lock = Lock()
        self._server = _Server(self)
        self.url = f"{self._server.url}/hooks"

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *fault: object) -> None:
        self._server.__exit__(*fault)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int | None:
        """The status to answer with; None breaks the connection."""
        if "/elsewhere/" in path:
            self.followed += 1
            return 200
        number = int(path.rpartition("/")[2])
        webhook_id = headers.get("webhook-id", "")
        with self._lock:
            nth = self._seen[webhook_id]
            self._seen[webhook_id] += 1
        # The third failure would be followed by half an hour, which is a minute here.
        killed = nth == 0 and self._dice.chance(
            KILLED, webhook_id.rpartition(".")[2], number, nth, "killed while delivering"
        )
        if killed:
            self._kill(number, "deliver_webhook", "function killed while delivering")
        plan = Plan(number, self._dice)
        status = _answer(plan, nth)
        fault = self._fault(plan, headers, body)
        self.deliveries.append(Delivery(number, webhook_id, status, fault))
        self._journal.note(number, "receiver", f"{webhook_id}: {status}{', ' + fault if fault else ''}")
        if plan.receiver == "hangs at first" and nth == 0:
            time.sleep(HANG)
        return None if killed else status

    def _fault(self, plan: Plan, headers: dict[str, str], body: bytes) -> str | None:
        try:
            message = Webhook(self.secrets[plan.owner]).verify(body, headers)
        except WebhookVerificationError as error:
            return str(error)
        webhook_id, task = headers["webhook-id"], message["data"]
        if webhook_id != f"{task['task_id']}.{task['status']}" or message["type"] != f"task.{task['status']}":
            return f"names {task['task_id']}.{task['status']} and {message['type']}"
        return None if self._journal.number(task["task_id"]) == plan.number else "another task's"


def _answer(plan: Plan, nth: int) -> int | None:
    failures = plan.dice.number(1, 2, plan.number, "failures of the receiver")
    for_ever = {"redirects for ever": 302, "fails for ever": 503, "gone": 410}
    at_first = {"fails at first": 500, "redirects at first": 307, "breaks at first": None, "hangs at first": None}
    if plan.receiver in at_first and nth < (failures if plan.receiver == "fails at first" else 1):
        return at_first[plan.receiver]
    return for_ever.get(plan.receiver, 204)


class _Server(QuietServer):
    def __init__(self, receivers: Receivers) -> None:
        super().__init__(_Handler, "receivers")
        self.receivers = receivers


class _Handler(QuietHandler):
    server: _Server

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.receivers.take(self.path, headers, body)
        if status is None:
            return
        self.send_response(status)
        if status in {302, 307}:
            self.send_header("Location", f"{self.server.receivers.url}/elsewhere/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - a followed redirect
