"""A file as an HTTP answer: what a browser may do with it, and how long it may keep it.

Apart from api.py, and without Powertools and pydantic: a file needs none of them, and their import would be most of a
cold start.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxgate.workflows.show_page import File

HEADERS = {
    "Cache-Control": "no-cache",  # keep it, but ask by ETag: the files of one release belong together
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

# Pictures come from the bucket or, where one could not be stored, the provider: any host, by the page's own scheme.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src {scheme}:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


def path_of(event: dict[str, Any]) -> str:
    """The path within the API, such as `/page.css`. The event's `path` also has the base path of a custom domain."""
    path: str = event["resource"].format(**event["pathParameters"] or {})
    return path


def answer(event: dict[str, Any], file: File | None) -> dict[str, Any]:
    """The REST API's answer with a file; None is a 404."""
    context = event["requestContext"]
    if file is None:
        return _not_found(context["requestId"])
    if event["resource"] == "/" and not context["path"].endswith("/"):
        return _to_folder(context["path"])
    sent = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    # Only a laptop's gateway is reached over plain http.
    scheme = "http" if sent.get("x-forwarded-proto") == "http" else "https"
    headers = {
        **HEADERS,
        "Content-Security-Policy": POLICY.format(scheme=scheme),
        "Content-Type": file.content_type,  # with 304 too: the gateway would say JSON, and the browser believe it
        "ETag": file.etag,
    }
    if file.etag in sent.get("if-none-match", ""):
        return {"statusCode": HTTPStatus.NOT_MODIFIED, "headers": headers, "body": ""}
    return {"statusCode": HTTPStatus.OK, "headers": headers, "body": file.content}


def _to_folder(path: str) -> dict[str, Any]:
    """From `/prod` to `/prod/`, where the page's relative addresses hold. Relative itself: a proxy in front may have
    another path."""
    location = f"{path.rpartition('/')[2]}/"
    return {"statusCode": HTTPStatus.TEMPORARY_REDIRECT, "headers": {"Location": location}, "body": ""}


def _not_found(request_id: str) -> dict[str, Any]:
    status = HTTPStatus.NOT_FOUND
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": "There is no such route.",
        "code": "route_not_found",
        "errors": [],
        "request_id": request_id,
    }
    return {"statusCode": status, "headers": {"Content-Type": "application/problem+json"}, "body": json.dumps(body)}
