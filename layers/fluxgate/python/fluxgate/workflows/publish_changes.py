"""Tell the rest of the system what changed in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.schemas import ArchiveJob, SourceImage
from fluxgate.tasks import Status, Task
from fluxgate.telemetry import about_task, logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class ArchiveQueue:
    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, job: ArchiveJob) -> None:
        self._sqs.send_message(QueueUrl=self._url, MessageBody=job.model_dump_json())


def publish_change(before: Task | None, after: Task, *, archive: ArchiveQueue) -> None:
    """A task that has become `generated` goes to the archive. Other changes of such a task are passed over."""
    if after.status is not Status.GENERATED or (before and before.status is Status.GENERATED):
        return
    about_task(after.task_id)
    archive.send(
        ArchiveJob(
            task_id=after.task_id,
            owner=after.owner,
            generated_at=after.generated_at or after.updated_at,
            images=tuple(SourceImage(url=image.source_url, seed=image.seed) for image in after.images),
        )
    )
    logger.info("Task queued for archiving")
