"""Delete a task and its images because its owner asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.tasks.deletion import remove
from fluxgate.telemetry import about_task

if TYPE_CHECKING:
    from fluxgate.images.store import ImageStore
    from fluxgate.tasks.store import TaskStore


def delete_task(task_id: str, *, owner: str, tasks: TaskStore, images: ImageStore) -> None:
    """First nobody sees the task any more, then its images go, then it is a tombstone. After a crash in between, or a
    refusal of the bucket's, the reconciler does the rest.

    Raises TaskNotFound, TaskInFlight, StorageUnavailable.
    """
    about_task(task_id)
    remove(tasks.begin_deletion(task_id, owner), tasks=tasks, images=images)
