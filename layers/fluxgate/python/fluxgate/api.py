"""The resolvers, the error → HTTP table, and who the caller is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import (
    APIGatewayHttpResolver,
    APIGatewayRestResolver,
    Response,
)
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)

from fluxgate import errors
from fluxgate.schemas import SettledTaskView, TaskView
from fluxgate.settings import OwnerSettings
from fluxgate.tasks import OUTCOMES, Task
from fluxgate.telemetry import logger

if TYPE_CHECKING:
    from fluxgate.images import ImageStore
    from fluxgate.mcp import Reply

Resolver = APIGatewayRestResolver | APIGatewayHttpResolver

# In plainer words than pydantic's.
MESSAGES = {
    "extra_forbidden": "There is no such field. Leave it out.",
    "missing": "This field is required.",
    "string_too_short": "This field must not be empty.",
}

MAX_BODY_BYTES = 64 * 1024
MAX_CALLBACK_BYTES = 5 * 1024 * 1024  # the vendor repeats the prompt for each image; a Lambda event ends at 6 MB

# Error, status, code, title detail. The most special class of an error decides. What is not here fails the invocation.
TABLE: dict[type[Exception], tuple[HTTPStatus, str, str]] = {
    errors.InvalidRequest: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "Some fields are not acceptable."),
    errors.MalformedBody: (HTTPStatus.BAD_REQUEST, "malformed_body", "The body is not a JSON object."),
    errors.BodyTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The body is too large."),
    errors.UnsupportedMediaType: (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "Send JSON, with the header Content-Type: application/json.",
    ),
    errors.IdempotencyMismatch: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "idempotency_mismatch",
        errors.IdempotencyMismatch.MESSAGE,
    ),
    errors.NothingToDeliver: (
        HTTPStatus.CONFLICT,
        "nothing_to_deliver",
        "The task has no outcome yet, or no callback_url.",
    ),
    errors.NotAuthenticated: (HTTPStatus.FORBIDDEN, "no_api_key", "The request carries no API key."),
    errors.TaskNotFound: (HTTPStatus.NOT_FOUND, "task_not_found", "There is no such task."),
    errors.TaskDeleted: (HTTPStatus.CONFLICT, "task_deleted", errors.TaskDeleted.MESSAGE),
    errors.TaskInFlight: (
        HTTPStatus.CONFLICT,
        "task_in_flight",
        "The task is at the provider. It can be deleted when it has its outcome.",
    ),
    errors.CallbackRefused: (HTTPStatus.NOT_FOUND, "callback_not_found", "There is nothing to call back here."),
    errors.StorageUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "storage_unavailable", "Try again later."),
    errors.QueueUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "queue_unavailable", "Try again later."),
    errors.CredentialsUnavailable: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "credentials_unavailable",
        "The service cannot read its credentials. Nothing was submitted. Try again later.",
    ),
    NotFoundError: (HTTPStatus.NOT_FOUND, "route_not_found", "There is no such route."),
}


def rest() -> APIGatewayRestResolver:
    """For the REST API: requests and answers are validated by the handlers' type hints."""
    app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=_json_body)
    _add_error_handlers(app)
    _add_validation_handlers(app)
    return app


def http() -> APIGatewayHttpResolver:
    """For the callback API, whose bodies are the provider's."""
    app = APIGatewayHttpResolver()
    _add_error_handlers(app)
    return app


def rpc() -> APIGatewayRestResolver:
    """For MCP, which has a form of its own for requests and errors."""
    app = APIGatewayRestResolver()
    _add_error_handlers(app)
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


def submitted(
    task: Task, waited: float | None, *, replayed: bool, images: Callable[[], ImageStore]
) -> Response[SettledTaskView | TaskView]:
    """202 with the task; 200 with its images where the client has `waited` and there is an outcome."""
    is_over = waited is not None and task.status in OUTCOMES
    headers = {"Location": f"../tasks/{task.task_id}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited}"
    return Response(
        HTTPStatus.OK if is_over else HTTPStatus.ACCEPTED,
        content_type="application/json",
        body=SettledTaskView.of(task, images().url) if is_over else TaskView.of(task),
        headers=headers,
    )


def accepted(view: TaskView, location: str) -> Response[TaskView]:
    """202 with the task. The location is relative, for the API lives under its stage."""
    return Response(HTTPStatus.ACCEPTED, content_type="application/json", body=view, headers={"Location": location})


def callback_body(app: APIGatewayHttpResolver) -> bytes:
    """The bytes of a callback. Raises BodyTooLarge, or MalformedBody where there are none."""
    event = app.current_event
    body = event.body or ""
    if len(body) > MAX_CALLBACK_BYTES:
        raise errors.BodyTooLarge([("", f"The body may have at most {MAX_CALLBACK_BYTES} bytes.")])
    try:
        return base64.b64decode(body, validate=True) if event.is_base64_encoded else body.encode()
    except ValueError:
        raise errors.MalformedBody([("", "The body cannot be decoded.")]) from None


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
    answer = _problem(app, HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", detail, [])
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


def _add_error_handlers(app: Resolver) -> None:
    for kind, (status, code, detail) in TABLE.items():

        def answer(
            error: Exception, status: HTTPStatus = status, code: str = code, detail: str = detail
        ) -> Response[str]:
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                logger.error("Request failed", extra={"error": type(error).__name__, "reason": str(error)})
            return _problem(app, status, code, detail, getattr(error, "errors", []))

        app.exception_handler(kind)(answer)


def _add_validation_handlers(app: APIGatewayRestResolver) -> None:
    def invalid(error: RequestValidationError) -> Response[str]:
        if not _is_json(app):  # Powertools has read it as a form, whose fields are never what the models ask for
            return _problem(app, *TABLE[errors.UnsupportedMediaType], [])
        faults = [(_field(fault["loc"]), MESSAGES.get(fault["type"], fault["msg"])) for fault in error.errors()]
        return _problem(app, *TABLE[errors.InvalidRequest], faults)

    def not_json(_: RequestUnsupportedContentType) -> Response[str]:
        return _problem(app, *TABLE[errors.UnsupportedMediaType], [])

    def not_parsed(error: ValueError) -> Response[str]:
        if _is_json(app):
            raise error
        return _problem(app, *TABLE[errors.UnsupportedMediaType], [])  # a form without its boundary

    def not_text(_: UnicodeDecodeError) -> Response[str]:
        return _problem(app, *TABLE[errors.MalformedBody], [])

    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(RequestUnsupportedContentType)(not_json)
    app.exception_handler(ValueError)(not_parsed)
    app.exception_handler(UnicodeDecodeError)(not_text)


def _field(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location[1:] if part != "[key]")


def _problem(app: Resolver, status: HTTPStatus, code: str, detail: str, faults: list[tuple[str, str]]) -> Response[str]:
    """RFC 9457. Logs the code alone: even the names of unknown fields are the client's own words."""
    logger.info("Request refused", extra={"status": status, "code": code, "faults": len(faults)})
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [{"field": field, "message": message} for field, message in faults],
        "request_id": app.current_event.request_context.request_id,
    }
    return Response(status, content_type="application/problem+json", body=json.dumps(body))
