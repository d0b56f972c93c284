"""The simulated provider as chaos wants it: each task fares as planned, and now and then nobody is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any

from local.providers.acedata import Behaviour, Callback, Refusal, Simulator, Submission, Task
from local.providers.acedata.behaviour import ResponseKind
from local.providers.acedata.state import IMAGES, TASKS
from local.providers.listener import ConnectionDropped, HttpRequest, HttpResponse, Listener
from tests.chaos.dice import Dice
from tests.chaos.journal import Journal
from tests.chaos.messenger import Messenger
from tests.chaos.plan import Plan, number_in

KEEP_ALIVE = 2  # seconds: shorter than fluxgate's own, so that it meets dead connections
KILLED = 0.02  # of the submissions, before they arrive; and as many after
QUESTIONS = {  # what becomes of a question about tasks
    Behaviour(): 88,
    Behaviour(refusal=Refusal.of("too_many_requests")): 4,
    Behaviour(refusal=Refusal.of("api_error")): 3,
    Behaviour(response=ResponseKind.HTML): 2,
    Behaviour(response=ResponseKind.RESET): 2,
    Behaviour(response=ResponseKind.HANGING): 0.3,
}


class ChaoticProvider(Simulator):
    def __init__(
        self, dice: Dice, journal: Journal, *, listing: bool, kill: Callable[[int | None, str, str], None]
    ) -> None:
        """`kill` ends the function that speaks about a task, with a word on where."""
        super().__init__(listing=listing, keep_alive=KEEP_ALIVE)
        self.messenger = Messenger(journal, self.plan_of)
        self.active = True
        self._dice, self._journal, self._kill = dice, journal, kill
        self._door = Lock()

    def plan_of(self, task: Task) -> Plan | None:
        number = number_in(task.request.get("prompt"))
        return None if number is None else Plan(number, self._dice)

    @property
    def idle(self) -> bool:
        """Whether nothing more will come from here."""
        return all(task.finished.is_set() for task in self.tasks) and self.messenger.idle

    def vanish(self, seconds: float) -> None:
        """Cut all connections and refuse new ones for a while."""
        with self._door:
            # In the background: it waits for what is under way, which may outlast the outage.
            Thread(target=self._listener.close, name="outage").start()
            time.sleep(seconds)
            self._listener = Listener(self._serve, "127.0.0.1", self.port, keep_alive=KEEP_ALIVE)
            self._listener.start()

    def close(self) -> None:
        self.messenger.close()
        super().close()

    def _serve(self, request: HttpRequest) -> HttpResponse:
        match request.path:
            case str(path) if path == TASKS:
                self._risk(None, "reconcile_tasks", "question")
        return super()._serve(request)

    def _submit(self, request: HttpRequest) -> HttpResponse:
        number = number_in(_prompt(request.body))
        nth = self._journal.next("submission", number)
        if self._dice.chance(KILLED, number, nth, "killed before submission"):
            self._kill(number, "submit", "function killed before submission")
            raise ConnectionDropped
        try:
            reply = super()._submit(request)
        finally:
            if self._dice.chance(KILLED, number, nth, "killed after submission"):
                self._kill(number, "submit", "function killed after submission")
        if number is not None and Plan(number, self._dice).submission == "500 with the vendor's body, but accepted":
            return HttpResponse(500, "application/json", b'{"error": {"code": "api_error", "message": "fetch failed"}}')
        return reply

    def _risk(self, number: int | None, function: str, what: str) -> None:
        nth = self._journal.next("risk", what)
        if self.active and self._dice.chance(KILLED, what, nth):
            self._kill(number, function, f"function killed before {what}")
            raise ConnectionDropped

    def _behaviour_for(self, path: str, body: Any) -> Behaviour:
        if path == TASKS:
            nth = self._journal.next("question")
            chosen = self._dice.pick(QUESTIONS, nth, "question") if self.active else Behaviour()
            if chosen != Behaviour():
                self._journal.fault("question to the provider disturbed")
            return chosen
        number = number_in(body.get("prompt")) if path == IMAGES and isinstance(body, dict) else None
        if number is None:
            return Behaviour()
        return Plan(number, self._dice).behaviour(self._journal.next("behaviour", number))

    def _record(self, entry: Submission | Callback | Task) -> None:
        super()._record(entry)
        match entry:
            case Submission():
                number = number_in(entry.body.get("prompt"))
                answer = f"accepted as {entry.task_id}" if entry.accepted else "not accepted"
                self._journal.note(number, "provider", f"submission {answer}")
            case Task() if entry.response is not None:
                plan = self.plan_of(entry)
                self._journal.note(plan.number if plan else None, "provider", f"finished, {len(entry.images)} images")
                self.messenger.send(entry)


def _prompt(body: bytes) -> object:
    try:
        return json.loads(body).get("prompt")
    except (ValueError, AttributeError):
        return None
