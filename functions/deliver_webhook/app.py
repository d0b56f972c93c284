"""The webhook queue: tell one receiver of one outcome."""

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.telemetry import entrypoint
from fluxgate.wire.messages import WebhookJob
from fluxgate.workflows.deliver_webhook import deliver_webhook

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

wiring.prepare(wiring.tasks, wiring.images, wiring.credentials, wiring.receivers)


def deliver(record: SQSRecord) -> None:
    outcome = WebhookJob.parse(batch.json_body(record))
    deliver_webhook(
        outcome.task_id,
        outcome.status,
        tasks=wiring.tasks(),
        keys=wiring.signing_keys(),
        images=wiring.images(),
        post=wiring.receivers().post,
    )


@entrypoint()
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return batch.each_message(event, deliver, context)
