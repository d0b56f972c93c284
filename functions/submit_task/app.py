"""POST /v1/images/generations and /v1/images/edits: accept a request and hand it to the provider."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from fluxgate import api, wiring
from fluxgate.schemas import EditRequest, GenerateRequest, TaskView
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.submit_task import submit_task

app = api.rest()


@app.post("/v1/images/generations")
def generate(request: GenerateRequest) -> Response[TaskView]:
    return _submit(request)


@app.post("/v1/images/edits")
def edit(request: EditRequest) -> Response[TaskView]:
    return _submit(request)


def _submit(request: GenerateRequest | EditRequest) -> Response[TaskView]:
    task = submit_task(
        request,
        owner=api.owner(app, wiring.owners()),
        provider=wiring.provider(),
        tasks=wiring.tasks(),
        callback_base_url=wiring.callback_base_url(),
        retention=wiring.retention(),
    )
    return api.accepted(TaskView.of(task))


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
