"""Bring a task's images from the provider into the bucket, then let it succeed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fluxgate.errors import ArchiveIncomplete, ImageUnavailable, InvalidTransition, StorageUnavailable, TaskNotFound
from fluxgate.tasks.model import Image, Status, Task
from fluxgate.telemetry import about_task, count, logger, milliseconds

if TYPE_CHECKING:
    from fluxgate.images.archive import ImageArchive
    from fluxgate.tasks.store import TaskStore
    from fluxgate.wire.messages import ArchiveJob

TOTAL_SECONDS = 50.0  # for all images of a task: below the function's timeout

Fault = ImageUnavailable | StorageUnavailable


def archive_images(
    job: ArchiveJob, *, attempt: int, attempts: int, max_age: timedelta, images: ImageArchive, tasks: TaskStore
) -> None:
    """One put per image, then one write. What is missing is tried again in the next attempt. After `attempts` of them
    the task succeeds with what there is, if the rest is gone for good or older than `max_age`, and else waits.

    Raises ArchiveIncomplete where another attempt should follow, and StorageUnavailable: an image that only the bucket
    did not take is never given up.
    """
    about_task(job.task_id)
    kept: dict[str, Any] = {}
    try:
        wanted = job.images if attempt == 1 else _note(job, attempt, {}, tasks).images
        kept, faults = _archive(job, wanted, images)
        if faults:
            task = _note(job, attempt, kept, tasks)
            missing = _unfetched(fault for index, fault in faults.items() if task.images[index].key is None)
            if missing and attempt < attempts:
                raise ArchiveIncomplete
            if datetime.now(UTC) - job.generated_at < max_age and any(not fault.final for fault in missing):
                tasks.postpone(task)
                logger.warning("Archiving postponed", extra={"missing": len(missing)})
                return
        task = tasks.advance(job.task_id, Status.SUCCEEDED, **kept)
    except InvalidTransition as refused:  # a repeated message: the work is done
        logger.info("Archive has nothing to do", extra={"reason": str(refused)})
        return
    except TaskNotFound:  # deleted meanwhile, as its images have to be
        images.delete([image.key for image in kept.values()])
        logger.info("Archive of a task that is gone")
        return
    count("TaskSucceeded")
    milliseconds("CallbackToArchived", (task.updated_at - job.generated_at).total_seconds() * 1000)
    logger.info("Task succeeded", extra={"images": len(task.images)})


def _note(job: ArchiveJob, attempt: int, kept: dict[str, Any], tasks: TaskStore) -> Task:
    """Count the attempt, and so learn what others have archived."""
    return tasks.record(job.task_id, while_in=Status.GENERATED, archive_attempts=attempt, **kept)


def _archive(job: ArchiveJob, wanted: Sequence[Image], images: ImageArchive) -> tuple[dict[str, Any], dict[int, Fault]]:
    """The images that are in the bucket now, each under its place in the item, so that messages that overlap do not
    undo each other's work; and why others are not, each by its index."""
    deadline = time.monotonic() + TOTAL_SECONDS
    kept: dict[str, Any] = {}
    faults: dict[int, Fault] = {}
    for index, image in enumerate(wanted):
        if image.key:
            continue
        seconds = (deadline - time.monotonic()) / (len(wanted) - index)  # what an earlier image left is the later ones'
        try:
            kept[f"images[{index}]"] = images.archive(image, f"{job.owner}/{job.task_id}/{index}", seconds)
        except (ImageUnavailable, StorageUnavailable) as fault:
            logger.warning("Image not archived", extra={"index": index, "reason": str(fault)})
            count("ImageNotArchived")
            faults[index] = fault
    return kept, faults


def _unfetched(missing: Iterable[Fault]) -> list[ImageUnavailable]:
    """Raises the first StorageUnavailable: what lives at the provider is not given up for our bucket's sake."""
    found = []
    for fault in missing:
        if isinstance(fault, StorageUnavailable):
            raise fault
        found.append(fault)
    return found
