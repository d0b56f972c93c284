"""What API Gateway's two kinds of API share: find the route, invoke the function, wait as long as AWS would."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import socket
import time
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.openapi import Api, Route
    from local.worker import Invocation

    Submit = Callable[[str, object], Future[Invocation]]

MAX_BODY = 10 * 1024 * 1024


class Front:
    """What both kinds of API have in common: find the route, invoke the function, wait as long as the gateway does."""

    def __init__(self, api: Api, submit: Submit) -> None:
        self.api = api
        self._submit = submit
        # merge_slashes and the like would answer with redirects that API Gateway does not make.
        rules = [Rule(_pattern(route.path), methods=[route.method], endpoint=route) for route in api.routes]
        self._routes = Map(rules, merge_slashes=False, redirect_defaults=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.answer(Request(environ))(environ, start_response)

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        try:
            route, parameters = self._routes.bind("").match(path, method)
        except HTTPException:
            return None
        # werkzeug answers HEAD where GET is routed; API Gateway does not.
        return (route, dict(parameters)) if route.method == method else None

    def invoke(self, route: Route, event: dict[str, Any]) -> Any:
        """The function's answer, None if it failed; TimeoutError when the gateway would not wait longer."""
        invocation = self._submit(route.function, event).result(route.timeout)
        return None if invocation.is_error else invocation.payload


class Server:
    """An HTTP server in threads of this process. The port is taken at once, so that others can be told its address."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._server: BaseWSGIServer | None = None

    def serve(self, application: Front) -> None:
        self._server = make_server(
            self._host,
            self.port,
            application,
            threaded=True,
            request_handler=_QuietRequestHandler,
            fd=self._listener.fileno(),
        )
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._listener.close()


class _QuietRequestHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the functions' own log lines tell what happened."""


def _pattern(path: str) -> str:
    """API Gateway's path with its parameters as werkzeug writes them."""
    return re.sub(r"\{(\w+)\}", r"<\1>", re.sub(r"\{(\w+)\+\}", r"<path:\1>", path))


def forwarded_headers(request: Request) -> dict[str, list[str]]:
    """The request's headers and those that API Gateway adds."""
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    added = {"X-Forwarded-For": request.remote_addr or "", "X-Forwarded-Proto": "http", "X-Amzn-Trace-Id": trace}
    return headers | {name: [value] for name, value in added.items()}


def body_of(request: Request, *, is_text: bool) -> tuple[str | None, bool]:
    content = request.get_data()
    if not content:
        return None, False
    if is_text:
        return content.decode(errors="replace"), False
    return base64.b64encode(content).decode(), True


def is_proxy_answer(answer: object) -> bool:
    return isinstance(answer, dict) and "statusCode" in answer


def response_of(answer: dict[str, Any], *, decode: bool) -> Response | None:
    """None if the answer is malformed."""
    body = answer.get("body") or ""
    if not isinstance(body, str):
        return None
    try:
        content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") and decode else body
        response = Response(content, int(answer["statusCode"]), content_type="application/json")
    except (TypeError, ValueError, binascii.Error):
        return None
    for name, value in (answer.get("headers") or {}).items():
        response.headers[name] = str(value)
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        response.headers.setlist(name, [str(value) for value in values])
    for cookie in answer.get("cookies") or ():
        response.headers.add("Set-Cookie", cookie)
    return response
