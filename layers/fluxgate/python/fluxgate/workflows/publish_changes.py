"""Queue generated tasks for archiving and announce outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.outcomes.events import announce
from fluxgate.tasks.model import OUTCOMES, Status, Task
from fluxgate.telemetry import annotate_task, logger
from fluxgate.wire.jobs import ArchiveJob

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus, Queue
    from fluxgate.tasks.store import TaskStore


def publish_change(before: Task | None, after: Task, *, archive: Queue, bus: EventBus, tasks: TaskStore) -> None:
    """Ignores changes that are not a transition to `generated` or to an outcome.

    Raises QueueUnavailable or StorageUnavailable. The record is then processed again, and its message or event may be
    repeated.
    """
    if before and before.status is after.status:
        return
    annotate_task(after.task_id)
    if after.status is Status.GENERATED:
        archive.send(ArchiveJob.of(after).to_json())
        logger.info("Task queued for archiving")
    elif after.status in OUTCOMES:
        announce(after, bus=bus, tasks=tasks)
