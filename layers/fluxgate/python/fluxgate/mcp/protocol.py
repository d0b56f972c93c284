"""The Model Context Protocol over stateless Streamable HTTP: what is taken and answered in each of its revisions, for a
server that has tools and nothing else.

There are two eras (modelcontextprotocol.io, "Versioning and Compatibility"). Since 2026-07-28 every request carries its
revision in `_meta`, and headers that repeat parts of the body. Before, a handshake began a session; as nothing of it
matters to our tools, such a request is answered by itself as well, without a session.
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
UNNAMED = "2025-03-26"  # of a request that names none, as the specification says
LINKS_SINCE = "2025-06-18"  # hosts of older revisions know no resource links

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

MAX_BODY_BYTES = 64 * 1024
CACHE = {
    "ttlMs": 300_000,
    "cacheScope": "public",
}  # tools and capabilities are the same for everyone until a deployment


@dataclass(frozen=True)
class Picture:
    """Told as a link, never as bytes: a model's context is too dear."""

    url: str
    name: str
    content_type: str | None
    size: int | None


@dataclass(frozen=True)
class ToolResult:
    """Structured content, told as text too; or text alone."""

    content: Json | str
    pictures: tuple[Picture, ...] = ()
    is_error: bool = False


@dataclass(frozen=True)
class Tool:
    definition: Callable[[], Json]
    """As `tools/list` tells it; made when it is asked for."""
    call: Callable[[Json], ToolResult]


@dataclass(frozen=True)
class Server:
    info: Json
    """`name`, `title` and `version`"""
    instructions: str
    """How its tools go together, for the model that uses them."""
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
    id: str | int | None  # None: a notification
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
        return self.headers.get("mcp-protocol-version", UNNAMED)


class _Refused(Exception):
    def __init__(
        self, code: int, message: str, data: Json | None = None, status: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> None:
        super().__init__(code)
        self.error = {"code": code, "message": message, **({"data": data} if data else {})}
        self.status = status


def answer(body: str, headers: Mapping[str, str], server: Server) -> Reply:
    """The reply to one POST. `headers` by their names in lower case."""
    try:
        _check_origin(headers, server)
        request = _parse(body, headers)
    except _Refused as refused:
        return _error(refused, None, refused.status)
    if request.id is None:  # a notification: there is none that would change anything here
        return Reply(HTTPStatus.ACCEPTED)
    try:
        result = _modern(request, server) if request.is_modern else _dispatch(_LEGACY_METHODS, request, server)
    except _Refused as refused:  # clients of the first era take other statuses for a broken connection
        return _error(refused, request.id, refused.status if request.is_modern else HTTPStatus.OK)
    return Reply(HTTPStatus.OK, json.dumps({"jsonrpc": "2.0", "id": request.id, "result": result}))


def _error(refused: _Refused, request_id: str | int | None, status: HTTPStatus) -> Reply:
    """Logs the code alone: messages repeat the client's own words."""
    logger.info("Message refused", extra={"code": refused.error["code"], "status": status})
    return Reply(status, json.dumps({"jsonrpc": "2.0", "id": request_id, "error": refused.error}))


def _check_origin(headers: Mapping[str, str], server: Server) -> None:
    """Against web pages that reach for a server in the user's name. Programs send no Origin."""
    if headers.get("origin", "") not in {"", *server.allowed_origins}:
        raise _Refused(INVALID_REQUEST, "This origin is not allowed.", status=HTTPStatus.FORBIDDEN)


def _parse(body: str, headers: Mapping[str, str]) -> _Request:
    if len(body.encode(errors="replace")) > MAX_BODY_BYTES:
        too_large = f"The body may have at most {MAX_BODY_BYTES} bytes."
        raise _Refused(INVALID_REQUEST, too_large, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(PARSE_ERROR, "The body is not valid JSON.") from None
    if not _is_request(message):
        raise _Refused(
            INVALID_REQUEST, "The body must be one JSON-RPC 2.0 request or notification. There are no batches."
        )
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
        raise _Refused(INVALID_PARAMS, f"params._meta must hold {VERSION_KEY} and {CAPABILITIES_KEY}.")
    _check_headers(request, revision)
    if revision not in MODERN:
        data = {"supported": [*MODERN, *LEGACY], "requested": revision}
        raise _Refused(UNSUPPORTED_VERSION, "Unsupported protocol version", data)
    result = _dispatch(_MODERN_METHODS, request, server)
    return {"resultType": "complete", **result, "_meta": {SERVER_KEY: server.info}}


def _dispatch(methods: _Methods, request: _Request, server: Server) -> Json:
    if request.method not in methods:
        raise _Refused(METHOD_NOT_FOUND, "Method not found", status=HTTPStatus.NOT_FOUND)
    return methods[request.method](request, server)


def _check_headers(request: _Request, revision: str) -> None:
    """Intermediaries go by the headers, we by the body: they must say the same."""
    said: Json = {"MCP-Protocol-Version": revision, "Mcp-Method": request.method}
    if request.method == "tools/call":
        said["Mcp-Name"] = request.params.get("name")
    for name, value in said.items():
        if _decoded(request.headers.get(name.lower(), "")) != value:
            raise _Refused(HEADER_MISMATCH, f"The header {name} is missing, or does not say what the body says.")


def _decoded(value: str) -> str | None:
    """What is no plain ASCII comes as `=?base64?…?=`. None: it cannot be decoded."""
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
        "serverInfo": server.info,  # here in the release candidate, which SDKs still read; since then in `_meta`
        "instructions": server.instructions,
        **CACHE,
    }


def _initialize(request: _Request, server: Server) -> Json:
    asked = request.params.get("protocolVersion")
    if not isinstance(asked, str):
        raise _Refused(INVALID_PARAMS, "params.protocolVersion must be a string.")
    return {
        "protocolVersion": asked if asked in LEGACY else LEGACY[0],
        "capabilities": {"tools": {}},
        "serverInfo": server.info,
        "instructions": server.instructions,
    }


def _ping(_request: _Request, _server: Server) -> Json:
    return {}


def _list(_: _Request, server: Server) -> Json:
    return {"tools": [tool.definition() for tool in server.tools.values()]}


def _list_to_keep(request: _Request, server: Server) -> Json:
    return {**_list(request, server), **CACHE}


def _call(request: _Request, server: Server) -> Json:
    name, arguments = request.params.get("name"), request.params.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict | None):
        raise _Refused(INVALID_PARAMS, "params.name must be a string, params.arguments an object.")
    if name not in server.tools:
        raise _Refused(INVALID_PARAMS, f"Unknown tool: {name}. There are {', '.join(server.tools)}.")
    logger.info("Tool called", extra={"tool": name})
    result = server.tools[name].call(arguments or {})
    links = [_link(picture) for picture in result.pictures if request.is_modern or request.revision >= LINKS_SINCE]
    if isinstance(result.content, str):
        return {"content": [_text(result.content), *links], "isError": result.is_error}
    text = json.dumps(result.content, ensure_ascii=False)
    return {"content": [_text(text), *links], "structuredContent": result.content, "isError": result.is_error}


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _link(picture: Picture) -> Json:
    known = {"mimeType": picture.content_type, "size": picture.size}
    told = {name: value for name, value in known.items() if value is not None}
    return {"type": "resource_link", "uri": picture.url, "name": picture.name, **told}


_Methods = dict[str, Callable[[_Request, Server], Json]]
_MODERN_METHODS: _Methods = {"server/discover": _discover, "tools/list": _list_to_keep, "tools/call": _call}
_LEGACY_METHODS: _Methods = {"initialize": _initialize, "ping": _ping, "tools/list": _list, "tools/call": _call}
