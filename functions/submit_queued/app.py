"""The submission queue: submit deferred tasks, and what other systems put there."""

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.submission import orders
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.submit_queued import submit_message

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

wiring.prepare(wiring.intake, wiring.credentials, wiring.provider_session)


def submit(record: SQSRecord) -> None:
    submit_message(
        lambda: orders.submission(record),
        message_id=record.message_id,
        intake=wiring.intake(),
        submitter=wiring.submitter(),
        bus=wiring.event_bus(),
    )


@entrypoint()
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return batch.each_message(event, submit, context)
