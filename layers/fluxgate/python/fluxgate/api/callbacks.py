"""The callback API: its resolver and the bodies that providers send."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from fluxgate.api.problems import add_error_handlers
from fluxgate.errors import BodyTooLarge, MalformedBody

MAX_BODY_BYTES = 5 * 1024 * 1024  # AceDataCloud repeats the prompt for each image; Lambda's limit is 6 MB


def resolver() -> APIGatewayHttpResolver:
    app = APIGatewayHttpResolver()
    add_error_handlers(app)
    return app


def callback(app: APIGatewayHttpResolver) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers, whose names HTTP APIs send in lower case. Raises BodyTooLarge, or MalformedBody if the body
    cannot be decoded."""
    event = app.current_event
    body = event.body or ""
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge([("", f"The body exceeds {MAX_BODY_BYTES} bytes.")])
    try:
        content = base64.b64decode(body, validate=True) if event.is_base64_encoded else body.encode()
    except ValueError:
        raise MalformedBody([("", "The body cannot be decoded.")]) from None
    return content, event.headers
