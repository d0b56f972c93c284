"""Tell the rest of the system what changed in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.outcomes.events import announce
from fluxgate.tasks.model import OUTCOMES, Status, Task
from fluxgate.telemetry import about_task, logger
from fluxgate.wire.messages import ArchiveJob

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus, Queue
    from fluxgate.tasks.store import TaskStore


def publish_change(before: Task | None, after: Task, *, archive: Queue, bus: EventBus, tasks: TaskStore) -> None:
    """A task that has become `generated` goes to the archive; one that has its outcome is announced. Other changes are
    passed over.

    Raises QueueUnavailable or StorageUnavailable: the record comes again, and so does what was sent for it.
    """
    if before and before.status is after.status:
        return
    about_task(after.task_id)
    if after.status is Status.GENERATED:
        archive.send(ArchiveJob.of(after).to_json())
        logger.info("Task queued for archiving")
    elif after.status in OUTCOMES:
        announce(after, bus=bus, tasks=tasks)
