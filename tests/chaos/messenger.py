"""How the provider calls back here: lost, repeated at once, early, out of order, and again when it was not heard."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import requests

from local.providers.acedata import Callback, Refusal, Task
from tests.chaos.journal import Journal
from tests.chaos.plan import Plan

TIMEOUT = 20
THREADS = 32
FORGED = 0.1  # of the tasks whose callbacks are neither lost nor early
PATIENT = 12  # repetitions by a vendor whose callback is the only trace of a result


class Messenger:
    """Sends each finished task's callbacks as its plan says."""

    def __init__(self, journal: Journal, plan_of: Callable[[Task], Plan | None]) -> None:
        self.sent: list[tuple[str, Callback]] = []  # with the provider's task id
        self.forgeries: list[int | None] = []  # their answers
        self._journal, self._plan_of = journal, plan_of
        self._closing = Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="callback")
        self._pending: set[Future[None]] = set()

    @property
    def idle(self) -> bool:
        self._pending = {future for future in set(self._pending) if not future.done()}
        return not self._pending

    def heard(self, provider_task_id: str) -> bool:
        """Whether a callback with the result has been answered with 2xx."""
        return any(
            task_id == provider_task_id and callback.status == 200 and callback.body.get("data")
            for task_id, callback in list(self.sent)
        )

    def send(self, task: Task) -> None:
        """At once where the plan wants it early, else in the background."""
        plan = self._plan_of(task)
        if plan is None or plan.callback == "lost" or not task.request.get("callback_url"):
            return
        if plan.callback == "early":
            self._post(task, task.response or {})
        else:
            self._submit(self._life, task, plan)

    def close(self) -> None:
        self._closing.set()
        self._threads.shutdown()

    def _submit(self, work: Callable[..., None], *arguments: object) -> Future[None]:
        future = self._threads.submit(work, *arguments)
        self._pending.add(future)
        return future

    def _life(self, task: Task, plan: Plan) -> None:
        result = task.response or {}
        ids = {"task_id": task.id, "trace_id": task.trace_id}
        failure = {"success": False, **ids, "error": Refusal.of("api_error").body()["error"]}
        patience = (
            PATIENT if plan.submission.endswith("body, but accepted") else plan.dice.number(0, 2, plan.number, "p")
        )
        if plan.dice.chance(FORGED, plan.number, "forged"):
            self._forge(task, failure if plan.dice.chance(0.5, plan.number, "forged failure") else _false(result))
        match plan.callback:
            case "repeated at once":
                times = plan.dice.number(2, 5, plan.number, "times")
                wait([self._submit(self._post, task, result) for _ in range(times)])
            case "after news of running":
                self._post(task, {"success": True, **ids})
                self._post(task, result, patience)
                self._post(task, {"success": True, **ids})
            case "before a late failure":
                self._post(task, result, PATIENT)
                self._post(task, failure)
            case "after a failure":
                self._post(task, failure)
                self._closing.wait(plan.dice.roll(plan.number, "gap"))
                self._post(task, result, PATIENT)
            case "slow":
                self._closing.wait(1 + 3 * plan.dice.roll(plan.number, "late"))
                self._post(task, result, patience)
            case _:
                self._post(task, result, patience)

    def _forge(self, task: Task, body: dict[str, Any]) -> None:
        """Somebody else calls, with a token that is none."""
        url = str(task.request["callback_url"]).rpartition("/")[0] + "/guessed"
        status = _post(url, body)
        self._journal.fault("forged callback", self._journal.number(url.split("/")[-2]), str(status))
        self.forgeries.append(status)

    def _post(self, task: Task, body: dict[str, Any], retries: int = 0) -> None:
        url = str(task.request["callback_url"])
        for attempt in range(retries + 1):
            if self._closing.is_set():
                return
            status = _post(url, body)
            self.sent.append((task.id, Callback(url, body, status)))
            kind = "result" if body.get("data") else "failure" if body.get("success") is False else "running"
            self._journal.note(self._journal.number(url.split("/")[-2]), "provider", f"callback: {kind}, {status}")
            if status == 200:
                return
            self._closing.wait(0.2 * 2 ** min(attempt, 4))


def _false(result: dict[str, Any]) -> dict[str, Any]:
    """A result with pictures that nobody has."""
    pictures = [{**datum, "image_url": f"{datum['image_url']}.forged"} for datum in result.get("data", [])]
    return {**result, "data": pictures}


def _post(url: str, body: object) -> int | None:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.post(url, json=body, timeout=TIMEOUT, allow_redirects=False).status_code
        except requests.RequestException:
            return None
