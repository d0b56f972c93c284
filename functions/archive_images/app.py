"""The archive queue: bring a task's images into the bucket."""

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.telemetry import entrypoint
from fluxgate.wire.messages import ArchiveJob
from fluxgate.workflows.archive_images import archive_images

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

wiring.prepare(wiring.tasks, wiring.image_archive)


def archive(record: SQSRecord) -> None:
    archive_images(
        ArchiveJob.model_validate_json(record.body),
        attempt=batch.receive_count(record),
        attempts=wiring.archive_attempts(),
        max_age=wiring.archive_max_age(),
        images=wiring.image_archive(),
        tasks=wiring.tasks(),
    )


@entrypoint()
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return batch.each_message(event, archive, context)
