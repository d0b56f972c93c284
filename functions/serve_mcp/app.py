"""POST /mcp: the tools for agents, by the Model Context Protocol. No sessions, and no streams to GET or DELETE."""

from typing import Any

from fluxgate import api, mcp, wiring
from fluxgate.telemetry import entrypoint
from fluxgate.workflows.serve_mcp import Agent

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

app = api.rpc()
wiring.prepare(wiring.tasks, wiring.credentials)


@app.post("/mcp")
def post() -> Response[str]:
    agent = Agent(
        owner=api.owner(app, wiring.owners()),
        intake=wiring.intake,
        submitter=wiring.submitter,
        tasks=wiring.tasks,
        images=wiring.images,
    )
    return api.reply(mcp.answer(*api.message(app), agent.server(wiring.mcp_origins())))


@app.route("/mcp", method=["GET", "DELETE"])
def neither() -> Response[str]:
    return api.only(app, "POST")


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
