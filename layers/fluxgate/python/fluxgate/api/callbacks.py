"""The callback API: its resolver, whose bodies are the provider's."""

from __future__ import annotations

import base64

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from fluxgate import errors
from fluxgate.api.problems import add_error_handlers

MAX_CALLBACK_BYTES = 5 * 1024 * 1024  # the vendor repeats the prompt for each image; a Lambda event ends at 6 MB


def resolver() -> APIGatewayHttpResolver:
    app = APIGatewayHttpResolver()
    add_error_handlers(app)
    return app


def body(app: APIGatewayHttpResolver) -> bytes:
    """The bytes of a callback. Raises BodyTooLarge, or MalformedBody where there are none."""
    event = app.current_event
    body = event.body or ""
    if len(body) > MAX_CALLBACK_BYTES:
        raise errors.BodyTooLarge([("", f"The body may have at most {MAX_CALLBACK_BYTES} bytes.")])
    try:
        return base64.b64decode(body, validate=True) if event.is_base64_encoded else body.encode()
    except ValueError:
        raise errors.MalformedBody([("", "The body cannot be decoded.")]) from None
