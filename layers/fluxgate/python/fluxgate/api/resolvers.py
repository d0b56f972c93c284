"""The REST API: resolvers, the caller's owner and the responses to submissions."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)

from fluxgate.api.problems import add_error_handlers, problem
from fluxgate.errors import (
    BodyTooLarge,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    NotAuthenticated,
    UnsupportedMediaType,
)
from fluxgate.tasks.model import OUTCOMES, Task
from fluxgate.wire.task import SettledTaskView, TaskView
from fluxgate.wire.validation import violations_of

if TYPE_CHECKING:
    from fluxgate.images.store import ImageStore
    from fluxgate.mcp.protocol import Reply
    from fluxgate.settings import OwnerSettings

MAX_BODY_BYTES = 64 * 1024


def rest() -> APIGatewayRestResolver:
    """Validates requests and responses by the type hints of the handlers."""
    app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=_json_body)
    add_error_handlers(app)
    _add_validation_handlers(app)
    return app


def rpc() -> APIGatewayRestResolver:
    """For MCP, which defines its own requests and errors."""
    app = APIGatewayRestResolver()
    add_error_handlers(app)
    return app


def owner(app: APIGatewayRestResolver, settings: OwnerSettings) -> str:
    """The owner that the settings assign to the caller's API key, by default the id of the key.

    Raises NotAuthenticated if there is neither a key nor a local owner.
    """
    key_id = app.current_event.request_context.identity.api_key_id
    if key_id:
        return settings.owner_aliases.get(key_id, key_id)
    if settings.local_owner:
        return settings.local_owner
    raise NotAuthenticated


def submitted(task: Task, waited: float | None, *, replayed: bool, images: Callable[[], ImageStore]) -> Response[str]:
    """202 with the task; 200 with its images if the client has `waited` and the task has an outcome."""
    is_finished = waited is not None and task.status in OUTCOMES
    headers = {"Location": f"../tasks/{task.task_id}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    view = SettledTaskView.of(task, images().url) if is_finished else TaskView.of(task)
    return _json_response(HTTPStatus.OK if is_finished else HTTPStatus.ACCEPTED, view, headers)


def accepted(view: TaskView, location: str) -> Response[str]:
    """202 with the task. The location is relative because the API's stage is part of its path."""
    return _json_response(HTTPStatus.ACCEPTED, view, {"Location": location})


def _json_response(status: HTTPStatus, view: TaskView, headers: dict[str, str]) -> Response[str]:
    """Serialized by the view itself. Powertools would validate it with another model, which costs 3 ms of a cold
    start."""
    return Response(status, content_type="application/json", body=view.model_dump_json(), headers=headers)


def mcp_message(app: APIGatewayRestResolver) -> tuple[str, dict[str, str]]:
    """Body and headers, with lower-case names. Values of repeated headers are joined (RFC 9110)."""
    event = app.current_event
    headers = {name.lower(): ", ".join(values).strip() for name, values in event.multi_value_headers.items()}
    body = event.body or ""
    if event.is_base64_encoded:
        body = base64.b64decode(body).decode(errors="replace")
    return body, headers


def mcp_response(reply: Reply) -> Response[str]:
    return Response(reply.status, content_type="application/json", body=reply.body)


def method_not_allowed(app: APIGatewayRestResolver) -> Response[str]:
    response = problem(app, MethodNotAllowed())
    response.headers["Allow"] = MethodNotAllowed.allow
    return response


def _json_body(body: str) -> Any:
    if len(body.encode()) > MAX_BODY_BYTES:
        raise BodyTooLarge([("", f"The body exceeds {MAX_BODY_BYTES} bytes.")])
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedBody([("", "The body is not valid JSON.")]) from None


def _is_json(app: APIGatewayRestResolver) -> bool:
    content_type = app.current_event.headers.get("content-type", "application/json")
    return not app.current_event.body or content_type.lower().startswith("application/json")


def _add_validation_handlers(app: APIGatewayRestResolver) -> None:
    def invalid(error: RequestValidationError) -> Response[str]:
        if not _is_json(app):  # Powertools parsed a form, whose fields never match the models
            return problem(app, UnsupportedMediaType([]))
        return problem(app, InvalidRequest(violations_of(error.errors(), skip=1)))

    def unsupported(_: RequestUnsupportedContentType) -> Response[str]:
        return problem(app, UnsupportedMediaType([]))

    def not_parsed(error: ValueError) -> Response[str]:
        if _is_json(app):
            raise error
        return problem(app, UnsupportedMediaType([]))  # a form without a boundary

    def not_utf8(_: UnicodeDecodeError) -> Response[str]:
        return problem(app, MalformedBody([]))

    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(RequestUnsupportedContentType)(unsupported)
    app.exception_handler(ValueError)(not_parsed)
    app.exception_handler(UnicodeDecodeError)(not_utf8)
