"""Every minute: whatever is due."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from fluxgate import events, wiring
from fluxgate.telemetry import entrypoint


@entrypoint()
def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    wiring.reconciler(events.time_left(context)).run()
