"""Webhook queue: deliver one webhook per message."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.telemetry import entrypoint
from fluxgate.wire.jobs import WebhookJob
from fluxgate.workflows.deliver_webhook import deliver_webhook

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

coldstart.ready(wiring.tasks, wiring.images, wiring.secrets, wiring.receivers)


def deliver(record: SQSRecord) -> None:
    job = WebhookJob.parse(batch.json_body(record))
    deliver_webhook(
        job.task_id,
        job.status,
        tasks=wiring.tasks(),
        keys=wiring.signing_keys(),
        images=wiring.images(),
        post=wiring.receivers().post,
        clock=wiring.clock(),
    )


@entrypoint()
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return batch.each_message(event, deliver, context)
