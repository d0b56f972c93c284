"""Archive queue: copy a task's images into the bucket."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import settings, wiring
from fluxgate.aws import batch
from fluxgate.telemetry import entrypoint
from fluxgate.wire.jobs import ArchiveJob
from fluxgate.workflows.archive_images import archive_images

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

coldstart.ready(wiring.tasks, wiring.image_archive)


def archive(record: SQSRecord) -> None:
    limits = settings.read(settings.ArchiveSettings)
    archive_images(
        ArchiveJob.model_validate_json(record.body),
        receive_count=batch.receive_count(record),
        max_receives=limits.archive_attempts,
        max_age=limits.max_age,
        images=wiring.image_archive(),
        tasks=wiring.tasks(),
        clock=wiring.clock(),
    )


@entrypoint()
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return batch.each_message(event, archive, context)
