"""The Lambda service: runs each function in its own processes, with its environment and the credentials of its role."""

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

MAX_WORKERS = 8  # per function
MAX_INVOCATIONS = 64  # concurrent, of all functions
CLOSED = Invocation.failed("", "Local.Closed", "The stack is closed.")


class Runtime:
    """Invokes functions, each in a pool of worker processes."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        credentials: Callable[[str], Credentials],
        *,
        layer: Path,
        xray_address: str,
        log: Callable[[str, str], None],
    ) -> None:
        """Start one worker per function.

        `credentials` returns those of a role by its ARN, `layer` is the folder that contains the fluxgate package,
        `log` receives a function's name and a line of its output.
        """
        self.pools = {
            name: _Pool(function, _environment(function, credentials(function.role_arn), layer, xray_address), log)
            for name, function in functions.items()
        }
        self._threads = ThreadPoolExecutor(MAX_INVOCATIONS, thread_name_prefix="invocation")

    def invoke(self, function: str, event: object) -> Invocation:
        """Invoke a function and wait for its result."""
        return self.submit(function, event).result()

    def submit(self, function: str, event: object) -> Future[Invocation]:
        """Start an invocation. It continues even if the caller stops waiting for it."""
        try:
            return self._threads.submit(self.pools[function].invoke, json.dumps(event).encode())
        except RuntimeError:  # the executor is shut down
            failed: Future[Invocation] = Future()
            failed.set_result(CLOSED)
            return failed

    def restart(self, function: str) -> None:
        """Kill the function's processes and start a new one. Running invocations fail, caches are lost."""
        self.pools[function].restart()

    def kill(self, worker: str) -> bool:
        """Kill a worker's process by the worker's name. Returns False if it has already exited."""
        return any(pool.kill(worker) for pool in self.pools.values())

    def close(self) -> None:
        """Stop all workers. Running invocations fail."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(_Pool.close, self.pools.values()))
        self._threads.shutdown()


class _Pool:
    """One function's workers. The first starts immediately, others when all are busy."""

    def __init__(self, function: Function, environment: Mapping[str, str], log: Callable[[str, str], None]) -> None:
        self._make_worker = partial(Worker, function, environment, log)
        self._changed = Condition()
        self._closed = False
        self.workers = [self._make_worker()]
        self._idle = list(self.workers)

    def invoke(self, event: bytes) -> Invocation:
        worker = self._acquire()
        if worker is None:
            return CLOSED
        try:
            return worker.invoke(event)
        finally:
            self._release(worker)

    def restart(self) -> None:
        with self._changed:
            for worker in self.workers:
                worker.kill()
            for worker in self._idle:
                self._discard(worker)
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

    def _acquire(self) -> Worker | None:
        """An idle or new worker, None once the pool is closed. Waits while MAX_WORKERS are busy."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or len(self.workers) < MAX_WORKERS or self._closed)
            if self._closed:
                return None
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._discard(worker)
            worker = self._make_worker()
            self.workers.append(worker)
            return worker

    def _release(self, worker: Worker) -> None:
        with self._changed:
            if worker.alive or self._closed:
                self._idle.append(worker)
            else:
                self._discard(worker)
            self._changed.notify()

    def _discard(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.close()


def _environment(function: Function, credentials: Credentials, layer: Path, xray_address: str) -> dict[str, str]:
    """A function's complete environment. Variables of this machine are not passed on."""
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
