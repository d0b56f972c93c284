"""POST /v1/images/generations and /v1/images/edits: accept a request and hand it to the provider."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

from fluxgate import api, wiring
from fluxgate.schemas import EditRequest, GenerateRequest, IdempotencyKey, TaskView
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.submit_task import submit_task

Key = Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")]

app = api.rest()


@app.post("/v1/images/generations")
def generate(request: GenerateRequest, key: Key = None) -> Response[TaskView]:
    return _submit(request, key)


@app.post("/v1/images/edits")
def edit(request: EditRequest, key: Key = None) -> Response[TaskView]:
    return _submit(request, key)


def _submit(request: GenerateRequest | EditRequest, key: str | None) -> Response[TaskView]:
    owner = api.owner(app, wiring.owners())
    task, replayed = submit_task(request, owner=owner, key=key, intake=wiring.intake(), submitter=wiring.submitter())
    return api.accepted(TaskView.of(task), f"../tasks/{task.task_id}", replayed=replayed)


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
