"""The page's static files over HTTP, with caching and a Content-Security-Policy.

Imports neither Powertools nor pydantic: they would be most of this function's cold start.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fluxgate.errors import RouteNotFound

# Path: file name, content type.
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.css": ("docs.css", "text/css; charset=utf-8"),
    "/openapi.json": ("openapi.json", "application/json"),
}

HEADERS = {
    "Cache-Control": "no-cache",  # revalidate by ETag, because the files of one release belong together
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

# Images come from the bucket or, if one could not be stored, from the provider. So any host is allowed, with the scheme
# of the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src {scheme}:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


@dataclass(frozen=True)
class File:
    content: str
    content_type: str

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content.encode()).hexdigest()[:16]}"'


def respond(event: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The response of the REST API to a request for one of the files in `folder`."""
    context = event["requestContext"]
    path = _path_within_api(event)
    if path not in FILES:
        return _not_found(context["requestId"])
    if path == "/" and not context["path"].endswith("/"):
        return _add_slash(context["path"])
    file = _read(path, folder)
    sent = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    # Only a local gateway is reached over plain http.
    scheme = "http" if sent.get("x-forwarded-proto") == "http" else "https"
    headers = {
        **HEADERS,
        "Content-Security-Policy": POLICY.format(scheme=scheme),
        "Content-Type": file.content_type,  # with 304 as well: API Gateway would add application/json
        "ETag": file.etag,
    }
    if file.etag in sent.get("if-none-match", ""):
        return {"statusCode": HTTPStatus.NOT_MODIFIED, "headers": headers, "body": ""}
    return {"statusCode": HTTPStatus.OK, "headers": headers, "body": file.content}


def _path_within_api(event: dict[str, Any]) -> str:
    """Such as `/page.css`. The event's `path` also contains the base path of a custom domain."""
    path: str = event["resource"].format(**event["pathParameters"] or {})
    return path


@cache
def _read(path: str, folder: Path) -> File:
    name, content_type = FILES[path]
    return File((folder / name).read_text(encoding="utf-8"), content_type)


def _add_slash(path: str) -> dict[str, Any]:
    """Redirect `/prod` to `/prod/`, against which the page's relative URLs resolve. The redirect is relative as well: a
    proxy may use another path."""
    location = f"{path.rpartition('/')[2]}/"
    return {"statusCode": HTTPStatus.TEMPORARY_REDIRECT, "headers": {"Location": location}, "body": ""}


def _not_found(request_id: str) -> dict[str, Any]:
    """As `problems.problem_details`, which imports Powertools."""
    status = RouteNotFound.status
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": RouteNotFound.message,
        "code": RouteNotFound.code,
        "errors": [],
        "request_id": request_id,
    }
    return {"statusCode": status, "headers": {"Content-Type": "application/problem+json"}, "body": json.dumps(body)}
