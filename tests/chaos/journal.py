"""What happened to each task, by whatever part of the run saw it, in order of time."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from threading import Lock


class Journal:
    """Knows which stored task belongs to which number of the run; safe between threads."""

    def __init__(self) -> None:
        self.started = time.time()
        self.faults: Counter[str] = Counter()
        self._lines: defaultdict[int, list[tuple[float, str, str]]] = defaultdict(list)
        self._numbers: dict[str, int] = {}
        self._counts: Counter[tuple[object, ...]] = Counter()
        self._lock = Lock()

    def know(self, task_id: str, number: int) -> None:
        with self._lock:
            self._numbers[task_id] = number

    def number(self, task_id: str | None) -> int | None:
        with self._lock:
            return self._numbers.get(task_id or "")

    @property
    def numbers(self) -> dict[str, int]:
        """By task id."""
        with self._lock:
            return dict(self._numbers)

    def note(self, number: int | None, source: str, text: str, moment: float | None = None) -> None:
        if number is not None:
            with self._lock:
                self._lines[number].append((moment or time.time(), source, text))

    def fault(self, kind: str, number: int | None = None, text: str = "") -> None:
        with self._lock:
            self.faults[kind] += 1
        self.note(number, "CHAOS", f"{kind} {text}".rstrip())

    def next(self, *name: object) -> int:
        """How often it has been asked for this name before."""
        with self._lock:
            self._counts[name] += 1
            return self._counts[name] - 1

    def history(self, number: int) -> list[str]:
        with self._lock:
            lines = sorted(self._lines[number])
        return [f"{moment - self.started:8.3f}  {source:18}  {text}" for moment, source, text in lines]
