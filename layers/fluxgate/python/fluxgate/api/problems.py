"""Errors as RFC 9457 problem details."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from fluxgate.errors import InvalidRequest, PublicError, RouteNotFound, ServiceUnavailable
from fluxgate.telemetry import logger

Resolver = APIGatewayRestResolver | APIGatewayHttpResolver

CONTENT_TYPE = "application/problem+json"


def add_error_handlers(app: Resolver) -> None:
    """Any other error fails the invocation and raises the alarm."""

    def handle(error: PublicError) -> Response[str]:
        if isinstance(error, ServiceUnavailable):
            logger.error("Request failed", extra={"error": type(error).__name__, "reason": str(error)})
        return problem(app, error)

    def route_not_found(_: NotFoundError) -> Response[str]:
        return problem(app, RouteNotFound())

    app.exception_handler(PublicError)(handle)
    app.exception_handler(NotFoundError)(route_not_found)


def problem(app: Resolver, error: PublicError) -> Response[str]:
    """Logs the code only: even the names of unknown fields are the client's words."""
    body = problem_details(error, app.current_event.request_context.request_id)
    fields = {"status": error.status, "code": error.code, "violations": len(body["errors"])}
    logger.info("Request refused", extra=fields)
    return Response(error.status, content_type=CONTENT_TYPE, body=json.dumps(body))


def problem_details(error: PublicError, request_id: str) -> dict[str, Any]:
    violations = error.violations if isinstance(error, InvalidRequest) else []
    return {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "errors": [{"field": field, "message": message} for field, message in violations],
        "request_id": request_id,
    }
