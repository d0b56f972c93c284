"""POST /callbacks/{provider}/{task_id}/{token}: store the provider's result."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import wiring
from fluxgate.api import callbacks
from fluxgate.providers.registry import callback_parser
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.receive_callback import receive_callback

from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = callbacks.resolver()
coldstart.ready(wiring.tasks)


@app.post("/callbacks/<provider>/<task_id>/<token>")
def callback(provider: str, task_id: str, token: str) -> dict[str, bool]:
    result = callback_parser(provider)(*callbacks.callback(app))
    receive_callback(result, task_id=task_id, token=token, tasks=wiring.tasks(), clock=wiring.clock())
    return {"received": True}


@entrypoint(correlation_paths.API_GATEWAY_HTTP)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
