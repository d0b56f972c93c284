"""The Model Context Protocol: revision 2026-07-28, and the older ones that begin with a handshake."""

import base64
import json
from typing import Any
from unittest.mock import ANY

import pytest

from fluxgate import __version__
from fluxgate.mcp import protocol
from local import seeds
from tests.functional.mcp_client import GENERATE, TOOLS, Reply, call, legacy, modern, post, with_headers
from tests.harness import Functions, event

# ---------------------------------------------------------------- revision 2026-07-28


def test_server_can_be_discovered(functions: Functions) -> None:
    result = post(functions, event("serve_mcp.good_discover")).result
    assert result["supportedVersions"][0] == "2026-07-28"
    assert result["capabilities"] == {"tools": {}}
    assert "flux_get_task" in result["instructions"]
    assert functions.calls == []


@pytest.mark.parametrize("case", ["good_discover", "good_tools", "good_models"])
def test_result_is_complete_and_states_server_and_cache_lifetime(functions: Functions, case: str) -> None:
    result = post(functions, event(f"serve_mcp.{case}")).result
    assert result["resultType"] == "complete"
    assert result["_meta"] == {protocol.SERVER_KEY: {"name": "fluxgate", "title": ANY, "version": __version__}}
    hints = {name: result[name] for name in ("ttlMs", "cacheScope") if name in result}
    assert hints == ({} if case == "good_models" else {"ttlMs": 300_000, "cacheScope": "public"})


WRONG_HEADERS: dict[str, dict[str, Any]] = {
    "no revision": {"MCP_Protocol_Version": None},
    "an older revision": {"MCP_Protocol_Version": "2025-11-25"},
    "no method": {"Mcp_Method": None},
    "another method": {"Mcp_Method": "tools/list"},
    "another case": {"Mcp_Method": "TOOLS/CALL"},
    "no name": {"Mcp_Name": None},
    "another name": {"Mcp_Name": "flux_edit_image"},
    "two names": {"Mcp_Name": ["flux_edit_image", "flux_generate_image"]},
    "invalid encoding": {"Mcp_Name": "=?base64?%%?="},
}


@pytest.mark.parametrize("name", WRONG_HEADERS)
def test_headers_that_do_not_match_the_body_are_refused(functions: Functions, name: str) -> None:
    posted = len(functions.simulator.submissions)
    reply = post(functions, with_headers(GENERATE, **WRONG_HEADERS[name]))
    assert (reply.status, reply.error["code"], reply.body["id"]) == (400, -32020, 1)
    (header,) = WRONG_HEADERS[name]
    assert header.replace("_", "-") in reply.error["message"]
    assert len(functions.simulator.submissions) == posted


@pytest.mark.parametrize("header", ["MCP-METHOD", "mcp-method"])
def test_headers_may_have_any_case_surrounding_space_and_base64(functions: Functions, header: str) -> None:
    request = with_headers(event("serve_mcp.good_models"), **{header: " tools/call "})
    name = base64.b64encode(b"flux_list_models").decode()
    assert post(functions, with_headers(request, Mcp_Name=f"=?base64?{name}?=")).status == 200


@pytest.mark.parametrize("missing", [protocol.VERSION_KEY, protocol.CAPABILITIES_KEY, None])
def test_request_without_its_meta_is_refused(functions: Functions, missing: str | None) -> None:
    request = event("serve_mcp.good_tools")
    body = json.loads(request["body"])
    body["params"]["_meta"].pop(missing, None) if missing else body.pop("params")
    reply = post(functions, {**request, "body": json.dumps(body)})
    assert (reply.status, reply.error["code"]) == (400, -32602)


def test_client_info_is_optional(functions: Functions) -> None:
    request = event("serve_mcp.good_tools")
    body = json.loads(request["body"])
    del body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]
    assert post(functions, {**request, "body": json.dumps(body)}).status == 200


def test_unknown_revision_is_refused_with_the_supported_ones(functions: Functions) -> None:
    request = with_headers(event("serve_mcp.good_tools"), MCP_Protocol_Version="2030-01-01")
    request["body"] = request["body"].replace("2026-07-28", "2030-01-01")
    reply = post(functions, request)
    assert (reply.status, reply.error["code"]) == (400, -32022)
    assert reply.error["data"]["requested"] == "2030-01-01"
    assert reply.error["data"]["supported"] == [*protocol.MODERN, *protocol.LEGACY]


@pytest.mark.parametrize("method", ["initialize", "ping", "prompts/list", "subscriptions/listen", "logging/setLevel"])
def test_unknown_method_is_404(functions: Functions, method: str) -> None:
    reply = post(functions, modern(method))
    assert (reply.status, reply.error["code"], reply.body["id"]) == (404, -32601, 1)


def test_unknown_tool_is_refused_with_the_available_ones(functions: Functions) -> None:
    reply = call(functions, "flux_generate")
    assert (reply.status, reply.error["code"]) == (400, -32602)
    assert "flux_generate_image" in reply.error["message"]


@pytest.mark.parametrize("params", [{"name": "flux_get_task", "arguments": []}, {"name": 1}, {}])
def test_malformed_call_is_refused(functions: Functions, params: dict[str, Any]) -> None:
    reply = post(functions, legacy("tools/call", **params))
    assert (reply.status, reply.error["code"]) == (200, -32602)


MALFORMED: dict[str, tuple[Any, int, int]] = {
    "not JSON": (event("serve_mcp.bad_json")["body"], 400, -32700),
    "empty": ("", 400, -32700),
    "too deep": ("[" * 60_000, 400, -32700),
    "too large": (json.dumps({"jsonrpc": "2.0", "method": "x" * 66_000}), 413, -32600),
    "a batch": ([json.loads(GENERATE["body"])], 400, -32600),
    "an empty batch": ([], 400, -32600),
    "a response": ({"jsonrpc": "2.0", "id": 1, "result": {}}, 400, -32600),
    "another JSON-RPC": ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, 400, -32600),
    "no method": ({"jsonrpc": "2.0", "id": 1}, 400, -32600),
    "params as text": ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": ""}, 400, -32600),
    "params as a list": ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, 400, -32600),
    "id is null": ({"jsonrpc": "2.0", "id": None, "method": "ping"}, 400, -32600),
    "id is true": ({"jsonrpc": "2.0", "id": True, "method": "ping"}, 400, -32600),
    "id is 1.5": ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, 400, -32600),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_body_is_refused(functions: Functions, name: str) -> None:
    body, status, code = MALFORMED[name]
    reply = post(functions, {**GENERATE, "body": body if isinstance(body, str) else json.dumps(body)})
    assert (reply.status, reply.error["code"], reply.body["id"]) == (status, code, None)
    assert functions.calls == []


def test_base64_body_is_decoded(functions: Functions) -> None:
    request = event("serve_mcp.good_tools")
    encoded = {**request, "body": base64.b64encode(request["body"].encode()).decode(), "isBase64Encoded": True}
    assert post(functions, encoded).status == 200
    assert post(functions, {**encoded, "body": "/////w=="}).error["code"] == -32700


# ---------------------------------------------------------------- older revisions


@pytest.mark.parametrize("revision", protocol.LEGACY)
def test_handshake_agrees_on_a_supported_revision(functions: Functions, revision: str) -> None:
    result = post(functions, legacy("initialize", None, protocolVersion=revision, capabilities={})).result
    assert result["protocolVersion"] == revision
    assert result["serverInfo"]["name"] == "fluxgate"
    assert "resultType" not in result


@pytest.mark.parametrize("revision", ["2024-10-07", "2026-07-28", "x"])
def test_handshake_offers_the_newest_revision_for_unsupported_ones(functions: Functions, revision: str) -> None:
    result = post(functions, legacy("initialize", None, protocolVersion=revision)).result
    assert result["protocolVersion"] == "2025-11-25"


def test_handshake_without_revision_is_refused(functions: Functions) -> None:
    assert post(functions, legacy("initialize", None)).error["code"] == -32602


@pytest.mark.parametrize("revision", [*protocol.LEGACY, None])
def test_older_clients_list_and_call_without_session_or_meta(functions: Functions, revision: str | None) -> None:
    functions.seed()
    assert post(functions, legacy("ping", revision)).result == {}
    listed = post(functions, legacy("tools/list", revision)).result
    assert listed.keys() == {"tools"}
    assert [tool["name"] for tool in listed["tools"]] == TOOLS
    arguments = {"task_id": seeds.SUCCEEDED}
    reply = post(functions, legacy("tools/call", revision, name="flux_get_task", arguments=arguments))
    assert reply.success["task_id"] == seeds.SUCCEEDED
    types = [content["type"] for content in reply.result["content"]]
    assert types == (["text", "resource_link"] if revision in {"2025-11-25", "2025-06-18"} else ["text"])


def test_older_clients_get_errors_with_status_200(functions: Functions) -> None:
    for method, code in (("prompts/list", -32601), ("server/discover", -32601), ("tools/call", -32602)):
        reply = post(functions, legacy(method))
        assert (reply.status, reply.error["code"], reply.body["id"]) == (200, code, 7)


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/cancelled", "notifications/else"])
def test_notification_is_accepted_without_a_response(functions: Functions, method: str) -> None:
    request = legacy(method)
    request["body"] = json.dumps({"jsonrpc": "2.0", "method": method})
    assert post(functions, request) == Reply(202, None)
