"""DELETE /v1/tasks/{task_id}: delete a task and its images."""

from fluxgate import coldstart

coldstart.begin()

from http import HTTPStatus
from typing import Any

from fluxgate import settings, wiring
from fluxgate.api import resolvers
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.delete_task import delete_task

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = resolvers.rest()
coldstart.ready(wiring.tasks, wiring.images)


@app.delete("/v1/tasks/<task_id>")
def delete(task_id: str) -> Response[None]:
    owner = resolvers.owner(app, settings.read(settings.OwnerSettings))
    delete_task(task_id, owner=owner, tasks=wiring.tasks(), images=wiring.images())
    return Response(HTTPStatus.NO_CONTENT)


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
