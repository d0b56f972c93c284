"""Isolates failures: one broken task must not block the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from fluxgate.errors import InvalidTransition, TaskNotFound
from fluxgate.tasks.model import Deletion, Task
from fluxgate.telemetry import annotate_task, logger

Entry = TypeVar("Entry", Task, Deletion)


@dataclass(frozen=True)
class Isolation:
    failures: list[Exception] = field(default_factory=list)

    def each(self, entries: Iterable[Entry], repair: Callable[[Entry], object]) -> None:
        """Repair each entry. One that has changed or was deleted needs no repair."""
        for entry in entries:
            annotate_task(entry.task_id)
            try:
                repair(entry)
            except (InvalidTransition, TaskNotFound) as refused:
                logger.info("Nothing to reconcile", extra={"reason": str(refused)})
            except Exception as error:  # noqa: BLE001 - raised by raise_first
                logger.exception("Task not reconciled")
                self.failures.append(error)
        logger.remove_keys(["task_id"])

    def raise_first(self) -> None:
        """Fail the invocation, and so raise the alarm, if a repair failed."""
        if self.failures:
            raise self.failures[0]
