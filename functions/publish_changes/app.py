"""Table stream: queue generated tasks for archiving and announce outcomes on the event bus."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.tasks.changes import before_and_after
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.publish_changes import publish_change

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

coldstart.ready(wiring.tasks, wiring.archive_queue, wiring.event_bus)


def publish(record: DynamoDBRecord) -> None:
    publish_change(
        *before_and_after(record), archive=wiring.archive_queue(), bus=wiring.event_bus(), tasks=wiring.tasks()
    )


@entrypoint()
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return batch.each_change(event, publish, context)
