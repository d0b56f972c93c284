"""API Gateway's HTTP API: events of payload format 2.0."""

from __future__ import annotations

import re
import secrets
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.aws import ACCOUNT
from local.gateway import MAX_BODY, Gateway, event_body, forwarded_headers, is_proxy_response, to_response

if TYPE_CHECKING:
    from local.openapi import Route

# Bodies of other content types are base64-encoded in the event.
TEXT_TYPES = re.compile(r"text/|application/(json|javascript|xml|[\w.-]+\+(json|xml))")


class HttpApi(Gateway):
    """An HTTP API with payload format 2.0."""

    def respond(self, request: Request) -> Response:
        found = self.find_route(request.method, request.path)
        if found is None:
            return _message(404, "Not Found")
        if (request.content_length or 0) > MAX_BODY:
            return _message(413, "Request Entity Too Large")
        try:
            result = self.invoke(found[0], self._event(request, *found))
        except FutureTimeoutError:
            return _message(503, "Service Unavailable")
        if result is not None and not is_proxy_response(result):
            result = {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": result}
        response = to_response(result, decode=True) if result is not None else None
        return response or _message(500, "Internal Server Error")

    def _event(self, request: Request, route: Route, parameters: dict[str, str]) -> dict[str, Any]:
        now = datetime.now(UTC)
        is_text = bool(TEXT_TYPES.match(request.content_type or "text/plain"))
        body, is_base64 = event_body(request, is_text=is_text)
        headers = {name.lower(): ",".join(values) for name, values in forwarded_headers(request).items()}
        cookies = headers.pop("cookie", None)
        route_key = f"{route.method} {route.path}"
        optional = {
            "cookies": cookies.split("; ") if cookies else None,
            "queryStringParameters": {name: ",".join(request.args.getlist(name)) for name in request.args} or None,
            "pathParameters": parameters or None,
            "body": body,
        }
        return {
            "version": "2.0",
            "routeKey": route_key,
            "rawPath": request.path,
            "rawQueryString": request.query_string.decode(),
            "headers": headers,
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": "local",
                "domainName": request.host,
                "domainPrefix": request.host.partition(".")[0],
                "http": {
                    "method": request.method,
                    "path": request.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": request.remote_addr,
                    "userAgent": request.headers.get("User-Agent", ""),
                },
                "requestId": secrets.token_urlsafe(11),
                "routeKey": route_key,
                "stage": self.api.stage,
                "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
                "timeEpoch": int(now.timestamp() * 1000),
            },
            "isBase64Encoded": is_base64,
            **{name: value for name, value in optional.items() if value is not None},
        }


def _message(status: int, message: str) -> Response:
    return Response(f'{{"message":"{message}"}}', status, content_type="application/json")
