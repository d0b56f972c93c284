"""Where a function's lines and its X-Ray segments end up: in memory, for whoever watches and for tests."""

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

KEPT = 100_000  # lines; `serve` may run for days
DATAGRAM = 65_535


@dataclass(frozen=True)
class LogLine:
    function: str
    text: str

    @property
    def record(self) -> dict[str, Any] | None:
        """The line as a structured log record; None if it is something else."""
        try:
            record = json.loads(self.text)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None


class Logs:
    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=KEPT)
        self._arrived = Condition()
        self._watchers: list[Callable[[LogLine], None]] = []

    def add(self, function: str, text: str) -> None:
        line = LogLine(function, text)
        with self._arrived:
            self._lines.append(line)
            self._arrived.notify_all()
        for watcher in self._watchers:
            watcher(line)

    def watch(self, watcher: Callable[[LogLine], None]) -> None:
        self._watchers.append(watcher)

    def lines(self, function: str | None = None) -> list[LogLine]:
        with self._arrived:
            return [line for line in self._lines if function in {None, line.function}]

    def wait_for(self, text: str, *, function: str | None = None, seconds: float = 10) -> bool:
        """Whether a line with `text` has come or comes in time."""

        def found() -> bool:
            return any(text in line.text for line in self._lines if function in {None, line.function})

        with self._arrived:
            return self._arrived.wait_for(found, seconds)


class XRayDaemon:
    """Receives what the X-Ray SDK sends over UDP: a header line, then one segment document."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.segments: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._thread = Thread(target=self._receive)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while datagram := self._socket.recv(DATAGRAM):
            self.segments.append(json.loads(datagram.partition(b"\n")[2]))
