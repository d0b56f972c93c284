"""Requests to the MCP function as clients of each revision send them, and its replies."""

import copy
import json
from dataclasses import dataclass
from typing import Any

from tests.harness import OWNER, Event, Functions, event

GENERATE = event("serve_mcp.good_generate")
PROMPT = "A red fox in deep snow, golden hour, photorealistic"  # of GENERATE
INITIALIZE = event("serve_mcp.good_initialize")
TOOLS = [
    "flux_generate_image",
    "flux_edit_image",
    "flux_get_task",
    "flux_get_tasks_batch",
    "flux_list_models",
    "flux_list_actions",
]


@dataclass(frozen=True)
class Reply:
    """The response to one POST."""

    status: int
    body: Any

    @property
    def result(self) -> Any:
        assert self.status == 200, self.body
        return self.body["result"]

    @property
    def error(self) -> Any:
        return self.body["error"]

    @property
    def text(self) -> str:
        return str(self.result["content"][0]["text"])

    @property
    def structured(self) -> dict[str, Any]:
        """The structured content, after checking that the text has the same."""
        content = self.result["structuredContent"]
        assert json.loads(self.text) == content
        return dict(content["result"])

    @property
    def success(self) -> dict[str, Any]:
        """The structured content of a tool that did not fail."""
        assert not self.result["isError"], self.text
        return self.structured


def post(functions: Functions, request: Event, **environment: str) -> Reply:
    response = functions.invoke("serve_mcp", request, **environment)
    return Reply(response["statusCode"], json.loads(response["body"]) if response["body"] else None)


def with_headers(request: Event, **headers: str | list[str] | None) -> Event:
    """The event with other headers. None removes one."""
    changed = copy.deepcopy(request)
    for name, value in headers.items():
        header = name.replace("_", "-")
        for values in (changed["headers"], changed["multiValueHeaders"]):
            for present in [present for present in values if present.lower() == header.lower()]:
                del values[present]
        if value is not None:
            values = value if isinstance(value, list) else [value]
            changed["headers"][header], changed["multiValueHeaders"][header] = values[-1], values
    return changed


def with_key(key_id: str, request: Event) -> Event:
    """The event sent with another API key."""
    changed = copy.deepcopy(request)
    changed["requestContext"]["identity"]["apiKeyId"] = key_id
    return changed


def modern(method: str, **params: Any) -> Event:
    """As a client of revision 2026-07-28 sends it."""
    body = json.loads(GENERATE["body"])
    body |= {"method": method, "params": {"_meta": body["params"]["_meta"], **params}}
    request = with_headers(GENERATE, Mcp_Method=method, Mcp_Name=params.get("name"))
    return {**request, "body": json.dumps(body)}


def legacy(method: str, revision: str | None = "2025-11-25", **params: Any) -> Event:
    """As a client of an older revision sends it."""
    request = with_headers(INITIALIZE, MCP_Protocol_Version=revision)
    return {**request, "body": json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})}


def call(functions: Functions, name: str, owner: str = OWNER, **arguments: Any) -> Reply:
    return post(functions, with_key(owner, modern("tools/call", name=name, arguments=arguments)))


def generate(functions: Functions, **arguments: Any) -> Reply:
    return call(functions, "flux_generate_image", **{"prompt": "a fox", "wait_seconds": 0, **arguments})
