"""Errors as answers: the error → HTTP table, and RFC 9457 problem details."""

from __future__ import annotations

import json
from http import HTTPStatus

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from fluxgate import errors
from fluxgate.telemetry import logger

Resolver = APIGatewayRestResolver | APIGatewayHttpResolver

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


def add_error_handlers(app: Resolver) -> None:
    for kind, (status, code, detail) in TABLE.items():

        def answer(
            error: Exception, status: HTTPStatus = status, code: str = code, detail: str = detail
        ) -> Response[str]:
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                logger.error("Request failed", extra={"error": type(error).__name__, "reason": str(error)})
            return problem(app, status, code, detail, getattr(error, "errors", []))

        app.exception_handler(kind)(answer)


def problem(app: Resolver, status: HTTPStatus, code: str, detail: str, faults: list[tuple[str, str]]) -> Response[str]:
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
