"""Waiting for a task's outcome within one request: what `Prefer: wait` and the MCP tools are made of."""

from __future__ import annotations

import time
from collections.abc import Callable

from fluxgate.errors import StorageUnavailable, TaskNotFound
from fluxgate.store import TaskStore
from fluxgate.tasks import OUTCOMES, Task
from fluxgate.telemetry import logger

LONGEST_WAIT = 25.0  # seconds; the gateway ends after 29
LOOK_EVERY = 0.5  # seconds


def wait_for_outcome(
    task: Task, until: float, tasks: TaskStore, *, pause: Callable[[float], None] = time.sleep
) -> Task:
    """The task as it is when it has its outcome, or at `until` of `time.monotonic`. Raises nothing of ours: the task is
    stored, and a client that saw an error would ask, and pay, again."""
    while task.status not in OUTCOMES and (left := until - time.monotonic()) > 0:
        pause(min(LOOK_EVERY, left))
        try:
            task = tasks.get(task.task_id, task.owner)
        except StorageUnavailable as error:
            logger.warning("Outcome not read", extra={"reason": str(error)})
        except TaskNotFound:  # deleted meanwhile
            break
    return task
