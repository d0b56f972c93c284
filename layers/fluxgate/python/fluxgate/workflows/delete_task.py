"""Delete a task and its images on behalf of its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.tasks.deletion import finish_deletion
from fluxgate.telemetry import annotate_task

if TYPE_CHECKING:
    from fluxgate.images.store import ImageStore
    from fluxgate.tasks.store import TaskStore


def delete_task(task_id: str, *, owner: str, tasks: TaskStore, images: ImageStore) -> None:
    """Hide the task, delete its images, leave a tombstone. After a crash or an error in between, the reconciler does
    the rest.

    Raises TaskNotFound, TaskInFlight or StorageUnavailable.
    """
    annotate_task(task_id)
    finish_deletion(tasks.begin_deletion(task_id, owner), tasks=tasks, images=images)
