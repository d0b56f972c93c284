"""DELETE /v1/tasks/{task_id}: a task and its images are gone."""

from http import HTTPStatus
from typing import Any

from fluxgate import wiring
from fluxgate.api import resolvers
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.delete_task import delete_task

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = resolvers.rest()
wiring.prepare(wiring.tasks, wiring.images)


@app.delete("/v1/tasks/<task_id>")
def delete(task_id: str) -> Response[None]:
    delete_task(task_id, owner=resolvers.owner(app, wiring.owners()), tasks=wiring.tasks(), images=wiring.images())
    return Response(HTTPStatus.NO_CONTENT)


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
