"""Processes accepted tasks: waits, finishes the generation and sends callbacks."""

import math
from collections.abc import Callable
from threading import Event, Thread

import requests

from local.providers.acedata.records import Callback, Task


class Generation:
    """Processes each task in its own thread."""

    def __init__(self, record: Callable[[Callback | Task], None], base_url: str) -> None:
        """`record` is called with each finished task and each callback. `base_url` is the base of image URLs."""
        self._record = record
        self._base_url = base_url
        self._closing = Event()
        self._threads: list[Thread] = []

    def start(self, task: Task) -> None:
        """Start processing a task. With `callback_early`, return after its callback."""
        if task.behaviour.callback_early:
            self._run(task)
            return
        thread = Thread(target=self._run, args=(task,), name=f"generation-{task.id}")
        self._threads = [running for running in self._threads if running.is_alive()] + [thread]
        thread.start()

    def pause(self, seconds: float) -> None:
        """Wait for `seconds` or until closed."""
        self._closing.wait(seconds)

    @property
    def closed(self) -> bool:
        return self._closing.is_set()

    def close(self, tasks: list[Task]) -> None:
        """Abandon unfinished `tasks` and wait for their threads."""
        self._closing.set()
        for task in tasks:
            task.released.set()
            task.finished.set()
        for thread in self._threads:
            thread.join()

    def _run(self, task: Task) -> None:
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
        for retry in range(task.behaviour.callback_retries + 1):
            if self.closed:
                return
            status = _post(url, task.response, task.behaviour.callback_timeout)
            self._record(Callback(url, task.response or {}, status))
            if status is not None and status < 300:
                return
            self.pause(0.1 * 2**retry)


def _post(url: str, body: object, timeout: float) -> int | None:
    """The status of the response, None if there is none."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach this machine's ports
        try:
            return session.post(url, json=body, timeout=timeout, allow_redirects=False).status_code
        except requests.RequestException:
            return None
