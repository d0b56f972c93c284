"""A proxy between the functions and AWS that records calls, injects faults and kills the calling process."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Self
from urllib.parse import urlsplit

from tests.chaos.calls import Call, parse_call
from tests.chaos.faults import Fault, FaultSelector, error_response
from tests.chaos.forwarding import Address, ForwardingHandler, Response
from tests.chaos.http_server import BackgroundServer
from tests.chaos.journal import Journal
from tests.chaos.plan import number_in


class AwsProxy:
    """A context manager. `kill` ends a worker by its name; set it once the stack runs."""

    def __init__(self, journal: Journal, selector: FaultSelector) -> None:
        self.journal, self.selector = journal, selector
        self.kill: Callable[[str], bool] = lambda _: False
        self.upstream: Address = ("", 0)
        self._callers: dict[tuple[int | None, str], str] = {}
        self._lock = Lock()
        self._server = _Server(self)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def forward_to(self, endpoint: str) -> str:
        """Set the AWS endpoint; returns the proxy's URL."""
        parts = urlsplit(endpoint)
        self.upstream = (parts.hostname or "", parts.port or 80)
        return self._server.url

    def remember_caller(self, call: Call) -> None:
        number = self.journal.number_of(call.task_id)
        with self._lock:
            self._callers[number, call.function] = call.worker
            if call.function.startswith("submit_"):
                self._callers[number, "submit"] = call.worker

    def kill_caller(self, number: int | None, function: str, reason: str) -> None:
        """Kill the function's process that made the last call about a task. `submit` stands for both submitters."""
        with self._lock:
            worker = self._callers.get((number, function))
        if self.selector.active and worker and self.kill(worker):
            self.journal.record_fault(reason, number, worker)


class _Server(BackgroundServer):
    def __init__(self, proxy: AwsProxy) -> None:
        super().__init__(_Handler, "aws-proxy")
        self.proxy = proxy


class _Handler(ForwardingHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        proxy = self.server.proxy
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = parse_call(self.command, self.path, headers, body)
        if call is None:
            self.send(self._forward(body))
            return
        if call.task_id and (number := number_in(call.prompt)) is not None:
            proxy.journal.register(call.task_id, number)
        proxy.remember_caller(call)
        self._handle(call, proxy.selector.select(call), body)

    def _handle(self, call: Call, fault: Fault, body: bytes) -> None:
        proxy = self.server.proxy
        number = proxy.journal.number_of(call.task_id)
        if fault is not Fault.NONE:
            kill = fault in {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}
            proxy.journal.record_fault(f"{fault} {call.call_site if kill else call.service}", number, call.operation)
        match fault:
            case Fault.KILLED_BEFORE:
                proxy.kill(call.worker)
            case Fault.THROTTLED | Fault.FAILED:
                self._send_error(call, fault)
                return
            case _:
                response = self._forward(body)
                if call.is_write:
                    proxy.journal.record(number, call.function, f"{call.operation} {response[0]}")
                if fault is Fault.NONE:
                    self.send(response)
                    return
                if fault is Fault.APPLIED_WITH_ERROR:
                    self._send_error(call, fault)
                    return
                if fault is Fault.KILLED_AFTER:
                    proxy.kill(call.worker)
        self.close_connection = True

    def _send_error(self, call: Call, fault: Fault) -> None:
        status, content_type, body = error_response(call, fault)
        self.send((status, [("Content-Type", content_type)], body))

    def _forward(self, body: bytes) -> Response:
        return self.forward(self.server.proxy.upstream, body)
