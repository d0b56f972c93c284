"""Submission queue: submit deferred tasks and orders from other systems."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.submission import orders
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.submit_queued import submit_message

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

coldstart.ready(wiring.request_validation, wiring.intake, wiring.secrets, wiring.provider_session)


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
