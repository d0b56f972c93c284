"""The API's OpenAPI document: what the functions' own models say, with words for people around it.

`python -m tools.openapi` writes it to where `show_page` serves it from.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydantic.json_schema import models_json_schema

from fluxgate.errors import public_errors
from fluxgate.wire.task import SettledTaskView
from local.build import IMPORTABLE
from local.openapi import Api, rest_api
from local.stack import ROOT
from local.template import Template, of_type, translate
from tools.openapi import page as docs_page

PATH = ROOT / "functions/show_page/openapi.json"
VERSION = "1.0.0"
DESCRIPTION = (
    "Image generation with Flux models. A request makes a task; the task, asked for or told by webhook, has the "
    "pictures. Addresses are relative: the API lives under its stage."
)
TAGS = {
    "images": "Have pictures made",
    "tasks": "What became of them",
    "models": "What can be asked for",
    "webhooks": "Being told",
}
# What any operation may answer, and any with a body, by `code`.
COMMON = {"invalid_api_key", "access_denied", "no_api_key", "throttled", "quota_exceeded", "storage_unavailable"}
COMMON |= {"internal_error", "gateway_timeout"}
BODY = {"malformed_body", "bad_request", "body_too_large", "unsupported_media_type", "invalid_request"}
UNKNOWN = {"task_not_found", "route_not_found"}
SUBMITTING = BODY | {"idempotency_mismatch", "task_deleted", "credentials_unavailable"}


@dataclass(frozen=True)
class Operation:
    id: str
    tag: str
    summary: str
    answers: dict[int, tuple[str, str | None]]  # status: words, name of the schema
    problems: set[str] = field(default_factory=set)
    examples: dict[str, Any] = field(default_factory=dict)  # of the request's body
    description: str = ""


_WAITING = (
    "`Prefer: wait=N` waits up to N seconds, 25 at most, for the outcome, and answers 200 with the pictures; without "
    "it, or when that is too short, the answer is 202. Once a task is stored the answer is never an error: look at "
    "`status`. Repeat a request whose answer was lost with the same `Idempotency-Key`."
)
_SUBMITTED: dict[int, tuple[str, str | None]] = {
    200: ("The outcome, for a client that waited", "SettledTaskView"),
    202: ("The task", "TaskView"),
}
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("post", "/v1/images/generations"): Operation(
        "generateImages",
        "images",
        "Generate pictures from a prompt",
        _SUBMITTED,
        SUBMITTING,
        {
            "short": {"prompt": "A red fox in deep snow, golden hour, photorealistic"},
            "full": {
                "prompt": "A lighthouse on a cliff at golden hour",
                "model": "flux-pro-1.1-ultra",
                "size": "16:9",
                "count": 2,
                "callback_url": "https://example.com/hooks/fluxgate",
                "metadata": {"campaign": "winter"},
            },
        },
        _WAITING,
    ),
    ("post", "/v1/images/edits"): Operation(
        "editImage",
        "images",
        "Edit a picture by a prompt",
        _SUBMITTED,
        SUBMITTING,
        {"short": {"prompt": "Make it night", "image_url": "https://example.org/lighthouse.png"}},
        _WAITING,
    ),
    ("get", "/v1/tasks"): Operation(
        "listTasks",
        "tasks",
        "Your tasks, newest first",
        {200: ("A page of them", "TaskPage")},
        {"invalid_request"},
        description="Under a filter a page may be short, even empty, though more follow: go on while there is a cursor",
    ),
    ("get", "/v1/tasks/{task_id}"): Operation(
        "getTask",
        "tasks",
        "One task, with fresh URLs of its pictures",
        {200: ("The task", "TaskView")},
        UNKNOWN,
    ),
    ("post", "/v1/tasks/batch"): Operation(
        "getTasks",
        "tasks",
        "Up to 50 tasks at once",
        {200: ("Those that are yours", "TaskBatch")},
        BODY,
        {"two": {"task_ids": ["09b64ef7-62ac-4136-9e70-5e784fa1bf5f", "2c9d4b6e-7f0a-4c1d-8b57-3e1a0d9f6c24"]}},
    ),
    ("delete", "/v1/tasks/{task_id}"): Operation(
        "deleteTask",
        "tasks",
        "Delete a task and its pictures, or cancel a queued one",
        {204: ("It is gone", None)},
        UNKNOWN | {"task_in_flight"},
        description="What is at the provider has to have its outcome first. The idempotency key stays used.",
    ),
    ("post", "/v1/tasks/{task_id}/webhook"): Operation(
        "resendWebhook",
        "webhooks",
        "Send the outcome's webhook again",
        {202: ("It will be sent", "TaskView")},
        UNKNOWN | {"nothing_to_deliver", "queue_unavailable"},
    ),
    ("get", "/v1/models"): Operation(
        "listModels", "models", "Models, their sizes and limits", {200: ("All of them", "ModelList")}
    ),
    ("get", "/v1/webhook-secret"): Operation(
        "getWebhookSecret",
        "webhooks",
        "The secret that verifies your webhooks",
        {200: ("The secret", "WebhookSecret")},
        {"credentials_unavailable"},
    ),
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Each wrong field",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "request_id": {"type": "string"},
    },
}
_NOT_OURS = {"HTTPValidationError", "ValidationError", "ResponseValidationError"}  # Powertools' own form of a refusal


def document() -> dict[str, Any]:
    """OpenAPI 3.1. The operations and schemas come from the functions that the template gives routes to."""
    gateway = _gateway(translate(ROOT / "template.yaml", {"FluxApiToken": "unused"}))
    statuses = _statuses(gateway)
    documented = {route.function for route in gateway.routes if (route.method.lower(), route.path) in OPERATIONS}
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": PROBLEM} | _views()
    for function in sorted(documented):
        found = _schema(function)
        schemas |= found["components"]["schemas"]
        for path, operations in found["paths"].items():
            for method, operation in operations.items():
                paths.setdefault(path, {})[method] = _described(operation, OPERATIONS[method, path], statuses)
    return {
        "openapi": "3.1.0",
        "info": {"title": "fluxgate", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": "."}],
        "security": [{"api_key": []}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": {path: paths[path] for _, path in OPERATIONS},  # the most wanted first
        "components": {
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "schemas": {
                name: _without_titles(schema) for name, schema in sorted(schemas.items()) if name not in _NOT_OURS
            },
        },
    }


def written() -> dict[Path, str]:
    """The document and its page, by where they lie."""
    made = document()
    return {PATH: json.dumps(made, indent=2, ensure_ascii=False) + "\n", docs_page.PATH: docs_page.page(made)}


def _gateway(template: Template) -> Api:
    """The REST API, its functions by their folders."""
    functions = of_type(template, "AWS::Lambda::Function").items()
    return rest_api(template, {name: it["Properties"]["Code"]["S3Key"].rpartition("/")[2] for name, it in functions})


def _statuses(gateway: Api) -> dict[str, HTTPStatus]:
    """By `code`: of the functions' own refusals, and of the gateway's."""
    found = {error.code: error.status for error in public_errors()}
    for response in gateway.responses.values():
        problem = json.loads(response.body)
        found[problem["code"]] = HTTPStatus(problem["status"])
    return found


def _views() -> dict[str, Any]:
    """Of answers that the functions write themselves, of which Powertools knows nothing."""
    _, found = models_json_schema([(SettledTaskView, "serialization")], ref_template="#/components/schemas/{model}")
    return dict(found["$defs"])


def _schema(function: str) -> dict[str, Any]:
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"documented_{function}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with patch.dict(os.environ, IMPORTABLE):
        spec.loader.exec_module(module)
    found = module.app.get_openapi_schema(title="fluxgate", version=VERSION)
    schema: dict[str, Any] = found.model_dump(by_alias=True, exclude_none=True, mode="json")
    return schema


def _described(generated: dict[str, Any], operation: Operation, statuses: Mapping[str, HTTPStatus]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
    }
    if parameters := generated.get("parameters"):
        described["parameters"] = [_parameter(parameter) for parameter in parameters]
    if body := generated.get("requestBody"):
        content = dict(body["content"]["application/json"])
        content["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    answers = {str(status): _answer(*answer) for status, answer in operation.answers.items()}
    codes = sorted(operation.problems | COMMON)
    problems = {
        str(status.value): _problem([code for code in codes if statuses[code] is status])
        for status in sorted({statuses[code] for code in codes})
    }
    described["responses"] = answers | problems
    return described


HEADERS = {
    "Idempotency-Key": "The same key and the same request give the same task",
    "Prefer": "`wait=N`: wait up to N seconds for the outcome (RFC 7240)",
}


def _parameter(generated: dict[str, Any]) -> dict[str, Any]:
    kept = ("name", "in", "required", "schema")
    parameter: dict[str, Any] = {name: _without_titles(generated[name]) for name in kept if name in generated}
    if generated["in"] == "header":
        parameter["name"] = parameter["name"].title()
        parameter["description"] = HEADERS[parameter["name"]]
    return parameter


def _answer(words: str, schema: str | None) -> dict[str, Any]:
    if schema is None:
        return {"description": words}
    return {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _problem(codes: list[str]) -> dict[str, Any]:
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _without_titles(node: Any) -> Any:
    """pydantic's titles repeat the names, and an empty default says nothing."""
    match node:
        case dict():
            return {
                name: _without_titles(value)
                for name, value in node.items()
                if not (name == "title" and isinstance(value, str)) and not (name == "default" and value == "")
            }
        case list():
            return [_without_titles(element) for element in node]
        case float() if node.is_integer():
            return int(node)
    return node


def main() -> int:
    PATH.parent.mkdir(exist_ok=True)
    for path, content in written().items():
        path.write_text(content)
        print(f"{path.relative_to(ROOT)} written")
    return 0
