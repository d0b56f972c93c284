"""The end of a deletion: images first, then a tombstone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.telemetry import logger

if TYPE_CHECKING:
    from fluxgate.images.store import ImageStore
    from fluxgate.tasks.model import Deletion
    from fluxgate.tasks.store import TaskStore


def finish_deletion(deletion: Deletion, *, tasks: TaskStore, images: ImageStore) -> None:
    """Raises StorageUnavailable; the deletion then stays due."""
    images.delete(deletion.keys)
    tasks.leave_tombstone(deletion)
    logger.info("Task deleted", extra={"images": len(deletion.keys)})
