"""The REST API: its resolvers, who the caller is, and the forms of its answers."""

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

from fluxgate import errors
from fluxgate.api.problems import TABLE, add_error_handlers, problem
from fluxgate.tasks.model import OUTCOMES, Task
from fluxgate.wire.task import SettledTaskView, TaskView

if TYPE_CHECKING:
    from fluxgate.images.store import ImageStore
    from fluxgate.mcp.protocol import Reply
    from fluxgate.settings import OwnerSettings

# In plainer words than pydantic's.
MESSAGES = {
    "extra_forbidden": "There is no such field. Leave it out.",
    "missing": "This field is required.",
    "string_too_short": "This field must not be empty.",
}

MAX_BODY_BYTES = 64 * 1024


def rest() -> APIGatewayRestResolver:
    """For the REST API: requests and answers are validated by the handlers' type hints."""
    app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=_json_body)
    add_error_handlers(app)
    _add_validation_handlers(app)
    return app


def rpc() -> APIGatewayRestResolver:
    """For MCP, which has a form of its own for requests and errors."""
    app = APIGatewayRestResolver()
    add_error_handlers(app)
    return app


def owner(app: APIGatewayRestResolver, known: OwnerSettings) -> str:
    """The name that the settings give to the caller's API key, else the key's id.

    Raises NotAuthenticated where there is neither a key nor a local owner.
    """
    key_id = app.current_event.request_context.identity.api_key_id
    if key_id:
        return known.owner_aliases.get(key_id, key_id)
    if known.local_owner:
        return known.local_owner
    raise errors.NotAuthenticated


def submitted(task: Task, waited: float | None, *, replayed: bool, images: Callable[[], ImageStore]) -> Response[str]:
    """202 with the task; 200 with its images where the client has `waited` and there is an outcome."""
    is_over = waited is not None and task.status in OUTCOMES
    headers = {"Location": f"../tasks/{task.task_id}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    view = SettledTaskView.of(task, images().url) if is_over else TaskView.of(task)
    return _text(HTTPStatus.OK if is_over else HTTPStatus.ACCEPTED, view, headers)


def accepted(view: TaskView, location: str) -> Response[str]:
    """202 with the task. The location is relative, for the API lives under its stage."""
    return _text(HTTPStatus.ACCEPTED, view, {"Location": location})


def _text(status: HTTPStatus, view: TaskView, headers: dict[str, str]) -> Response[str]:
    """The view as its model writes it. Left to Powertools it would be validated once more, by a model of its own that
    takes 3 ms of a cold start."""
    return Response(status, content_type="application/json", body=view.model_dump_json(), headers=headers)


def message(app: APIGatewayRestResolver) -> tuple[str, dict[str, str]]:
    """The body, and the headers by their names in lower case; one that is there twice has both values (RFC 9110)."""
    event = app.current_event
    headers = {name.lower(): ", ".join(values).strip() for name, values in event.multi_value_headers.items()}
    body = event.body or ""
    if event.is_base64_encoded:
        body = base64.b64decode(body).decode(errors="replace")
    return body, headers


def reply(given: Reply) -> Response[str]:
    return Response(given.status, content_type="application/json", body=given.body)


def only(app: APIGatewayRestResolver, method: str) -> Response[str]:
    """405: there is such a route, for another method."""
    detail = f"This route takes {method} alone."
    answer = problem(app, HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", detail, [])
    answer.headers["Allow"] = method
    return answer


def _json_body(body: str) -> Any:
    if len(body.encode()) > MAX_BODY_BYTES:
        raise errors.BodyTooLarge([("", f"The body may have at most {MAX_BODY_BYTES} bytes.")])
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise errors.MalformedBody([("", "The body is not valid JSON.")]) from None


def _is_json(app: APIGatewayRestResolver) -> bool:
    content_type = app.current_event.headers.get("content-type", "application/json")
    return not app.current_event.body or content_type.lower().startswith("application/json")


def _add_validation_handlers(app: APIGatewayRestResolver) -> None:
    def invalid(error: RequestValidationError) -> Response[str]:
        if not _is_json(app):  # Powertools has read it as a form, whose fields are never what the models ask for
            return problem(app, *TABLE[errors.UnsupportedMediaType], [])
        faults = [(_field(fault["loc"]), MESSAGES.get(fault["type"], fault["msg"])) for fault in error.errors()]
        return problem(app, *TABLE[errors.InvalidRequest], faults)

    def not_json(_: RequestUnsupportedContentType) -> Response[str]:
        return problem(app, *TABLE[errors.UnsupportedMediaType], [])

    def not_parsed(error: ValueError) -> Response[str]:
        if _is_json(app):
            raise error
        return problem(app, *TABLE[errors.UnsupportedMediaType], [])  # a form without its boundary

    def not_text(_: UnicodeDecodeError) -> Response[str]:
        return problem(app, *TABLE[errors.MalformedBody], [])

    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(RequestUnsupportedContentType)(not_json)
    app.exception_handler(ValueError)(not_parsed)
    app.exception_handler(UnicodeDecodeError)(not_text)


def _field(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location[1:] if part != "[key]")
