"""Copy a task's images from the provider into the bucket, then mark it succeeded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fluxgate.errors import ArchiveIncomplete, ImageUnavailable, InvalidTransition, StorageUnavailable, TaskNotFound
from fluxgate.tasks.model import Image, Status, Task
from fluxgate.telemetry import annotate_task, count, logger, milliseconds

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.images.archive import ImageArchive
    from fluxgate.tasks.store import TaskStore
    from fluxgate.wire.jobs import ArchiveJob

TOTAL_SECONDS = 50.0  # for all images of a task; below the function's timeout

ArchiveError = ImageUnavailable | StorageUnavailable


def archive_images(
    job: ArchiveJob,
    *,
    receive_count: int,
    max_receives: int,
    max_age: timedelta,
    images: ImageArchive,
    tasks: TaskStore,
    clock: Clock,
) -> None:
    """Store each image, then write once. Missing images are retried when the message is received again. After
    `max_receives` the task succeeds with the images it has if the others cannot be fetched any more or are older than
    `max_age`; otherwise it is postponed.

    Raises ArchiveIncomplete if the message should be received again, and StorageUnavailable: images that only our
    bucket refused are never given up.
    """
    annotate_task(job.task_id)
    archived: dict[str, Any] = {}
    try:
        wanted = job.images if receive_count == 1 else _record(job, receive_count, {}, tasks).images
        archived, errors = _archive(job, wanted, images, clock)
        if errors:
            task = _record(job, receive_count, archived, tasks)
            missing = _unfetched(error for index, error in errors.items() if task.images[index].key is None)
            if missing and receive_count < max_receives:
                raise ArchiveIncomplete
            if clock.now() - job.generated_at < max_age and any(not error.final for error in missing):
                tasks.postpone(task)
                logger.warning("Archiving postponed", extra={"missing": len(missing)})
                return
        task = tasks.transition(job.task_id, Status.SUCCEEDED, **archived)
    except InvalidTransition as refused:  # a repeated message
        logger.info("Nothing to archive", extra={"reason": str(refused)})
        return
    except TaskNotFound:  # deleted, so its images must be deleted as well
        images.delete([image.key for image in archived.values()])
        logger.info("Archived task was deleted")
        return
    count("TaskSucceeded")
    milliseconds("CallbackToArchived", (task.updated_at - job.generated_at).total_seconds() * 1000)
    logger.info("Task succeeded", extra={"images": len(task.images)})


def _record(job: ArchiveJob, receive_count: int, archived: dict[str, Any], tasks: TaskStore) -> Task:
    """Store progress. The returned task shows what overlapping messages have archived."""
    return tasks.update(job.task_id, while_in=Status.GENERATED, archive_attempts=receive_count, **archived)


def _archive(
    job: ArchiveJob, wanted: Sequence[Image], images: ImageArchive, clock: Clock
) -> tuple[dict[str, Any], dict[int, ArchiveError]]:
    """Archived images by list element, so that overlapping messages do not overwrite each other; errors by index."""
    deadline = clock.monotonic() + TOTAL_SECONDS
    archived: dict[str, Any] = {}
    errors: dict[int, ArchiveError] = {}
    for index, image in enumerate(wanted):
        if image.key:
            continue
        seconds = (deadline - clock.monotonic()) / (len(wanted) - index)  # unused time goes to the later images
        try:
            archived[f"images[{index}]"] = images.archive(image, f"{job.owner}/{job.task_id}/{index}", seconds)
        except (ImageUnavailable, StorageUnavailable) as error:
            logger.warning("Image not archived", extra={"index": index, "reason": str(error)})
            count("ImageNotArchived")
            errors[index] = error
    return archived, errors


def _unfetched(errors: Iterable[ArchiveError]) -> list[ImageUnavailable]:
    """Raises the first StorageUnavailable: the provider still has that image."""
    found = []
    for error in errors:
        if isinstance(error, StorageUnavailable):
            raise error
        found.append(error)
    return found
