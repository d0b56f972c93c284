"""Asks the provider about overdue tasks and applies its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from fluxgate.errors import CredentialsUnavailable, ProviderUnavailable
from fluxgate.providers.port import Failed, Generated, Provider, ProviderResult, Running
from fluxgate.tasks.model import Status, Task
from fluxgate.tasks.results import apply_result
from fluxgate.tasks.schedule import DUE_AFTER
from fluxgate.telemetry import count, logger

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.reconciliation.isolation import Isolation
    from fluxgate.tasks.store import TaskStore


def is_pollable(task: Task) -> bool:
    """Whether the task is, or may be, at the provider. An outcome is announced before it is polled again."""
    expired = task.status is Status.EXPIRED and task.announced is Status.EXPIRED
    return expired or task.status in {Status.SUBMITTING, Status.SUBMITTED}


@dataclass(frozen=True, kw_only=True)
class Polling:
    tasks: TaskStore
    provider: Callable[[], Provider]
    """Raises CredentialsUnavailable. Called only if there is something to poll."""
    result_max_age: timedelta
    clock: Clock
    has_time: Callable[[], bool]

    def poll(self, tasks: Sequence[Task], isolation: Isolation) -> None:
        """A task expires only after it was polled. Tasks that cannot be polled are postponed behind the others."""
        if not tasks:
            return
        waiting = {task.task_id: task for task in tasks}
        try:
            steps = self.provider().poll(tasks)
            while self.has_time() and (results := next(steps, None)) is not None:
                polled = [waiting.pop(task_id) for task_id in results]
                isolation.each(polled, partial(self._apply, results))
        except (CredentialsUnavailable, ProviderUnavailable) as error:
            logger.warning("Provider cannot be polled", extra={"reason": str(error), "tasks": len(waiting)})
            count("ProviderNotAsked")
            isolation.each(
                (task for task in waiting.values() if self.has_time()),
                lambda task: self._postpone(task, DUE_AFTER[Status.SUBMITTED]),
            )

    def _apply(self, results: Mapping[str, ProviderResult], task: Task) -> None:
        result = results[task.task_id]
        match result:
            case Generated():
                apply_result(result, partial(self.tasks.transition, task.task_id))
            case Failed() if task.status is not Status.EXPIRED:
                apply_result(result, partial(self.tasks.transition, task.task_id))
            case Running(handle) | Failed(_, handle):
                self._keep_waiting(task, handle)
            case _:
                self._keep_waiting(task, None)

    def _keep_waiting(self, task: Task, handle: str | None) -> None:
        """There is no result. An expired task is polled again at growing intervals."""
        found: dict[str, Any] = {"provider_task_id": handle} if handle else {}
        if task.status is Status.EXPIRED:
            self.tasks.update_outcome(task, **found)
        elif self.clock.now() - (task.attempted_at or task.created_at) > self.result_max_age:
            self.tasks.transition(task.task_id, Status.EXPIRED, attempt_id=task.attempt_id, **found)
            count("TaskExpired")
            logger.warning("Task expired")
        elif task.status is Status.SUBMITTING and handle:
            self.tasks.transition(task.task_id, Status.SUBMITTED, **found)
        else:
            self._postpone(task, DUE_AFTER[task.status])

    def _postpone(self, task: Task, delay: timedelta) -> None:
        self.tasks.postpone(task, self.clock.after(delay))
