"""GET /v1/tasks, /v1/tasks/{task_id}, /v1/models and /v1/webhook-secret; POST /v1/tasks/batch."""

from fluxgate import coldstart

coldstart.begin()

from typing import Annotated, Any

from fluxgate import settings, wiring
from fluxgate.api import resolvers
from fluxgate.telemetry import entrypoint
from fluxgate.wire.requests import BatchRequest
from fluxgate.wire.responses import ModelList, TaskBatch, TaskPage, WebhookSecret
from fluxgate.wire.task import PublicStatus, TaskView
from fluxgate.workflows import read_tasks

from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = resolvers.rest()
coldstart.ready(wiring.tasks, wiring.images)


@app.get("/v1/tasks")
def list_tasks(
    status: Annotated[PublicStatus | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> TaskPage:
    return read_tasks.list_tasks(
        owner=_owner(), status=status, limit=limit, cursor=cursor, tasks=wiring.tasks(), images=wiring.images()
    )


@app.post("/v1/tasks/batch")
def read_batch(request: BatchRequest) -> TaskBatch:
    return read_tasks.read_tasks(request.task_ids, owner=_owner(), tasks=wiring.tasks(), images=wiring.images())


@app.get("/v1/tasks/<task_id>")
def read_task(task_id: str) -> TaskView:
    return read_tasks.read_task(task_id, owner=_owner(), tasks=wiring.tasks(), images=wiring.images())


@app.get("/v1/models")
def list_models() -> ModelList:
    return read_tasks.list_models()


@app.get("/v1/webhook-secret")
def webhook_secret() -> WebhookSecret:
    return read_tasks.webhook_secret(owner=_owner(), keys=wiring.signing_keys())


def _owner() -> str:
    return resolvers.owner(app, settings.read(settings.OwnerSettings))


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
