"""The life of an accepted task at the simulated provider: wait, finish, call back."""

import math
from collections.abc import Callable
from threading import Event, Thread

import requests

from local.providers.acedata.records import Callback, Task


class Generation:
    """Takes tasks to their end in threads of its own, until closed."""

    def __init__(self, record: Callable[[Callback | Task], None], base_url: str) -> None:
        """`record` is told of each finished task and each callback; image URLs begin with `base_url`."""
        self._record = record
        self._base_url = base_url
        self._closing = Event()
        self._threads: list[Thread] = []

    def begin(self, task: Task) -> None:
        """Start a task; where its callback comes early, return only after it."""
        if task.behaviour.callback_early:
            self._live(task)
            return
        thread = Thread(target=self._live, args=(task,), name=f"generation-{task.id}")
        self._threads = [running for running in self._threads if running.is_alive()] + [thread]
        thread.start()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond closing."""
        self._closing.wait(seconds)

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self, tasks: list[Task]) -> None:
        """Leave `tasks` unfinished and wait for the threads."""
        self._closing.set()
        for task in tasks:
            task.released.set()
            task.finished.set()
        for thread in self._threads:
            thread.join()

    def _live(self, task: Task) -> None:
        latency = task.behaviour.latency
        task.released.wait(None if latency == math.inf else latency)
        if self.closed:
            return
        task.finish(self._base_url)
        self._record(task)
        self.pause(task.behaviour.callback_delay)
        if url := task.request.get("callback_url"):
            for _ in range(task.behaviour.callbacks):
                self._call_back(task, url)

    def _call_back(self, task: Task, url: str) -> None:
        for attempt in range(task.behaviour.callback_retries + 1):
            if self.closed:
                return
            status = _post(url, task.response, task.behaviour.callback_timeout)
            self._record(Callback(url, task.response or {}, status))
            if status is not None and status < 300:
                return
            self.pause(0.1 * 2**attempt)


def _post(url: str, body: object, timeout: float) -> int | None:
    with requests.Session() as session:
        session.trust_env = False  # a proxy would not reach this machine
        try:
            return session.post(url, json=body, timeout=timeout, allow_redirects=False).status_code
        except requests.RequestException:
            return None
