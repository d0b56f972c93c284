"""A chronological record of what happened to each task, from every component of a run."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from threading import Lock


class Journal:
    """Maps stored task ids to the run's task numbers and collects entries. Thread-safe."""

    def __init__(self) -> None:
        self.started = time.time()
        self.faults: Counter[str] = Counter()
        self._entries: defaultdict[int, list[tuple[float, str, str]]] = defaultdict(list)
        self._numbers: dict[str, int] = {}
        self._counts: Counter[tuple[object, ...]] = Counter()
        self._lock = Lock()

    def register(self, task_id: str, number: int) -> None:
        with self._lock:
            self._numbers[task_id] = number

    def number_of(self, task_id: str | None) -> int | None:
        with self._lock:
            return self._numbers.get(task_id or "")

    @property
    def numbers(self) -> dict[str, int]:
        """Task numbers by task id."""
        with self._lock:
            return dict(self._numbers)

    def record(self, number: int | None, source: str, text: str, timestamp: float | None = None) -> None:
        if number is not None:
            with self._lock:
                self._entries[number].append((timestamp or time.time(), source, text))

    def record_fault(self, kind: str, number: int | None = None, text: str = "") -> None:
        with self._lock:
            self.faults[kind] += 1
        self.record(number, "FAULT", f"{kind} {text}".rstrip())

    def next_index(self, *key: object) -> int:
        """The number of earlier calls with this key."""
        with self._lock:
            self._counts[key] += 1
            return self._counts[key] - 1

    def history(self, number: int) -> list[str]:
        with self._lock:
            entries = sorted(self._entries[number])
        return [f"{timestamp - self.started:8.3f}  {source:18}  {text}" for timestamp, source, text in entries]
