"""POST /v1/tasks/{task_id}/webhook: deliver an outcome's webhook again."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import settings, wiring
from fluxgate.api import resolvers
from fluxgate.telemetry import entrypoint
from fluxgate.wire.task import TaskView
from fluxgate.workflows.resend_webhook import resend_webhook

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = resolvers.rest()
coldstart.ready(wiring.tasks, wiring.webhook_queue)


@app.post("/v1/tasks/<task_id>/webhook")
def resend(task_id: str) -> Response[str]:
    owner = resolvers.owner(app, settings.read(settings.OwnerSettings))
    task = resend_webhook(task_id, owner=owner, tasks=wiring.tasks(), queue=wiring.webhook_queue())
    return resolvers.accepted(TaskView.of(task), f"../{task_id}")


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
