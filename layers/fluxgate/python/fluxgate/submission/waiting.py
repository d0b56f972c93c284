"""Waits for the outcome of a task within one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fluxgate.errors import StorageUnavailable, TaskNotFound
from fluxgate.tasks.model import OUTCOMES, Task
from fluxgate.telemetry import logger

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.tasks.store import TaskStore

MAX_WAIT = 25  # seconds; API Gateway ends a request after 29
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Wait:
    """A wait that began when it was created, so that the time of a submission counts."""

    seconds: float | None
    """None if the client did not ask to wait."""
    clock: Clock
    began: float

    @classmethod
    def begin(cls, seconds: float | None, clock: Clock) -> Self:
        """Limited to MAX_WAIT."""
        return cls(None if seconds is None else min(seconds, MAX_WAIT), clock, clock.monotonic())

    def for_outcome(self, task: Task, tasks: TaskStore) -> Task:
        """The task once it has an outcome, or as it is when time is up. Raises none of our errors: the task is stored,
        and a client that saw an error would retry and pay twice."""
        deadline = self.began + (self.seconds or 0)
        while task.status not in OUTCOMES and (left := deadline - self.clock.monotonic()) > 0:
            self.clock.sleep(min(POLL_SECONDS, left))
            try:
                task = tasks.get(task.task_id, task.owner)
            except StorageUnavailable as error:
                logger.warning("Task not read", extra={"reason": str(error)})
            except TaskNotFound:  # deleted
                break
        return task
