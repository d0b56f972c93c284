"""POST /mcp: the MCP server. Stateless, so GET (streams) and DELETE (sessions) are not allowed."""

from fluxgate import coldstart

coldstart.begin()

from typing import Any

from fluxgate import settings, wiring
from fluxgate.api import resolvers
from fluxgate.mcp import protocol
from fluxgate.mcp.adapter import Adapter
from fluxgate.telemetry import entrypoint

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = resolvers.rpc()
coldstart.ready(wiring.request_validation, wiring.tasks, wiring.secrets)


@app.post("/mcp")
def post() -> Response[str]:
    adapter = Adapter(
        owner=resolvers.owner(app, settings.read(settings.OwnerSettings)),
        intake=wiring.intake,
        submitter=wiring.submitter,
        tasks=wiring.tasks,
        images=wiring.images,
        clock=wiring.clock(),
    )
    server = adapter.server(settings.read(settings.McpSettings).mcp_allowed_origins)
    return resolvers.mcp_response(protocol.handle(*resolvers.mcp_message(app), server))


@app.route("/mcp", method=["GET", "DELETE"])
def not_allowed() -> Response[str]:
    return resolvers.method_not_allowed(app)


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
