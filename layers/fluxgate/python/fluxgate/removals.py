"""The end of a deleted task: its images first, then a tombstone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.telemetry import logger

if TYPE_CHECKING:
    from fluxgate.images import ImageStore
    from fluxgate.store import TaskStore
    from fluxgate.tasks import Removal


def remove(removal: Removal, *, tasks: TaskStore, images: ImageStore) -> None:
    """Raises StorageUnavailable: the removal is then still due."""
    images.delete(removal.keys)
    tasks.end_removal(removal)
    logger.info("Task deleted", extra={"images": len(removal.keys)})
