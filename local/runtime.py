"""The Lambda service: which processes run which function, with what environment and whose credentials."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Condition
from typing import TYPE_CHECKING

from local.aws import ISOLATED, REGION
from local.worker import Invocation, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from local.aws import Credentials
    from local.deployment import Function

MAX_WORKERS = 8  # of one function
MAX_INVOCATIONS = 64  # of all, at the same time
CLOSED = Invocation.failed("", "Local.Closed", "The stack is closed.")


class Runtime:
    def __init__(
        self,
        functions: Mapping[str, Function],
        credentials: Callable[[str], Credentials],
        *,
        layer: Path,
        xray_address: str,
        listener: Callable[[str, str], None],
    ) -> None:
        """`credentials` are asked for by role, `layer` is the folder of the fluxgate package."""
        self.pools = {
            name: _Pool(function, _environment(function, credentials(function.role_arn), layer, xray_address), listener)
            for name, function in functions.items()
        }
        self._threads = ThreadPoolExecutor(MAX_INVOCATIONS, thread_name_prefix="invocation")

    def invoke(self, function: str, event: object) -> Invocation:
        return self.submit(function, event).result()

    def submit(self, function: str, event: object) -> Future[Invocation]:
        """For callers with less patience than the function's timeout. The invocation goes on without them."""
        try:
            return self._threads.submit(self.pools[function].invoke, json.dumps(event).encode())
        except RuntimeError:  # the executor's word for being shut down
            refused: Future[Invocation] = Future()
            refused.set_result(CLOSED)
            return refused

    def restart(self, function: str) -> None:
        """Kill the function's processes; what they have cached or are doing is lost. One starts anew."""
        self.pools[function].restart()

    def kill(self, worker: str) -> bool:
        """Kill the process of the worker that has this name. False: it has ended already."""
        return any(pool.kill(worker) for pool in self.pools.values())

    def close(self) -> None:
        """What is under way fails."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(_Pool.close, self.pools.values()))
        self._threads.shutdown()


class _Pool:
    """One function's workers: the first at once, since every function will be needed, more while all are busy."""

    def __init__(
        self, function: Function, environment: Mapping[str, str], listener: Callable[[str, str], None]
    ) -> None:
        self._make_worker = partial(Worker, function, environment, listener)
        self._changed = Condition()
        self._closed = False
        self.workers = [self._make_worker()]
        self._idle = list(self.workers)

    def invoke(self, event: bytes) -> Invocation:
        worker = self._take()
        if worker is None:
            return CLOSED
        try:
            return worker.invoke(event)
        finally:
            self._give_back(worker)

    def restart(self) -> None:
        with self._changed:
            for worker in self.workers:
                worker.kill()
            for worker in self._idle:
                self._forget(worker)
            self._idle = [self._make_worker()]
            self.workers += self._idle

    def kill(self, name: str) -> bool:
        with self._changed:
            found = [worker for worker in self.workers if worker.name == name and worker.alive]
        for worker in found:
            worker.kill()
        return bool(found)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            workers = list(self.workers)
            self._changed.notify_all()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close()

    def _take(self) -> Worker | None:
        with self._changed:
            self._changed.wait_for(lambda: self._idle or len(self.workers) < MAX_WORKERS or self._closed)
            if self._closed:
                return None
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._forget(worker)
            worker = self._make_worker()
            self.workers.append(worker)
            return worker

    def _give_back(self, worker: Worker) -> None:
        with self._changed:
            if worker.alive or self._closed:
                self._idle.append(worker)
            else:
                self._forget(worker)
            self._changed.notify()

    def _forget(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.close()


def _environment(function: Function, credentials: Credentials, layer: Path, xray_address: str) -> dict[str, str]:
    """Everything that a function may see. Its own machine's variables are not among it."""
    return {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join([str(function.code), str(layer)]),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_NAME": function.arn.rpartition(":")[2],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "AWS_XRAY_DAEMON_ADDRESS": xray_address,
        "LAMBDA_TASK_ROOT": str(function.code),
        "_HANDLER": function.handler,
        **ISOLATED,
        **credentials.environment,
        **function.environment,
    }
