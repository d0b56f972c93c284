"""The Model Context Protocol (MCP) over stateless Streamable HTTP, for a server that offers only tools.

Since revision 2026-07-28, every request has its revision in `_meta` and repeats parts of its body in headers. In older
revisions a handshake starts a session (modelcontextprotocol.io, "Versioning and Compatibility"). The tools need no
session, so requests of older revisions are handled without one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fluxgate.telemetry import logger

Json = dict[str, Any]

MODERN = ("2026-07-28",)
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
DEFAULT_REVISION = "2025-03-26"  # specified for requests without a version header
RESOURCE_LINKS_SINCE = "2025-06-18"

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

MAX_BODY_BYTES = 64 * 1024
# Tools and capabilities are the same for all clients and change only with a deployment.
CACHE = {"ttlMs": 300_000, "cacheScope": "public"}


@dataclass(frozen=True)
class ImageLink:
    """Returned as a resource link; inline bytes would fill the model's context."""

    url: str
    name: str
    content_type: str | None
    size: int | None
    """In bytes."""


@dataclass(frozen=True)
class ToolResult:
    content: Json | str
    """Structured content, which is also sent as text, or text only."""
    links: tuple[ImageLink, ...] = ()
    is_error: bool = False


@dataclass(frozen=True)
class Tool:
    definition: Callable[[], Json]
    """Called for `tools/list` only."""
    call: Callable[[Json], ToolResult]


@dataclass(frozen=True)
class Server:
    info: Json
    """`name`, `title` and `version`"""
    instructions: str
    """For the model: how to use the tools together."""
    tools: Mapping[str, Tool]
    allowed_origins: frozenset[str]


@dataclass(frozen=True)
class Reply:
    status: HTTPStatus
    body: str = ""


@dataclass(frozen=True)
class _Request:
    method: str
    params: Json
    id: str | int | None
    """None for a notification."""
    headers: Mapping[str, str]

    @property
    def meta(self) -> Json:
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def is_modern(self) -> bool:
        return VERSION_KEY in self.meta or self.revision not in LEGACY

    @property
    def revision(self) -> str:
        return self.headers.get("mcp-protocol-version", DEFAULT_REVISION)


class _RpcError(Exception):
    def __init__(
        self, code: int, message: str, data: Json | None = None, status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(code)
        self.error = {"code": code, "message": message, **({"data": data} if data else {})}
        self.status = status


def handle(body: str, headers: Mapping[str, str], server: Server) -> Reply:
    """The reply to one POST. `headers` have lower-case names."""
    try:
        _check_origin(headers, server)
        request = _parse(body, headers)
    except _RpcError as error:
        return _error(error, None, error.status)
    if request.id is None:  # no notification concerns a server without sessions
        return Reply(HTTPStatus.ACCEPTED)
    try:
        result = _modern(request, server) if request.is_modern else _dispatch(_LEGACY_METHODS, request, server)
    except _RpcError as error:  # older clients treat other statuses as a broken connection
        return _error(error, request.id, error.status if request.is_modern else HTTPStatus.OK)
    return Reply(HTTPStatus.OK, json.dumps({"jsonrpc": "2.0", "id": request.id, "result": result}))


def _error(error: _RpcError, request_id: str | int | None, status: HTTPStatus) -> Reply:
    """Logs the code only: the error's text can contain the client's words."""
    logger.info("MCP request refused", extra={"code": error.error["code"], "status": status})
    return Reply(status, json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error.error}))


def _check_origin(headers: Mapping[str, str], server: Server) -> None:
    """Protects users from web pages that call the server in their name. Only browsers send an Origin."""
    if headers.get("origin", "") not in {"", *server.allowed_origins}:
        raise _RpcError(INVALID_REQUEST, "This origin is not allowed.", status=HTTPStatus.FORBIDDEN)


def _parse(body: str, headers: Mapping[str, str]) -> _Request:
    if len(body.encode(errors="replace")) > MAX_BODY_BYTES:
        too_large = f"The body exceeds {MAX_BODY_BYTES} bytes."
        raise _RpcError(INVALID_REQUEST, too_large, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise _RpcError(PARSE_ERROR, "The body is not valid JSON.") from None
    if not _is_request(message):
        not_a_request = "The body must be one JSON-RPC 2.0 request or notification. Batches are not supported."
        raise _RpcError(INVALID_REQUEST, not_a_request)
    return _Request(message["method"], message.get("params") or {}, message.get("id"), headers)


def _is_request(message: object) -> bool:
    return (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and isinstance(message.get("params"), dict | None)
        and ("id" not in message or (isinstance(message["id"], str | int) and not isinstance(message["id"], bool)))
    )


def _modern(request: _Request, server: Server) -> Json:
    revision = request.meta.get(VERSION_KEY)
    if not isinstance(revision, str) or not isinstance(request.meta.get(CAPABILITIES_KEY), dict):
        raise _RpcError(INVALID_PARAMS, f"params._meta must have {VERSION_KEY} and {CAPABILITIES_KEY}.")
    _check_headers(request, revision)
    if revision not in MODERN:
        data = {"supported": [*MODERN, *LEGACY], "requested": revision}
        raise _RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)
    result = _dispatch(_MODERN_METHODS, request, server)
    return {"resultType": "complete", **result, "_meta": {SERVER_KEY: server.info}}


def _dispatch(methods: _Methods, request: _Request, server: Server) -> Json:
    if request.method not in methods:
        raise _RpcError(METHOD_NOT_FOUND, "Method not found", status=HTTPStatus.NOT_FOUND)
    return methods[request.method](request, server)


def _check_headers(request: _Request, revision: str) -> None:
    """Intermediaries route by headers, this server by the body, so both must agree."""
    expected: Json = {"MCP-Protocol-Version": revision, "Mcp-Method": request.method}
    if request.method == "tools/call":
        expected["Mcp-Name"] = request.params.get("name")
    for name, value in expected.items():
        if _decoded(request.headers.get(name.lower(), "")) != value:
            raise _RpcError(HEADER_MISMATCH, f"The header {name} is missing or does not match the body.")


def _decoded(value: str) -> str | None:
    """The value, which clients encode as `=?base64?…?=` if it is not plain ASCII. None if it cannot be decoded."""
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[len("=?base64?") : -len("?=")], validate=True).decode()
    except ValueError:
        return None


def _discover(_: _Request, server: Server) -> Json:
    return {
        "supportedVersions": [*MODERN, *LEGACY],
        "capabilities": {"tools": {}},
        "serverInfo": server.info,  # moved to `_meta` after the release candidate; SDKs still read it here
        "instructions": server.instructions,
        **CACHE,
    }


def _initialize(request: _Request, server: Server) -> Json:
    requested = request.params.get("protocolVersion")
    if not isinstance(requested, str):
        raise _RpcError(INVALID_PARAMS, "params.protocolVersion must be a string.")
    return {
        "protocolVersion": requested if requested in LEGACY else LEGACY[0],
        "capabilities": {"tools": {}},
        "serverInfo": server.info,
        "instructions": server.instructions,
    }


def _ping(_request: _Request, _server: Server) -> Json:
    return {}


def _list(_: _Request, server: Server) -> Json:
    return {"tools": [tool.definition() for tool in server.tools.values()]}


def _list_cacheable(request: _Request, server: Server) -> Json:
    return {**_list(request, server), **CACHE}


def _call(request: _Request, server: Server) -> Json:
    name, arguments = request.params.get("name"), request.params.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict | None):
        raise _RpcError(INVALID_PARAMS, "params.name must be a string and params.arguments an object.")
    if name not in server.tools:
        raise _RpcError(INVALID_PARAMS, f"Unknown tool: {name}. Available: {', '.join(server.tools)}.")
    logger.info("Tool called", extra={"tool": name})
    result = server.tools[name].call(arguments or {})
    has_links = request.is_modern or request.revision >= RESOURCE_LINKS_SINCE
    links = [_link(link) for link in result.links] if has_links else []
    if isinstance(result.content, str):
        return {"content": [_text(result.content), *links], "isError": result.is_error}
    text = json.dumps(result.content, ensure_ascii=False)
    return {"content": [_text(text), *links], "structuredContent": result.content, "isError": result.is_error}


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _link(link: ImageLink) -> Json:
    optional = {"mimeType": link.content_type, "size": link.size}
    known = {name: value for name, value in optional.items() if value is not None}
    return {"type": "resource_link", "uri": link.url, "name": link.name, **known}


_Methods = dict[str, Callable[[_Request, Server], Json]]
_MODERN_METHODS: _Methods = {"server/discover": _discover, "tools/list": _list_cacheable, "tools/call": _call}
_LEGACY_METHODS: _Methods = {"initialize": _initialize, "ping": _ping, "tools/list": _list, "tools/call": _call}
