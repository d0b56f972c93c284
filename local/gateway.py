"""The common parts of API Gateway's two kinds of API: routing, invocation and conversion of responses."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.openapi import Api, Route
    from local.worker import Invocation

    Submit = Callable[[str, object], Future[Invocation]]

MAX_BODY = 10 * 1024 * 1024  # bytes


class Gateway(ABC):
    """A WSGI application that routes requests to functions."""

    def __init__(self, api: Api, submit: Submit) -> None:
        """`submit` starts an invocation of a function with an event."""
        self.api = api
        self._submit = submit
        # API Gateway does not redirect, as merge_slashes and redirect_defaults would.
        rules = [Rule(_pattern(route.path), methods=[route.method], endpoint=route) for route in api.routes]
        self._routes = Map(rules, merge_slashes=False, redirect_defaults=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.respond(Request(environ))(environ, start_response)

    @abstractmethod
    def respond(self, request: Request) -> Response:
        """The response to a request, whether or not it has a route."""

    def find_route(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a request and its path parameters."""
        try:
            route, parameters = self._routes.bind("").match(path, method)
        except HTTPException:
            return None
        # werkzeug routes HEAD wherever it routes GET; API Gateway does not.
        return (route, dict(parameters)) if route.method == method else None

    def invoke(self, route: Route, event: dict[str, Any]) -> Any:
        """The function's result, None if it failed. Raises TimeoutError after the route's timeout."""
        invocation = self._submit(route.function, event).result(route.timeout)
        return None if invocation.is_error else invocation.payload


def _pattern(path: str) -> str:
    """A path with parameters in werkzeug's syntax."""
    return re.sub(r"\{(\w+)\}", r"<\1>", re.sub(r"\{(\w+)\+\}", r"<path:\1>", path))


def forwarded_headers(request: Request) -> dict[str, list[str]]:
    """The request's headers and those that API Gateway adds."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    added = {"X-Forwarded-For": request.remote_addr or "", "X-Forwarded-Proto": "http", "X-Amzn-Trace-Id": trace}
    return headers | {name: [value] for name, value in added.items()}


def event_body(request: Request, *, is_text: bool) -> tuple[str | None, bool]:
    """The event's `body` and `isBase64Encoded`."""
    content = request.get_data()
    if not content:
        return None, False
    if is_text:
        return content.decode(errors="replace"), False
    return base64.b64encode(content).decode(), True


def is_proxy_response(result: object) -> bool:
    """Whether a function's result has the form of a Lambda proxy integration's response."""
    return isinstance(result, dict) and "statusCode" in result


def to_response(result: dict[str, Any], *, decode: bool) -> Response | None:
    """The HTTP response of a proxy integration, None if it is malformed. `decode` allows base64 bodies."""
    body = result.get("body") or ""
    if not isinstance(body, str):
        return None
    try:
        content = base64.b64decode(body, validate=True) if result.get("isBase64Encoded") and decode else body
        response = Response(content, int(result["statusCode"]), content_type="application/json")
    except (TypeError, ValueError, binascii.Error):
        return None
    for name, value in (result.get("headers") or {}).items():
        response.headers[name] = str(value)
    for name, values in (result.get("multiValueHeaders") or {}).items():
        response.headers.setlist(name, [str(value) for value in values])
    for cookie in result.get("cookies") or ():
        response.headers.add("Set-Cookie", cookie)
    return response
