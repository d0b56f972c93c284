"""The MCP server as hosts use it: through the client of the official SDK, in a modern and a legacy revision."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import uuid4

import httpx2
import pytest
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ResourceLink, TextContent

from local.providers.acedata import Behaviour, Refusal
from local.stack import Stack
from tests.e2e.client import Client, fetch
from tests.functional.mcp_client import TOOLS

T = TypeVar("T")
Session = Callable[[McpClient], Awaitable[T]]

REVISIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}  # negotiated in each mode of the client

pytestmark = pytest.mark.parametrize("mode", REVISIONS)


def connected(stack: Stack, mode: Any, session: Session[T], key: str = "local-key") -> T:
    """The result of a session with the SDK's client."""

    async def run() -> T:
        headers = {"x-api-key": key}
        async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=40) as http:
            transport = streamable_http_client(f"{stack.url}/mcp", http_client=http)
            async with McpClient(transport, mode=mode) as client:
                return await session(client)

    return asyncio.run(run())


def call(stack: Stack, mode: str, tool: str, key: str = "local-key", **arguments: Any) -> CallToolResult:
    """The SDK validates structured content against the tool's schema."""
    return connected(stack, mode, lambda client: client.call_tool(tool, arguments), key)


def structured(result: CallToolResult) -> dict[str, Any]:
    assert result.structured_content is not None, result.content
    return dict(result.structured_content["result"])


def text(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def test_host_discovers_server_and_tools(stack: Stack, mode: str) -> None:
    async def session(client: McpClient) -> tuple[str, str, str | None, list[str]]:
        tools = (await client.list_tools()).tools
        return client.protocol_version, client.server_info.name, client.instructions, [tool.name for tool in tools]

    revision, name, instructions, tools = connected(stack, mode, session)
    assert (revision, name, tools) == (REVISIONS[mode], "fluxgate", TOOLS)
    assert instructions
    assert "flux_get_task" in instructions


def test_agent_gets_its_images_with_one_call(stack: Stack, mode: str) -> None:
    result = call(stack, mode, "flux_generate_image", prompt="A red fox", size="512x512", count=2)
    assert not result.is_error
    task = structured(result)
    assert (task["status"], len(task["images"])) == ("succeeded", 2)
    links = [content for content in result.content if isinstance(content, ResourceLink)]
    assert [link.uri for link in links] == [image["url"] for image in task["images"]]
    for link in links:
        image = fetch(link.uri)
        assert image.status_code == HTTPStatus.OK
        assert (image.headers["Content-Type"], len(image.content)) == (link.mime_type, link.size)


def test_agent_edits_an_image(stack: Stack, mode: str) -> None:
    task = structured(
        call(stack, mode, "flux_edit_image", prompt="Make it night", image_url="https://example.com/photo.png")
    )
    assert (task["status"], task["model"]) == ("succeeded", "flux-kontext-pro")


def test_agent_polls_a_task_that_takes_longer(stack: Stack, mode: str) -> None:
    begun = structured(call(stack, mode, "flux_generate_image", prompt="A slow fox", wait_seconds=0))
    assert begun["poll_after_seconds"] == 10
    polled = structured(call(stack, mode, "flux_get_task", task_id=begun["task_id"], wait_seconds=25))
    assert polled["status"] == "succeeded"
    batch = structured(call(stack, mode, "flux_get_tasks_batch", task_ids=[begun["task_id"], str(uuid4())]))
    assert ([task["status"] for task in batch["tasks"]], len(batch["not_found"])) == (["succeeded"], 1)


def test_agent_gets_the_reason_of_a_failure(stack: Stack, mode: str) -> None:
    prompt = f"A refused fox, {mode}"
    assert stack.simulator
    refusal = Behaviour(refusal=Refusal.of("forbidden"))
    stack.simulator.behave(refusal, when=lambda body: body["prompt"] == prompt)
    result = call(stack, mode, "flux_generate_image", prompt=prompt)
    assert result.is_error
    assert structured(result)["error"]["code"] == "forbidden"
    assert "Stop polling" in structured(result)["next_step"]


def test_agent_gets_a_correction_for_an_invalid_argument(stack: Stack, mode: str) -> None:
    result = call(stack, mode, "flux_generate_image", prompt="A fox", size="1000x1000")
    assert result.is_error
    assert "size: flux-dev accepts" in text(result)


def test_task_is_the_same_over_http_and_visible_to_its_owner_only(
    stack: Stack, client: Client, stranger: Client, mode: str
) -> None:
    task_id = structured(call(stack, mode, "flux_generate_image", prompt="A fox", wait_seconds=0))["task_id"]
    assert client.get(f"/v1/tasks/{task_id}").status_code == HTTPStatus.OK
    assert stranger.get(f"/v1/tasks/{task_id}").status_code == HTTPStatus.NOT_FOUND
    assert "You have no task with this id." in text(
        call(stack, mode, "flux_get_task", key="other-key", task_id=task_id)
    )


def test_models_and_actions_are_listed(stack: Stack, client: Client, mode: str) -> None:
    assert structured(call(stack, mode, "flux_list_models")) == client.get("/v1/models").json()
    assert len(structured(call(stack, mode, "flux_list_actions"))["actions"]) == 2


def test_gateway_requires_a_key(stack: Stack, mode: str) -> None:
    with pytest.raises(ExceptionGroup):
        call(stack, mode, "flux_list_models", key="wrong")
