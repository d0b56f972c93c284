"""API Gateway's REST API: events of payload format 1.0, API keys and the template's gateway responses."""

from __future__ import annotations

import secrets
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from werkzeug.wrappers import Request, Response

from local.aws import ACCOUNT
from local.gateway import MAX_BODY, Gateway, event_body, forwarded_headers, is_proxy_response, to_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.gateway import Submit
    from local.openapi import Api, Route

NO_SUCH_ROUTE = "MISSING_AUTHENTICATION_TOKEN"  # API Gateway's name for an unknown route


class RestApi(Gateway):
    """A REST API with payload format 1.0. API keys are checked; usage plans are not emulated."""

    def __init__(self, api: Api, submit: Submit, keys: Mapping[str, str]) -> None:
        """`keys` maps the values of API keys to their ids."""
        super().__init__(api, submit)
        self._keys = keys

    def respond(self, request: Request) -> Response:
        request_id = str(uuid4())
        path = self._without_stage(request.path)
        found = self.find_route(request.method, path)
        key = request.headers.get("x-api-key", "")
        if found is None:
            return self._gateway_response(NO_SUCH_ROUTE, request_id)
        if found[0].key_required and key not in self._keys:
            return self._gateway_response("INVALID_API_KEY", request_id)
        if (request.content_length or 0) > MAX_BODY:
            return self._gateway_response("REQUEST_TOO_LARGE", request_id)
        event = self._event(request, found, path, request_id)
        try:
            result = self.invoke(found[0], event)
        except FutureTimeoutError:
            return self._gateway_response("INTEGRATION_TIMEOUT", request_id)
        response = to_response(result, decode=bool(self.api.binary_types)) if is_proxy_response(result) else None
        if response is None:
            return self._gateway_response("DEFAULT_5XX", request_id)
        response.headers["x-amzn-requestid"] = request_id
        return response

    def _without_stage(self, path: str) -> str:
        """The path below the stage, whose root needs no slash. Unlike AWS, the API is also served without its stage."""
        stage = f"/{self.api.stage}"
        return path[len(stage) :] or "/" if path == stage or path.startswith(f"{stage}/") else path

    def _gateway_response(self, kind: str, request_id: str) -> Response:
        """The gateway's own response of a kind, as the template defines it."""
        responses = self.api.responses
        response = responses.get(kind) or responses["DEFAULT_5XX" if kind == "INTEGRATION_TIMEOUT" else "DEFAULT_4XX"]
        body = response.body.replace("$context.requestId", request_id)
        return Response(body, response.status, {**response.headers, "x-amzn-requestid": request_id})

    def _event(
        self, request: Request, found: tuple[Route, dict[str, str]], path: str, request_id: str
    ) -> dict[str, Any]:
        route, parameters = found
        body, is_base64 = event_body(request, is_text=not self.api.binary_types)
        headers = forwarded_headers(request)
        query = {name: request.args.getlist(name) for name in request.args}
        return {
            "resource": route.path,
            "path": path,
            "httpMethod": request.method,
            "headers": {name: values[-1] for name, values in headers.items()},
            "multiValueHeaders": headers,
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "pathParameters": parameters or None,
            "stageVariables": None,
            "requestContext": self._context(request, route, path, request_id),
            "body": body,
            "isBase64Encoded": is_base64,
        }

    def _context(self, request: Request, route: Route, path: str, request_id: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        key = request.headers.get("x-api-key", "") if route.key_required else ""
        identity = {"sourceIp": request.remote_addr, "userAgent": request.headers.get("User-Agent")}
        return {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "extendedRequestId": secrets.token_urlsafe(11),
            "httpMethod": request.method,
            "identity": identity | ({"apiKey": key, "apiKeyId": self._keys[key]} if key else {}),
            "path": request.path if path != request.path else f"/{self.api.stage}{path}",
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now.timestamp() * 1000),
            "resourceId": secrets.token_hex(3),
            "resourcePath": route.path,
            "stage": self.api.stage,
        }
