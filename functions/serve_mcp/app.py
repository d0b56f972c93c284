"""POST /mcp: the tools for agents, by the Model Context Protocol. No sessions, and no streams to GET or DELETE."""

from typing import Any

from fluxgate import wiring
from fluxgate.api import resolvers
from fluxgate.mcp import protocol
from fluxgate.mcp.adapter import Agent
from fluxgate.telemetry import entrypoint

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = resolvers.rpc()
wiring.prepare(wiring.tasks, wiring.credentials)


@app.post("/mcp")
def post() -> Response[str]:
    agent = Agent(
        owner=resolvers.owner(app, wiring.owners()),
        intake=wiring.intake,
        submitter=wiring.submitter,
        tasks=wiring.tasks,
        images=wiring.images,
    )
    return resolvers.reply(protocol.answer(*resolvers.message(app), agent.server(wiring.mcp_origins())))


@app.route("/mcp", method=["GET", "DELETE"])
def neither() -> Response[str]:
    return resolvers.only(app, "POST")


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
