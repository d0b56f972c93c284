"""The news about an outcome: one event, with one id, however often it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.errors import MoveRefused, TaskNotFound
from fluxgate.messages import TaskEvent
from fluxgate.tasks import Status, Task
from fluxgate.telemetry import logger

if TYPE_CHECKING:
    from fluxgate.queues import EventBus
    from fluxgate.store import TaskStore

DETAIL_TYPES = {
    Status.SUCCEEDED: "Task Succeeded",
    Status.FAILED: "Task Failed",
    Status.EXPIRED: "Task Expired",
}


def announce(task: Task, *, bus: EventBus, tasks: TaskStore) -> None:
    """Put the event, then note it: a crash between the two repeats the event, with the same id.

    Raises QueueUnavailable or StorageUnavailable: the outcome then stays due.
    """
    bus.put(DETAIL_TYPES[task.status], TaskEvent.of(task).model_dump(mode="json", exclude_none=True))
    try:
        tasks.note(task, announced=task.status)
    except MoveRefused as refused:  # a late result, or a webhook, was faster: what is left is due
        logger.info("Announcement not noted", extra={"status": refused.task.status})
    except TaskNotFound:  # deleted meanwhile
        logger.info("Announcement of a task that is gone")
    logger.info("Outcome announced", extra={"status": task.status})
