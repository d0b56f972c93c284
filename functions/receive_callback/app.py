"""POST /callbacks/{provider}/{task_id}/{token}: store what the provider says."""

from typing import Any

from fluxgate import wiring
from fluxgate.api import callbacks
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.receive_callback import receive_callback

from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = callbacks.resolver()
wiring.prepare(wiring.tasks)


@app.post("/callbacks/<provider>/<task_id>/<token>")
def callback(provider: str, task_id: str, token: str) -> dict[str, bool]:
    outcome = wiring.callback_parser(provider)(callbacks.body(app))
    receive_callback(outcome, task_id=task_id, token=token, tasks=wiring.tasks())
    return {"received": True}


@entrypoint(correlation_paths.API_GATEWAY_HTTP)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
