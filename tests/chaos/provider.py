"""The simulated provider with faults: each task behaves as planned, and the provider is sometimes unreachable."""

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
from tests.chaos.callback_sender import CallbackSender
from tests.chaos.journal import Journal
from tests.chaos.plan import Plan, number_in
from tests.chaos.random_source import RandomSource

KEEP_ALIVE = 2  # seconds; shorter than fluxgate's, so that fluxgate meets closed connections
KILL_RATE = 0.02  # of the submissions before they arrive, and again after; of the polls before they arrive
POLLS = {
    Behaviour(): 88,
    Behaviour(refusal=Refusal.of("too_many_requests")): 4,
    Behaviour(refusal=Refusal.of("api_error")): 3,
    Behaviour(response=ResponseKind.HTML): 2,
    Behaviour(response=ResponseKind.RESET): 2,
    Behaviour(response=ResponseKind.HANGING): 0.3,
}


class FaultyProvider(Simulator):
    def __init__(
        self, rng: RandomSource, journal: Journal, *, listing: bool, kill: Callable[[int | None, str, str], None]
    ) -> None:
        """`kill(number, function, reason)` ends the function's process that handles a task."""
        super().__init__(listing=listing, keep_alive=KEEP_ALIVE)
        self.callback_sender = CallbackSender(journal, self.plan_of)
        self.active = True
        self._rng, self._journal, self._kill = rng, journal, kill
        self._outage = Lock()

    def plan_of(self, task: Task) -> Plan | None:
        number = number_in(task.request.get("prompt"))
        return None if number is None else Plan(number, self._rng)

    @property
    def idle(self) -> bool:
        """Whether all tasks are finished and all callbacks sent."""
        return all(task.finished.is_set() for task in self.tasks) and self.callback_sender.idle

    def go_offline(self, seconds: float) -> None:
        """Cut all connections and refuse new ones for this time."""
        with self._outage:
            # In the background: closing waits for running requests, which may outlast the outage.
            Thread(target=self._listener.close, name="outage").start()
            time.sleep(seconds)
            self._listener = Listener(self._serve, "127.0.0.1", self.port, keep_alive=KEEP_ALIVE)
            self._listener.start()

    def close(self) -> None:
        self.callback_sender.close()
        super().close()

    def _serve(self, request: HttpRequest) -> HttpResponse:
        if request.path == TASKS:
            self._maybe_kill_before_poll()
        return super()._serve(request)

    def _submit(self, request: HttpRequest) -> HttpResponse:
        number = number_in(_prompt(request.body))
        index = self._journal.next_index("submission", number)
        if self._rng.chance(KILL_RATE, number, index, "killed before submission"):
            self._kill(number, "submit", "function killed before submission")
            raise ConnectionDropped
        try:
            response = super()._submit(request)
        finally:
            if self._rng.chance(KILL_RATE, number, index, "killed after submission"):
                self._kill(number, "submit", "function killed after submission")
        if number is not None and Plan(number, self._rng).submission == "500 with JSON body, but accepted":
            return HttpResponse(500, "application/json", b'{"error": {"code": "api_error", "message": "fetch failed"}}')
        return response

    def _maybe_kill_before_poll(self) -> None:
        index = self._journal.next_index("killed before poll")
        if self.active and self._rng.chance(KILL_RATE, index, "killed before poll"):
            self._kill(None, "reconcile_tasks", "function killed before poll")
            raise ConnectionDropped

    def _behaviour_for(self, path: str, body: Any) -> Behaviour:
        if path == TASKS:
            index = self._journal.next_index("poll")
            chosen = self._rng.choice(POLLS, index, "poll") if self.active else Behaviour()
            if chosen != Behaviour():
                self._journal.record_fault("poll failed")
            return chosen
        number = number_in(body.get("prompt")) if path == IMAGES and isinstance(body, dict) else None
        if number is None:
            return Behaviour()
        return Plan(number, self._rng).behaviour(self._journal.next_index("behaviour", number))

    def _record(self, entry: Submission | Callback | Task) -> None:
        super()._record(entry)
        match entry:
            case Submission():
                number = number_in(entry.body.get("prompt"))
                result = f"accepted as {entry.task_id}" if entry.accepted else "not accepted"
                self._journal.record(number, "provider", f"submission {result}")
            case Task() if entry.response is not None:
                plan = self.plan_of(entry)
                number = plan.number if plan else None
                self._journal.record(number, "provider", f"finished, {len(entry.images)} images")
                self.callback_sender.send(entry)


def _prompt(body: bytes) -> object:
    try:
        return json.loads(body).get("prompt")
    except (ValueError, AttributeError):
        return None
