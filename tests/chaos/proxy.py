"""Stands between the functions and AWS: sees each call, disturbs some, and kills the process that made it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Self
from urllib.parse import urlsplit

from tests.chaos import calls
from tests.chaos.calls import Call
from tests.chaos.faults import Chooser, Fault, error
from tests.chaos.forwarding import Address, Answer, ForwardingHandler
from tests.chaos.journal import Journal
from tests.chaos.plan import number_in
from tests.chaos.quiet import QuietServer


class Proxy:
    """A context manager. `front` is what Stack is given; `kill` is set once there is someone to kill."""

    def __init__(self, journal: Journal, chooser: Chooser) -> None:
        self.journal, self.chooser = journal, chooser
        self.kill: Callable[[str], bool] = lambda _: False
        self.upstream: Address = ("", 0)
        self._callers: dict[tuple[int | None, str], str] = {}
        self._lock = Lock()
        self._server = _Server(self)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *fault: object) -> None:
        self._server.__exit__(*fault)

    def front(self, endpoint: str) -> str:
        """See Stack."""
        parts = urlsplit(endpoint)
        self.upstream = (parts.hostname or "", parts.port or 80)
        return self._server.url

    def saw(self, call: Call) -> None:
        number = self.journal.number(call.task_id)
        with self._lock:
            self._callers[number, call.function] = call.worker
            if call.function.startswith("submit_"):
                self._callers[number, "submit"] = call.worker

    def kill_caller(self, number: int | None, function: str, point: str) -> None:
        """Kill whoever spoke last about a task in this function; `submit` stands for both that submit."""
        with self._lock:
            worker = self._callers.get((number, function))
        if self.chooser.active and worker and self.kill(worker):
            self.journal.fault(point, number, worker)


class _Server(QuietServer):
    def __init__(self, proxy: Proxy) -> None:
        super().__init__(_Handler, "aws-proxy")
        self.proxy = proxy


class _Handler(ForwardingHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        proxy = self.server.proxy
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = calls.read(self.command, self.path, headers, body)
        if call is None:
            self.send(self._forward(body))
            return
        if call.task_id and (number := number_in(call.prompt)) is not None:
            proxy.journal.know(call.task_id, number)
        proxy.saw(call)
        self._fare(call, proxy.chooser.choose(call), body)

    def _fare(self, call: Call, fault: Fault, body: bytes) -> None:
        proxy = self.server.proxy
        number = proxy.journal.number(call.task_id)
        if fault is not Fault.NONE:
            kill = fault in {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}
            proxy.journal.fault(f"{fault} {call.point if kill else call.service}", number, call.operation)
        match fault:
            case Fault.KILLED_BEFORE:
                proxy.kill(call.worker)
            case Fault.THROTTLED | Fault.FAILED:
                self._refuse(call, fault)
                return
            case _:
                answer = self._forward(body)
                if call.changes:
                    proxy.journal.note(number, call.function, f"{call.operation} {answer[0]}")
                if fault is Fault.NONE:
                    self.send(answer)
                    return
                if fault is Fault.ANSWER_FAILED:
                    self._refuse(call, fault)
                    return
                if fault is Fault.KILLED_AFTER:
                    proxy.kill(call.worker)
        self.close_connection = True

    def _refuse(self, call: Call, fault: Fault) -> None:
        status, content_type, body = error(call, fault)
        self.send((status, [("Content-Type", content_type)], body))

    def _forward(self, body: bytes) -> Answer:
        return self.forward(self.server.proxy.upstream, body)
