"""A Lambda execution environment: a process that runs AWS's runtime client, and the Runtime API that serves it."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.deployment import Function

INIT_TIMEOUT = 60  # seconds; AWS allows 10, a busy laptop needs more
NEXT_PATH = "/2018-06-01/runtime/invocation/next"


@dataclass(frozen=True)
class Invocation:
    """A completed invocation: the handler's result, or its error in Lambda's format."""

    request_id: str
    payload: Any
    is_error: bool = False

    @classmethod
    def failed(cls, request_id: str, kind: str, message: str) -> Invocation:
        return cls(request_id, {"errorType": kind, "errorMessage": message}, is_error=True)


@dataclass(frozen=True)
class _PendingInvocation:
    request_id: str
    event: bytes
    started: Event
    result: Future[Invocation]

    def complete(self, invocation: Invocation) -> None:
        """Set the result unless there is one: a timeout, an exit and a late response can race."""
        with suppress(InvalidStateError):
            self.result.set_result(invocation)


class Worker:
    """A process that runs a function's handler, one event at a time."""

    def __init__(self, function: Function, environment: Mapping[str, str], log: Callable[[str, str], None]) -> None:
        """Start the process. `log` receives the function's name and each line that it prints."""
        self.name = f"{function.name}-{secrets.token_hex(6)}"  # part of the user agent in its calls to AWS
        self._function = function
        self._log = log
        self._pending: SimpleQueue[_PendingInvocation | None] = SimpleQueue()
        self._current: _PendingInvocation | None = None
        self._exited = self._killed = False
        self._lock = Lock()
        self._server = _RuntimeApi(self)
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", function.handler],
            cwd=function.code,
            env={
                **environment,
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
                "AWS_SDK_UA_APP_ID": self.name,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # so that Ctrl-C reaches only the stack's process
            text=True,
            errors="replace",
        )
        self._reader = Thread(target=self._read_output)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._killed and self._process.poll() is None

    def invoke(self, event: bytes) -> Invocation:
        """Process one event. The caller must not call it concurrently."""
        invocation = _PendingInvocation(str(uuid4()), event, Event(), Future())
        with self._lock:
            self._current = invocation
            if self._exited:
                return self._fail_exited(invocation)
        self._pending.put(invocation)
        if not invocation.started.wait(INIT_TIMEOUT):
            self.kill()
        try:
            return invocation.result.result(self._function.timeout)
        except FutureTimeoutError:
            self.kill()
            message = f"{invocation.request_id} Task timed out after {self._function.timeout:.2f} seconds"
            invocation.complete(Invocation.failed(invocation.request_id, "Sandbox.Timedout", message))
            self._log(self._function.name, message)
            return invocation.result.result()

    def kill(self) -> None:
        """Kill the process with SIGKILL, as AWS does."""
        self._killed = True
        self._process.kill()

    def close(self) -> None:
        """Kill the process and wait for its threads."""
        self.kill()
        self._pending.put(None)
        self._reader.join()
        self._server.shutdown()
        self._server.server_close()

    def next_event(self) -> tuple[bytes, dict[str, str]] | None:
        """Wait for the next event. Returns it with its headers, or None once the worker is closed."""
        invocation = self._pending.get()
        if invocation is None:
            return None
        invocation.started.set()
        deadline = int((time.time() + self._function.timeout) * 1000)
        trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=1"
        return invocation.event, {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
            "Lambda-Runtime-Trace-Id": trace,
        }

    def complete(self, payload: bytes, *, is_error: bool) -> None:
        """Set the result of the current invocation."""
        invocation = self._current
        if invocation:
            invocation.complete(Invocation(invocation.request_id, json.loads(payload), is_error))

    def _fail_exited(self, invocation: _PendingInvocation) -> Invocation:
        invocation.started.set()
        message = f"RequestId: {invocation.request_id} Error: Runtime exited with status {self._process.wait()}"
        invocation.complete(Invocation.failed(invocation.request_id, "Runtime.ExitError", message))
        return invocation.result.result()

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._log(self._function.name, line.rstrip("\r\n"))
        self._process.wait()
        with self._lock:
            self._exited = True
            if self._current:
                self._fail_exited(self._current)


class _RuntimeApi(ThreadingHTTPServer):
    """The Runtime API, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

    daemon_threads = True
    block_on_close = False

    def __init__(self, worker: Worker) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApiHandler)
        self.worker = worker

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections of killed workers; `_read_output` detects their exit."""


class _RuntimeApiHandler(BaseHTTPRequestHandler):
    server: _RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = self.server.worker.next_event() if self.path == NEXT_PATH else None
        if found is None:
            self._respond(500, b"", {"Connection": "close"})
        else:
            self._respond(200, found[0], {"Content-Type": "application/json", **found[1]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.worker.complete(body, is_error=self.path.endswith("/error"))
        self._respond(202, b"", {})

    def _respond(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """No access log."""
