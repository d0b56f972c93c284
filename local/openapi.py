"""Reads the OpenAPI documents in the translated template: routes, API keys and gateway responses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.template import of_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.template import Template


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    function: str
    key_required: bool
    timeout: float  # seconds


@dataclass(frozen=True)
class GatewayResponse:
    """A response that the gateway sends without invoking a function."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Api:
    stage: str
    routes: tuple[Route, ...]
    responses: Mapping[str, GatewayResponse]
    binary_types: tuple[str, ...]


def rest_api(template: Template, names: Mapping[str, str]) -> Api:
    """The REST API. `names` maps logical ids of functions to their names."""
    ((_, api),) = of_type(template, "AWS::ApiGateway::RestApi").items()
    ((_, stage),) = of_type(template, "AWS::ApiGateway::Stage").items()
    body = api["Properties"]["Body"]
    responses = body.get("x-amazon-apigateway-gateway-responses", {})
    return Api(
        stage=stage["Properties"]["StageName"],
        routes=_routes(body, names, timeout=29),
        responses={kind: _gateway_response(response) for kind, response in responses.items()},
        binary_types=tuple(body.get("x-amazon-apigateway-binary-media-types", ())),
    )


def http_api(template: Template, names: Mapping[str, str]) -> Api:
    """The HTTP API. `names` maps logical ids of functions to their names."""
    ((_, api),) = of_type(template, "AWS::ApiGatewayV2::Api").items()
    return Api("$default", _routes(api["Properties"]["Body"], names, timeout=30), {}, ())


def _routes(openapi: Mapping[str, Any], names: Mapping[str, str], timeout: float) -> tuple[Route, ...]:
    return tuple(
        Route(
            method=method.upper(),
            path=path,
            function=names[_function_in(operation["x-amazon-apigateway-integration"]["uri"])],
            key_required=any("api_key" in scheme for scheme in operation.get("security", ())),
            timeout=operation["x-amazon-apigateway-integration"].get("timeoutInMillis", timeout * 1000) / 1000,
        )
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
        if operation.get("x-amazon-apigateway-integration", {}).get("type") == "aws_proxy"
    )


def _function_in(uri: Mapping[str, str]) -> str:
    match = re.search(r"\$\{(\w+)\.Arn\}", uri["Fn::Sub"])
    assert match is not None
    return match[1]


def _gateway_response(response: Mapping[str, Any]) -> GatewayResponse:
    parameters = response.get("responseParameters", {})
    return GatewayResponse(
        status=int(response["statusCode"]),
        headers={name.rpartition("header.")[2]: value.strip("'") for name, value in parameters.items()},
        body=response["responseTemplates"]["application/json"],
    )
