"""Sends the provider's callbacks with faults: lost, repeated, early, out of order, forged and retried."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import requests

from local.providers.acedata import Callback, Refusal, Task
from tests.chaos.journal import Journal
from tests.chaos.plan import Plan

TIMEOUT = 20  # seconds
THREADS = 32
FORGED_RATE = 0.1  # of the tasks whose callbacks are neither lost nor early
MANY_RETRIES = 12  # where the callback is the only way to learn of the result


class CallbackSender:
    """Sends each finished task's callbacks according to its plan."""

    def __init__(self, journal: Journal, plan_of: Callable[[Task], Plan | None]) -> None:
        self.sent: list[tuple[str, Callback]] = []  # with the provider's task id
        self.forged_statuses: list[int | None] = []  # of the responses to forged callbacks
        self._journal, self._plan_of = journal, plan_of
        self._closing = Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="callback")
        self._pending: set[Future[None]] = set()

    @property
    def idle(self) -> bool:
        self._pending = {future for future in set(self._pending) if not future.done()}
        return not self._pending

    def has_delivered_result(self, provider_task_id: str) -> bool:
        """Whether a callback with the result got a 200 response."""
        return any(
            task_id == provider_task_id and callback.status == 200 and callback.body.get("data")
            for task_id, callback in list(self.sent)
        )

    def send(self, task: Task) -> None:
        """Blocks if the plan wants the callback early; otherwise sends in the background."""
        plan = self._plan_of(task)
        if plan is None or plan.callback == "lost" or not task.request.get("callback_url"):
            return
        if plan.callback == "early":
            self._post(task, task.response or {})
        else:
            self._submit(self._send_all, task, plan)

    def close(self) -> None:
        self._closing.set()
        self._threads.shutdown()

    def _submit(self, work: Callable[..., None], *arguments: object) -> Future[None]:
        future = self._threads.submit(work, *arguments)
        self._pending.add(future)
        return future

    def _send_all(self, task: Task, plan: Plan) -> None:
        result = task.response or {}
        ids = {"task_id": task.id, "trace_id": task.trace_id}
        failure = {"success": False, **ids, "error": Refusal.of("api_error").body()["error"]}
        retries = MANY_RETRIES if plan.accepted_despite_500 else plan.rng.randint(0, 2, plan.number, "callback retries")
        if plan.rng.chance(FORGED_RATE, plan.number, "forged"):
            self._forge(
                task, failure if plan.rng.chance(0.5, plan.number, "forged failure") else _forged_result(result)
            )
        match plan.callback:
            case "repeated concurrently":
                times = plan.rng.randint(2, 5, plan.number, "times")
                wait([self._submit(self._post, task, result) for _ in range(times)])
            case "between running updates":
                self._post(task, {"success": True, **ids})
                self._post(task, result, retries)
                self._post(task, {"success": True, **ids})
            case "before a failure":
                self._post(task, result, MANY_RETRIES)
                self._post(task, failure)
            case "after a failure":
                self._post(task, failure)
                self._closing.wait(plan.rng.random(plan.number, "gap"))
                self._post(task, result, MANY_RETRIES)
            case "delayed":
                self._closing.wait(1 + 3 * plan.rng.random(plan.number, "delay of the callback"))
                self._post(task, result, retries)
            case _:
                self._post(task, result, retries)

    def _forge(self, task: Task, body: dict[str, Any]) -> None:
        """Send a callback with an invalid token."""
        url = str(task.request["callback_url"]).rpartition("/")[0] + "/guessed"
        status = _post(url, body)
        self._journal.record_fault("forged callback", self._journal.number_of(url.split("/")[-2]), str(status))
        self.forged_statuses.append(status)

    def _post(self, task: Task, body: dict[str, Any], retries: int = 0) -> None:
        url = str(task.request["callback_url"])
        for retry in range(retries + 1):
            if self._closing.is_set():
                return
            status = _post(url, body)
            self.sent.append((task.id, Callback(url, body, status)))
            kind = "result" if body.get("data") else "failure" if body.get("success") is False else "running"
            number = self._journal.number_of(url.split("/")[-2])
            self._journal.record(number, "provider", f"callback: {kind}, {status}")
            if status == 200:
                return
            self._closing.wait(0.2 * 2 ** min(retry, 4))


def _forged_result(result: dict[str, Any]) -> dict[str, Any]:
    """A result whose image URLs do not exist."""
    images = [{**datum, "image_url": f"{datum['image_url']}.forged"} for datum in result.get("data", [])]
    return {**result, "data": images}


def _post(url: str, body: object) -> int | None:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.post(url, json=body, timeout=TIMEOUT, allow_redirects=False).status_code
        except requests.RequestException:
            return None
