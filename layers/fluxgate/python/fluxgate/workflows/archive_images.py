"""Bring a task's images from the provider into the bucket, then let it succeed."""

from __future__ import annotations

import time

from fluxgate.errors import ArchiveIncomplete, ImageUnavailable, MoveRefused
from fluxgate.images import ImageStore
from fluxgate.schemas import ArchiveJob
from fluxgate.tasks import Image, Status, TaskStore
from fluxgate.telemetry import about_task, count, logger, milliseconds

TOTAL_SECONDS = 50.0  # for all images of a task: below the function's timeout


def archive_images(job: ArchiveJob, *, attempt: int, attempts: int, images: ImageStore, tasks: TaskStore) -> None:
    """One put per image, then one write. What is missing is tried again in the next attempt; after the last one the
    task succeeds with what there is.

    Raises ArchiveIncomplete where another attempt should follow; ours and AWS's errors of storage pass through.
    """
    about_task(job.task_id)
    try:
        wanted = _wanted(job, attempt, tasks)
        found = _archive(job, wanted, images)
        if attempt < attempts and any(image.key is None for image in found):
            tasks.record(job.task_id, while_in=Status.GENERATED, images=found)
            raise ArchiveIncomplete(job.task_id)
        task = tasks.advance(job.task_id, Status.SUCCEEDED, images=found)
    except MoveRefused as refused:  # a repeated message: the work is done
        logger.info("Archive has nothing to do", extra={"status": refused.task.status})
        return
    count("TaskSucceeded")
    milliseconds("CallbackToArchived", (task.updated_at - job.generated_at).total_seconds() * 1000)
    logger.info("Task succeeded", extra={"images": len(found)})


def _wanted(job: ArchiveJob, attempt: int, tasks: TaskStore) -> tuple[Image, ...]:
    """From the message at first; later attempts count themselves and so learn what the earlier ones archived."""
    if attempt == 1:
        return job.images
    return tasks.record(job.task_id, while_in=Status.GENERATED, archive_attempts=attempt).images


def _archive(job: ArchiveJob, wanted: tuple[Image, ...], images: ImageStore) -> tuple[Image, ...]:
    deadline = time.monotonic() + TOTAL_SECONDS
    found = []
    for index, image in enumerate(wanted):
        seconds = (deadline - time.monotonic()) / (len(wanted) - index)  # what an earlier image left is the later ones'
        found.append(image if image.key else _archive_one(job, index, image, images, seconds))
    return tuple(found)


def _archive_one(job: ArchiveJob, index: int, image: Image, images: ImageStore, seconds: float) -> Image:
    try:
        return images.archive(image, f"{job.owner}/{job.task_id}/{index}", seconds)
    except ImageUnavailable as error:
        logger.warning("Image not fetched", extra={"index": index, "reason": error.reason})
        count("ImageNotFetched")
        return image
