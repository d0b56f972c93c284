"""The MCP server as hosts use it: through the official SDK's client, in both eras."""

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

T = TypeVar("T")
Session = Callable[[McpClient], Awaitable[T]]

TOOLS = [
    "flux_generate_image",
    "flux_edit_image",
    "flux_get_task",
    "flux_get_tasks_batch",
    "flux_list_models",
    "flux_list_actions",
]
ERAS = {"auto": "2026-07-28", "legacy": "2025-11-25"}  # the newest revision of each, by the client's mode

pytestmark = pytest.mark.parametrize("mode", ERAS)


def connected(stack: Stack, mode: Any, session: Session[T], key: str = "local-key") -> T:
    """What a session of the SDK's client comes to."""

    async def run() -> T:
        headers = {"x-api-key": key}
        async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=40) as http:
            transport = streamable_http_client(f"{stack.url}/mcp", http_client=http)
            async with McpClient(transport, mode=mode) as client:
                return await session(client)

    return asyncio.run(run())


def call(stack: Stack, mode: str, tool: str, key: str = "local-key", **arguments: Any) -> CallToolResult:
    """The SDK checks structured content against the tool's schema."""
    return connected(stack, mode, lambda client: client.call_tool(tool, arguments), key)


def told(answer: CallToolResult) -> dict[str, Any]:
    assert answer.structured_content is not None, answer.content
    return dict(answer.structured_content["result"])


def text(answer: CallToolResult) -> str:
    assert isinstance(answer.content[0], TextContent)
    return answer.content[0].text


def test_a_host_learns_who_is_there_and_what_it_can_do(stack: Stack, mode: str) -> None:
    async def session(client: McpClient) -> tuple[str, str, str | None, list[str]]:
        tools = (await client.list_tools()).tools
        return client.protocol_version, client.server_info.name, client.instructions, [tool.name for tool in tools]

    revision, name, instructions, tools = connected(stack, mode, session)
    assert (revision, name, tools) == (ERAS[mode], "fluxgate", TOOLS)
    assert instructions
    assert "flux_get_task" in instructions


def test_an_agent_gets_its_pictures_with_one_call(stack: Stack, mode: str) -> None:
    answer = call(stack, mode, "flux_generate_image", prompt="A red fox", size="512x512", count=2)
    assert not answer.is_error
    task = told(answer)
    assert (task["status"], len(task["images"])) == ("succeeded", 2)
    links = [content for content in answer.content if isinstance(content, ResourceLink)]
    assert [link.uri for link in links] == [image["url"] for image in task["images"]]
    for link in links:
        picture = fetch(link.uri)
        assert picture.status_code == HTTPStatus.OK
        assert (picture.headers["Content-Type"], len(picture.content)) == (link.mime_type, link.size)


def test_an_agent_edits_a_picture(stack: Stack, mode: str) -> None:
    answer = call(stack, mode, "flux_edit_image", prompt="Make it night", image_url="https://example.com/photo.png")
    assert (told(answer)["status"], told(answer)["model"]) == ("succeeded", "flux-kontext-pro")


def test_an_agent_comes_back_for_what_takes_longer(stack: Stack, mode: str) -> None:
    begun = told(call(stack, mode, "flux_generate_image", prompt="A slow fox", wait_seconds=0))
    assert begun["poll_after_seconds"] == 10
    asked = told(call(stack, mode, "flux_get_task", task_id=begun["task_id"], wait_seconds=25))
    assert asked["status"] == "succeeded"
    batch = told(call(stack, mode, "flux_get_tasks_batch", task_ids=[begun["task_id"], str(uuid4())]))
    assert ([task["status"] for task in batch["tasks"]], len(batch["not_found"])) == (["succeeded"], 1)


def test_an_agent_is_told_why_it_gets_nothing(stack: Stack, mode: str) -> None:
    prompt = f"A refused fox, {mode}"
    assert stack.simulator
    refusal = Behaviour(refusal=Refusal.of("forbidden"))
    stack.simulator.behave(refusal, when=lambda body: body["prompt"] == prompt)
    answer = call(stack, mode, "flux_generate_image", prompt=prompt)
    assert answer.is_error
    assert told(answer)["error"]["code"] == "forbidden"
    assert "Polling is over" in told(answer)["next_step"]


def test_an_agent_is_told_what_would_be_right(stack: Stack, mode: str) -> None:
    answer = call(stack, mode, "flux_generate_image", prompt="A fox", size="1000x1000")
    assert answer.is_error
    assert "size: flux-dev takes" in text(answer)


def test_a_task_is_the_same_over_http_and_its_owners_alone(
    stack: Stack, client: Client, stranger: Client, mode: str
) -> None:
    task_id = told(call(stack, mode, "flux_generate_image", prompt="A fox", wait_seconds=0))["task_id"]
    assert client.get(f"/v1/tasks/{task_id}").status_code == HTTPStatus.OK
    assert stranger.get(f"/v1/tasks/{task_id}").status_code == HTTPStatus.NOT_FOUND
    assert "no such task of yours" in text(call(stack, mode, "flux_get_task", key="other-key", task_id=task_id))


def test_models_and_actions_are_listed(stack: Stack, client: Client, mode: str) -> None:
    assert told(call(stack, mode, "flux_list_models")) == client.get("/v1/models").json()
    assert len(told(call(stack, mode, "flux_list_actions"))["actions"]) == 2


def test_the_gateway_asks_for_a_key(stack: Stack, mode: str) -> None:
    with pytest.raises(ExceptionGroup):
        call(stack, mode, "flux_list_models", key="wrong")
