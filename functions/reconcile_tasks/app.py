"""Every minute: repair whatever is due."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.reconcile_tasks import reconcile_tasks

from aws_lambda_powertools.utilities.typing import LambdaContext

coldstart.ready(wiring.tasks, wiring.provider_session)


@entrypoint()
def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    has_time = batch.has_time(context)
    reconcile_tasks(
        tasks=wiring.tasks(),
        repairs=wiring.repairs(),
        polling=wiring.polling(has_time),
        images=wiring.images,
        clock=wiring.clock(),
        has_time=has_time,
    )
