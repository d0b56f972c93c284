"""Generates the OpenAPI document from the functions' models and the template's routes and gateway responses."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from unittest.mock import patch

from pydantic.json_schema import models_json_schema

from fluxgate import __version__
from fluxgate.errors import public_errors
from fluxgate.wire.task import SettledTaskView
from local.build import IMPORT_ENVIRONMENT
from local.openapi import Api, rest_api
from local.stack import ROOT
from local.template import Template, of_type, translate
from tools.openapi.operations import COMMON, DESCRIPTION, HEADERS, OPERATIONS, PROBLEM, TAGS, Operation

PATH = ROOT / "functions/show_page/openapi.json"
# Powertools adds its own validation errors, which fluxgate replaces by problems.
_POWERTOOLS_SCHEMAS = {"HTTPValidationError", "ValidationError", "ResponseValidationError"}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the REST API's operations."""
    gateway = _gateway(translate(ROOT / "template.yaml", {"FluxApiToken": "unused"}))
    statuses = _statuses(gateway)
    documented = {route.function for route in gateway.routes if (route.method.lower(), route.path) in OPERATIONS}
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": PROBLEM} | _response_schemas()
    for function in sorted(documented):
        generated = _generate(function)
        schemas |= generated["components"]["schemas"]
        for path, operations in generated["paths"].items():
            for method, operation in operations.items():
                paths.setdefault(path, {})[method] = _operation(operation, OPERATIONS[method, path], statuses)
    return {
        "openapi": "3.1.0",
        "info": {"title": "fluxgate", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "."}],
        "security": [{"api_key": []}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": {path: paths[path] for _, path in OPERATIONS},
        "components": {
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "schemas": {
                name: _simplified(schema) for name, schema in sorted(schemas.items()) if name not in _POWERTOOLS_SCHEMAS
            },
        },
    }


def _gateway(template: Template) -> Api:
    """The REST API, with functions named by their folders."""
    functions = of_type(template, "AWS::Lambda::Function").items()
    return rest_api(template, {name: it["Properties"]["Code"]["S3Key"].rpartition("/")[2] for name, it in functions})


def _statuses(gateway: Api) -> dict[str, HTTPStatus]:
    """The HTTP status of each problem code, of the functions' problems and of the gateway's."""
    found = {error.code: error.status for error in public_errors()}
    for response in gateway.responses.values():
        problem = json.loads(response.body)
        found[problem["code"]] = HTTPStatus(problem["status"])
    return found


def _response_schemas() -> dict[str, Any]:
    """The schemas of responses that functions serialize themselves, which Powertools does not know."""
    _, found = models_json_schema([(SettledTaskView, "serialization")], ref_template="#/components/schemas/{model}")
    return dict(found["$defs"])


def _generate(function: str) -> dict[str, Any]:
    """The document that Powertools generates for a function's routes."""
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"documented_{function}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with patch.dict(os.environ, IMPORT_ENVIRONMENT):
        spec.loader.exec_module(module)
    found = module.app.get_openapi_schema(title="fluxgate", version=__version__)
    schema: dict[str, Any] = found.model_dump(by_alias=True, exclude_none=True, mode="json")
    return schema


def _operation(generated: dict[str, Any], operation: Operation, statuses: Mapping[str, HTTPStatus]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
    }
    if parameters := generated.get("parameters"):
        result["parameters"] = [_parameter(parameter) for parameter in parameters]
    if body := generated.get("requestBody"):
        content = dict(body["content"]["application/json"])
        content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        result["requestBody"] = {"required": True, "content": {"application/json": content}}
    responses = {str(status): _response(*response) for status, response in operation.responses.items()}
    codes = sorted(operation.problems | COMMON)
    problems = {
        str(status.value): _problem([code for code in codes if statuses[code] is status])
        for status in sorted({statuses[code] for code in codes})
    }
    result["responses"] = responses | problems
    return result


def _parameter(generated: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "in", "required", "schema")
    parameter: dict[str, Any] = {name: _simplified(generated[name]) for name in names if name in generated}
    if generated["in"] == "header":
        parameter["name"] = parameter["name"].title()
        parameter["description"] = HEADERS[parameter["name"]]
    return parameter


def _response(description: str, schema: str | None) -> dict[str, Any]:
    if schema is None:
        return {"description": description}
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _problem(codes: list[str]) -> dict[str, Any]:
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _simplified(node: Any) -> Any:
    """A schema without pydantic's titles, which repeat the names, and without empty defaults."""
    match node:
        case dict():
            return {
                name: _simplified(value)
                for name, value in node.items()
                if not (name == "title" and isinstance(value, str)) and not (name == "default" and value == "")
            }
        case list():
            return [_simplified(element) for element in node]
        case float() if node.is_integer():
            return int(node)
    return node
