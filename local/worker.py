"""One execution environment: a process running AWS's runtime client, and the Runtime API that hands it its events."""

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

INIT_TIMEOUT = 60  # seconds; AWS gives 10, a busy laptop gets more
NEXT = "/2018-06-01/runtime/invocation/next"


@dataclass(frozen=True)
class Invocation:
    """What came of one event: the handler's answer, or its error as Lambda reports it."""

    request_id: str
    payload: Any
    is_error: bool = False

    @classmethod
    def failed(cls, request_id: str, kind: str, message: str) -> Invocation:
        return cls(request_id, {"errorType": kind, "errorMessage": message}, is_error=True)


@dataclass(frozen=True)
class _Order:
    request_id: str
    event: bytes
    started: Event
    outcome: Future[Invocation]

    def settle(self, invocation: Invocation) -> None:
        """The first outcome counts: a timeout, a death and a late answer may race."""
        with suppress(InvalidStateError):
            self.outcome.set_result(invocation)


class Worker:
    def __init__(
        self, function: Function, environment: Mapping[str, str], listener: Callable[[str, str], None]
    ) -> None:
        """`listener` is given the function's name and each line that it prints."""
        self.name = f"{function.name}-{secrets.token_hex(6)}"  # part of the user agent of its calls to AWS
        self._function = function
        self._listener = listener
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._current: _Order | None = None
        self._init_error: Any = None  # reported before there was an event
        self._ended = self._killed = False
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
            process_group=0,  # Ctrl-C is the stack's to handle
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
        """Handle one event; the caller sees to it that there is one at a time."""
        order = _Order(str(uuid4()), event, Event(), Future())
        with self._lock:
            self._current = order
            if self._ended:
                return self._exit(order)
        self._orders.put(order)
        if not order.started.wait(INIT_TIMEOUT):
            self.kill()
        try:
            return order.outcome.result(self._function.timeout)
        except FutureTimeoutError:
            self.kill()
            message = f"{order.request_id} Task timed out after {self._function.timeout:.2f} seconds"
            order.settle(Invocation.failed(order.request_id, "Sandbox.Timedout", message))
            self._listener(self._function.name, message)
            return order.outcome.result()

    def kill(self) -> None:
        """As AWS does, without a word to the handler."""
        self._killed = True
        self._process.kill()

    def close(self) -> None:
        self.kill()
        self._orders.put(None)
        self._reader.join()
        self._server.shutdown()
        self._server.server_close()

    def take(self) -> tuple[bytes, dict[str, str]] | None:
        """The next event and its headers; None when there will be no more."""
        order = self._orders.get()
        if order is None:
            return None
        order.started.set()
        deadline = int((time.time() + self._function.timeout) * 1000)
        trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=1"
        return order.event, {
            "Lambda-Runtime-Aws-Request-Id": order.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
            "Lambda-Runtime-Trace-Id": trace,
        }

    def settle(self, payload: bytes, *, is_error: bool) -> None:
        order = self._current
        if order:
            order.settle(Invocation(order.request_id, json.loads(payload), is_error))
        elif is_error:
            self._init_error = json.loads(payload)

    def _exit(self, order: _Order) -> Invocation:
        order.started.set()
        message = f"RequestId: {order.request_id} Error: Runtime exited with status {self._process.wait()}"
        if self._init_error:
            order.settle(Invocation(order.request_id, self._init_error, is_error=True))
        order.settle(Invocation.failed(order.request_id, "Runtime.ExitError", message))
        return order.outcome.result()

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._listener(self._function.name, line.rstrip("\r\n"))
        self._process.wait()
        with self._lock:
            self._ended = True
            if self._current:
                self._exit(self._current)


class _RuntimeApi(ThreadingHTTPServer):
    """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

    daemon_threads = True
    block_on_close = False

    def __init__(self, worker: Worker) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApiHandler)
        self.worker = worker

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that is killed leaves its connection broken; its end is noticed elsewhere."""


class _RuntimeApiHandler(BaseHTTPRequestHandler):
    server: _RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        work = self.server.worker.take() if self.path == NEXT else None
        if work is None:
            self._answer(500, b"", {"Connection": "close"})
        else:
            self._answer(200, work[0], {"Content-Type": "application/json", **work[1]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.worker.settle(body, is_error=self.path.endswith("/error"))
        self._answer(202, b"", {})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""
