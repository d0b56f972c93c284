"""The news about an outcome: one event, with one id, however often it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.errors import InvalidTransition, TaskNotFound
from fluxgate.tasks.model import Status, Task
from fluxgate.telemetry import logger
from fluxgate.wire.messages import TaskEvent

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus
    from fluxgate.tasks.store import TaskStore

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
    except InvalidTransition as refused:  # a late result, or a webhook, was faster: what is left is due
        logger.info("Announcement not noted", extra={"status": refused.task.status})
    except TaskNotFound:  # deleted meanwhile
        logger.info("Announcement of a task that is gone")
    logger.info("Outcome announced", extra={"status": task.status})
