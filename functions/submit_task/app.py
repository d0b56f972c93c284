"""POST /v1/images/generations and /v1/images/edits: submit a request, and wait if the client asks to."""

from fluxgate import coldstart

coldstart.begin()

from typing import Annotated, Any

from fluxgate import settings, wiring
from fluxgate.api import resolvers
from fluxgate.api.prefer import preferred_wait
from fluxgate.submission.waiting import Wait
from fluxgate.telemetry import entrypoint
from fluxgate.wire.requests import EditRequest, GenerateRequest, IdempotencyKey
from fluxgate.workflows.submit_task import submit_task

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

Key = Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")]
Prefer = Annotated[str, Header()]

app = resolvers.rest()
coldstart.ready(wiring.request_validation, wiring.intake, wiring.secrets, wiring.provider_session)


@app.post("/v1/images/generations")
def generate(request: GenerateRequest, key: Key = None, prefer: Prefer = "") -> Response[str]:
    return _submit(request, key, prefer)


@app.post("/v1/images/edits")
def edit(request: EditRequest, key: Key = None, prefer: Prefer = "") -> Response[str]:
    return _submit(request, key, prefer)


def _submit(request: GenerateRequest | EditRequest, key: str | None, prefer: str) -> Response[str]:
    wait = Wait.begin(preferred_wait(prefer), wiring.clock())
    owner = resolvers.owner(app, settings.read(settings.OwnerSettings))
    task, replayed = submit_task(request, owner=owner, key=key, intake=wiring.intake(), submitter=wiring.submitter())
    task = wait.for_outcome(task, wiring.tasks())
    return resolvers.submitted(task, wait.seconds, replayed=replayed, images=wiring.images)


@entrypoint(correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
