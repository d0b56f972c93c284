"""Collects the functions' log lines and X-Ray segments in memory."""

from __future__ import annotations

import json
import socket
from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

MAX_ENTRIES = 100_000  # lines, and segments; `serve` may run for days
MAX_DATAGRAM = 65_535  # bytes


@dataclass(frozen=True)
class LogLine:
    """A line of a function's output."""

    function: str
    text: str

    @property
    def record(self) -> dict[str, Any] | None:
        """The line parsed as a structured log record, None if it is not one."""
        try:
            record = json.loads(self.text)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None


class Logs:
    """The last MAX_ENTRIES log lines, safe between threads."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=MAX_ENTRIES)
        self._added = Condition()
        self._watchers: list[Callable[[LogLine], None]] = []

    def add(self, function: str, text: str) -> None:
        line = LogLine(function, text)
        with self._added:
            self._lines.append(line)
            self._added.notify_all()
        for watcher in self._watchers:
            watcher(line)

    def watch(self, watcher: Callable[[LogLine], None]) -> None:
        """Call `watcher` with each new line, in the thread that adds it."""
        self._watchers.append(watcher)

    def lines(self, function: str | None = None) -> list[LogLine]:
        """The lines of one function, or of all."""
        with self._added:
            return [line for line in self._lines if function in {None, line.function}]

    def wait_for(self, text: str, *, function: str | None = None, seconds: float = 10) -> bool:
        """Wait until a line contains `text`. Returns False on a timeout."""

        def found() -> bool:
            return any(text in line.text for line in self._lines if function in {None, line.function})

        with self._added:
            return self._added.wait_for(found, seconds)


class XRayDaemon:
    """A context manager that receives segments from the X-Ray SDK over UDP: a header line, then one document."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.segments: deque[dict[str, Any]] = deque(maxlen=MAX_ENTRIES)
        self._thread = Thread(target=self._receive)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))  # an empty datagram stops the thread
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while datagram := self._socket.recv(MAX_DATAGRAM):
            self.segments.append(json.loads(datagram.partition(b"\n")[2]))
