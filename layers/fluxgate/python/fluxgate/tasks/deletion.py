"""The end of a deleted task: its images first, then a tombstone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.telemetry import logger

if TYPE_CHECKING:
    from fluxgate.images.store import ImageStore
    from fluxgate.tasks.model import Deletion
    from fluxgate.tasks.store import TaskStore


def remove(removal: Deletion, *, tasks: TaskStore, images: ImageStore) -> None:
    """Raises StorageUnavailable: the removal is then still due."""
    images.delete(removal.keys)
    tasks.finish_deletion(removal)
    logger.info("Task deleted", extra={"images": len(removal.keys)})
