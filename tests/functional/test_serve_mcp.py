"""The MCP function over HTTP: methods, origins, API keys, outages and logs."""

import json
from typing import Any

import pytest

from local import seeds
from tests.functional.mcp_client import GENERATE, PROMPT, call, generate, modern, post, with_headers, with_key
from tests.harness import Functions, event


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_other_methods_are_not_allowed(functions: Functions, method: str) -> None:
    request = event("serve_mcp.bad_stream")
    request["httpMethod"] = request["requestContext"]["httpMethod"] = method
    response = functions.http("serve_mcp", request)
    assert (response.status, response.headers["allow"], response.body["code"]) == (405, "POST", "method_not_allowed")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "https://ours.example.evil"]
)
@pytest.mark.parametrize("allowed", ["", "https://ours.example,https://also.ours"])
def test_other_origins_are_refused(functions: Functions, origin: str, allowed: str) -> None:
    request = with_headers(event("serve_mcp.good_tools"), Origin=origin)
    reply = post(functions, request, MCP_ALLOWED_ORIGINS=allowed)
    assert (reply.status, reply.error["code"]) == (403, -32600)


@pytest.mark.parametrize("origin", ["https://ours.example", "https://also.ours"])
def test_allowed_origins_are_served(functions: Functions, origin: str) -> None:
    request = with_headers(event("serve_mcp.good_tools"), Origin=origin)
    assert post(functions, request, MCP_ALLOWED_ORIGINS="https://ours.example,https://also.ours").status == 200


def test_request_without_api_key_is_refused(functions: Functions) -> None:
    response = functions.invoke("serve_mcp", with_key("", GENERATE))
    assert (response["statusCode"], json.loads(response["body"])["code"]) == (403, "no_api_key")


@pytest.mark.parametrize("service", ["PutItem", "GetSecretValue"])
def test_outage_before_the_submission_is_a_tool_error_and_logged(functions: Functions, service: str) -> None:
    failure = {"Error": {"Code": "Refused", "Message": "no"}, "ResponseMetadata": {}}
    response = type("Response", (), {"status_code": 400, "headers": {}, "content": b""})()
    functions.before_call = lambda model, **_: (response, failure) if model.name == service else None
    posted = len(functions.simulator.submissions)
    reply = generate(functions)
    assert reply.result["isError"]
    assert "Nothing was submitted. Try again in 30 seconds." in reply.text
    assert len(functions.simulator.submissions) == posted
    assert [record for record in functions.log_records() if record.get("level") == "ERROR"]


def test_unknown_error_fails_the_invocation(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the alarm fires."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fluxgate.tasks.store.TaskStore.get", broken)
    with pytest.raises(ZeroDivisionError):
        call(functions, "flux_get_task", task_id=seeds.SUCCEEDED)


def test_logs_contain_ids_and_no_words_of_clients(functions: Functions) -> None:
    report = post(functions, GENERATE).success
    generate(functions, prompt="a secret prompt", size="1x1")
    generate(functions, a_secret_parameter=1)
    call(functions, "a_secret_tool")
    post(functions, modern("a_secret_method"))
    logs = functions.logs()
    assert report["task_id"] in logs
    assert "flux_generate_image" in logs
    assert PROMPT not in logs
    assert "secret" not in logs
