"""Every minute: whatever is due."""

from typing import Any

from fluxgate import wiring
from fluxgate.aws import batch
from fluxgate.telemetry import entrypoint

from aws_lambda_powertools.utilities.typing import LambdaContext

wiring.prepare(wiring.tasks, wiring.provider_session)


@entrypoint()
def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    wiring.reconciler(batch.has_time(context)).run()
