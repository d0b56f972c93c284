"""The tools for agents over MCP: what each does, what is refused and how it is told, and the protocol in both eras."""

import base64
import copy
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY
from uuid import uuid4

import jsonschema
import pytest

from fluxgate.catalogue import DEFAULT_MODEL, MAX_COUNT, MODELS
from fluxgate.mcp import protocol, tools
from fluxgate.tasks.model import Image, Status, Task, TaskError
from fluxgate.wire.requests import EditRequest, GenerateRequest
from local import seeds
from local.providers.acedata import Behaviour, Refusal
from tests.harness import OWNER, Event, Functions, Queue, event

GENERATE = event("serve_mcp.good_generate")
INITIALIZE = event("serve_mcp.good_initialize")
TOOLS = [
    "flux_generate_image",
    "flux_edit_image",
    "flux_get_task",
    "flux_get_tasks_batch",
    "flux_list_models",
    "flux_list_actions",
]
PROMPT = "A red fox in deep snow, golden hour, photorealistic"


@dataclass(frozen=True)
class Reply:
    """The answer to one POST."""

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


def post(functions: Functions, request: Event, **environment: str) -> Reply:
    answer = functions.invoke("serve_mcp", request, **environment)
    return Reply(answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None)


def with_headers(request: Event, **headers: str | list[str] | None) -> Event:
    """The event with other headers; None leaves one out."""
    changed = copy.deepcopy(request)
    for name, value in headers.items():
        named = name.replace("_", "-")
        for values in (changed["headers"], changed["multiValueHeaders"]):
            for present in [present for present in values if present.lower() == named.lower()]:
                del values[present]
        if value is not None:
            values = value if isinstance(value, list) else [value]
            changed["headers"][named], changed["multiValueHeaders"][named] = values[-1], values
    return changed


def by(owner: str, request: Event) -> Event:
    changed = copy.deepcopy(request)
    changed["requestContext"]["identity"]["apiKeyId"] = owner
    return changed


def modern(method: str, **params: Any) -> Event:
    """As a client of 2026-07-28 sends it."""
    body = json.loads(GENERATE["body"])
    body |= {"method": method, "params": {"_meta": body["params"]["_meta"], **params}}
    request = with_headers(GENERATE, Mcp_Method=method, Mcp_Name=params.get("name"))
    return {**request, "body": json.dumps(body)}


def legacy(method: str, revision: str | None = "2025-11-25", **params: Any) -> Event:
    """As a client of an older revision sends it."""
    request = with_headers(INITIALIZE, MCP_Protocol_Version=revision)
    return {**request, "body": json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})}


def call(functions: Functions, name: str, owner: str = OWNER, **arguments: Any) -> Reply:
    return post(functions, by(owner, modern("tools/call", name=name, arguments=arguments)))


def generate(functions: Functions, **arguments: Any) -> Reply:
    return call(functions, "flux_generate_image", **{"prompt": "a fox", "wait_seconds": 0, **arguments})


def result_of(reply: Reply) -> dict[str, Any]:
    """What the tool told; the same as text, and as the tool's schema says."""
    assert not reply.result["isError"], reply.text
    return told(reply)


def told(reply: Reply) -> dict[str, Any]:
    content = reply.result["structuredContent"]
    assert json.loads(reply.text) == content
    return dict(content["result"])


def store(functions: Functions, status: Status, **facts: Any) -> str:
    now = datetime.now(UTC).replace(microsecond=0)
    task = Task(
        task_id=str(uuid4()), owner=OWNER, status=status, action="generate", model="flux-dev", prompt="a fox",
        size="512x512", count=1, provider="acedata", created_at=now, updated_at=now,
        expires_at=now + timedelta(days=7), **facts,
    )  # fmt: skip
    functions.store(task)
    return task.task_id


# ---------------------------------------------------------------- tools


def test_the_tools_are_listed_in_this_order_with_schemas(functions: Functions) -> None:
    listed = post(functions, event("serve_mcp.good_tools")).result["tools"]
    assert [tool["name"] for tool in listed] == TOOLS
    for tool in listed:
        assert tool["title"]
        assert tool["description"]
        assert tool["outputSchema"]["required"] == ["result"]
        assert tool["inputSchema"]["additionalProperties"] is False
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            jsonschema.Draft202012Validator.check_schema(schema)
    assert functions.calls == []


def test_flux_generate_image_is_as_the_users_of_the_vendors_tool_know_it() -> None:
    tool = tools.definition("flux_generate_image")
    assert tool["description"].startswith(
        "Generate AI images from text prompts using Flux models by Black Forest Labs. Choose from 6 variants. Returns "
        "task IDs and image URLs with support for custom sizes."
    )
    properties = tool["inputSchema"]["properties"]
    assert tool["inputSchema"]["required"] == ["prompt"]
    assert list(properties)[:5] == ["prompt", "model", "size", "count", "callback_url"]
    assert "'Minimalist logo design of a phoenix, vector art style'" in properties["prompt"]["description"]
    assert (properties["model"]["default"], properties["count"]["default"]) == ("flux-dev", 1)
    assert "Only supported for the generate action" in properties["count"]["description"]


@pytest.mark.parametrize(("name", "request_type"), [(TOOLS[0], GenerateRequest), (TOOLS[1], EditRequest)])
def test_a_tool_takes_what_the_catalogue_and_the_http_request_say(name: str, request_type: Any) -> None:
    schema = tools.definition(name)["inputSchema"]
    fields = request_type.model_fields
    assert set(schema["properties"]) == fields.keys() - {"metadata"} | {"idempotency_key", "wait_seconds"}
    assert schema["required"] == [field for field in fields if field in {"prompt", "image_url"}]
    model = schema["properties"]["model"]
    assert model["enum"] == list(MODELS)
    assert model["default"] == DEFAULT_MODEL[request_type.model_construct().action]
    for known in MODELS.values():
        assert f"{known.name}: {known.description}" in model["description"]
        assert known.sizes.description in schema["properties"]["size"]["description"]
    assert "count" not in fields or schema["properties"]["count"]["maximum"] == MAX_COUNT


def test_what_costs_money_is_marked_and_nothing_else() -> None:
    costly = [name for name in TOOLS if not tools.definition(name)["annotations"]["readOnlyHint"]]
    assert costly == ["flux_generate_image", "flux_edit_image"]


def test_a_generation_is_submitted_once_and_says_what_to_do_next(functions: Functions) -> None:
    posted = len(functions.simulator.submissions)
    report = result_of(post(functions, GENERATE))
    assert (report["status"], report["action"], report["images"]) == ("processing", "generate", [])
    assert report["poll_after_seconds"] == 10
    assert f"flux_get_task with task_id {report['task_id']} in 10 seconds" in report["next_step"]
    (submission,) = functions.simulator.submissions[posted:]
    assert submission.body == {
        "action": "generate", "prompt": PROMPT, "model": "flux-dev", "size": "512x512", "count": 1, "callback_url": ANY,
    }  # fmt: skip
    task = functions.stored(report["task_id"])
    assert (task.owner, task.status) == (OWNER, Status.SUBMITTED)


def test_an_edit_is_submitted_with_its_picture(functions: Functions) -> None:
    report = result_of(post(functions, event("serve_mcp.good_edit")))
    assert (report["action"], report["model"]) == ("edit", "flux-kontext-pro")
    assert functions.simulator.submissions[-1].body["image_url"] == "https://cdn.example.com/images/sample.png"


def finish(functions: Functions, status: Status, **facts: Any) -> None:
    """Let the outcome arrive between two looks at the task."""

    def meanwhile(model: Any, params: Any = None, **_: Any) -> None:
        if model.name == "GetItem":
            functions.before_call = lambda **_: None
            task_id = json.loads(params["body"])["Key"]["task_id"]["S"]
            if status is Status.SUCCEEDED:
                functions.tasks.advance(task_id, Status.GENERATED, images=())
            functions.tasks.advance(task_id, status, **facts)

    functions.before_call = meanwhile


def test_a_generation_waits_for_its_pictures(functions: Functions) -> None:
    key = f"{OWNER}/{uuid4()}/0.png"
    image = Image(source_url="https://cdn/1", key=key, content_type="image/png", width=512, height=512, bytes=9)
    finish(functions, Status.SUCCEEDED, images=(image,))
    reply = generate(functions, wait_seconds=25)
    report = result_of(reply)
    assert (report["status"], report["poll_after_seconds"]) == ("succeeded", None)
    (picture,) = report["images"]
    assert key in picture["url"]
    assert reply.result["content"][1:] == [
        {
            "type": "resource_link",
            "uri": picture["url"],
            "name": f"{report['task_id']}-0",
            "mimeType": "image/png",
            "size": 9,
        }
    ]


def test_a_wait_that_runs_out_answers_with_the_task(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.submission.waiting.LONGEST_WAIT", 3)
    report = result_of(call(functions, "flux_generate_image", prompt="a fox"))
    assert report["status"] == "processing"
    assert functions.calls.count("dynamodb:GetItem") > 0


def test_a_submission_that_took_long_leaves_no_time_to_wait(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxgate.submission.waiting.LONGEST_WAIT", 0.5)
    functions.simulator.behave(Behaviour(response_delay=0.6, callbacks=0))
    assert result_of(call(functions, "flux_generate_image", prompt="a fox"))["status"] == "processing"
    assert "dynamodb:GetItem" not in functions.calls


def test_a_refusal_is_an_error_that_says_why_and_that_polling_is_over(functions: Functions) -> None:
    refusal = Refusal.of("used_up")
    functions.simulator.behave(Behaviour(refusal=refusal))
    reply = generate(functions, wait_seconds=25)
    assert reply.result["isError"]
    report = told(reply)
    assert (report["status"], report["poll_after_seconds"]) == ("failed", None)
    assert report["error"] == {"code": "used_up", "message": refusal.message}
    assert refusal.message in report["next_step"]
    assert "Polling is over" in report["next_step"]


def test_what_the_provider_does_not_take_now_is_queued(functions: Functions, submissions: Queue) -> None:
    functions.simulator.behave(Behaviour(refusal=Refusal.of("too_many_requests")))
    report = result_of(generate(functions))
    assert (report["status"], report["poll_after_seconds"]) == ("queued", 30)
    assert "in 30 seconds" in report["next_step"]
    assert [message["task_id"] for message in submissions()] == [report["task_id"]]


BAD_ARGUMENTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no prompt": ({"prompt": " "}, "prompt", "at least 1 character"),
    "model": ({"model": "flux-9"}, "model", "Use one of: flux-dev"),
    "size": ({"size": "1000x1000"}, "size", "The nearest is 992x992."),
    "size as ratio": ({"size": "16:9"}, "size", "flux-dev takes WIDTHxHEIGHT"),
    "pixels for ultra": ({"model": "flux-pro-1.1-ultra", "size": "1024x1024"}, "size", "The nearest is 1:1."),
    "count": ({"count": 5}, "count", "less than or equal to 4"),
    "count as text": ({"count": "2"}, "count", "valid integer"),
    "callback_url": ({"callback_url": "ftp://x"}, "callback_url", "https://"),
    "idempotency_key": ({"idempotency_key": "a b"}, "idempotency_key", "visible ASCII"),
    "wait_seconds": ({"wait_seconds": 26}, "wait_seconds", "less than or equal to 25"),
    "unknown": ({"seed": 1}, "seed", "There are prompt, model, size"),
    "only over HTTP": ({"metadata": {}}, "metadata", "There is no such parameter."),
    "half a character": ({"prompt": "\ud800"}, "prompt", "unicode"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_an_error_that_names_them_and_what_is_right(functions: Functions, name: str) -> None:
    arguments, parameter, right = BAD_ARGUMENTS[name]
    posted = len(functions.simulator.submissions)
    reply = generate(functions, **arguments)
    assert reply.result["isError"]
    assert "structuredContent" not in reply.result
    (line,) = [line for line in reply.text.splitlines() if line.startswith(f"{parameter}: ")]
    assert right in line
    assert [call for call in functions.calls if call.startswith("dynamodb")] == []
    assert len(functions.simulator.submissions) == posted


def test_all_bad_arguments_are_named_at_once(functions: Functions) -> None:
    lines = post(functions, event("serve_mcp.bad_arguments")).text.splitlines()
    assert {line.split(":")[0] for line in lines[1:]} == {"prompt", "size", "count", "seed"}


def test_a_null_is_no_argument(functions: Functions) -> None:
    assert result_of(generate(functions, model=None, size=None, count=None, idempotency_key=None))["count"] == 1


def test_the_same_key_buys_once_over_mcp_and_http(functions: Functions) -> None:
    key, posted = str(uuid4()), len(functions.simulator.submissions)
    first = result_of(generate(functions, idempotency_key=key))
    assert result_of(generate(functions, idempotency_key=key))["task_id"] == first["task_id"]
    over_http = event("submit_task.good_generate")
    over_http["body"] = json.dumps({"prompt": "a fox"})
    over_http["headers"]["Idempotency-Key"] = key
    over_http["multiValueHeaders"]["Idempotency-Key"] = [key]
    assert functions.http("submit_task", over_http).body["task_id"] == first["task_id"]
    assert len(functions.simulator.submissions) == posted + 1
    other = generate(functions, idempotency_key=key, prompt="a hare")
    assert other.result["isError"]
    assert other.text == "idempotency_key: This key was used for another request. Use a new one."


def test_a_task_is_shown_with_links_to_its_pictures(functions: Functions) -> None:
    functions.seed()
    reply = post(functions, event("serve_mcp.good_task"))
    report = result_of(reply)
    assert (report["task_id"], report["status"], report["poll_after_seconds"]) == (seeds.SUCCEEDED, "succeeded", None)
    assert reply.result["content"][1]["uri"] == report["images"][0]["url"]
    assert "X-Amz-Signature" in report["images"][0]["url"]
    assert functions.calls == ["dynamodb:GetItem"]


def test_asking_for_a_task_waits_only_if_told_to(functions: Functions) -> None:
    task_id = store(functions, Status.SUBMITTING)
    assert result_of(call(functions, "flux_get_task", task_id=task_id))["status"] == "processing"
    assert functions.calls == ["dynamodb:GetItem"]
    functions.before_call = lambda model, **_: None
    looks = iter(
        [None, lambda: functions.tasks.advance(task_id, Status.FAILED, error=TaskError(code="c", message="m"))]
    )

    def at_the_second_look(model: Any, **_: Any) -> None:
        if model.name == "GetItem" and (change := next(looks, None)):
            change()

    functions.before_call = at_the_second_look
    assert result_of(call(functions, "flux_get_task", task_id=task_id, wait_seconds=20))["status"] == "failed"


def test_a_failed_or_expired_task_says_that_polling_is_over(functions: Functions) -> None:
    error = TaskError(code="forbidden", message="Content moderation.")
    failed = result_of(call(functions, "flux_get_task", task_id=store(functions, Status.FAILED, error=error)))
    assert "Content moderation. (code forbidden) Polling is over" in failed["next_step"]
    expired = result_of(call(functions, "flux_get_task", task_id=store(functions, Status.EXPIRED)))
    assert "Polling is over" in expired["next_step"]
    assert failed["poll_after_seconds"] is expired["poll_after_seconds"] is None


def test_anothers_task_is_as_unknown_as_none(functions: Functions) -> None:
    theirs = store(functions, Status.SUBMITTED)
    for task_id in (theirs, str(uuid4())):
        reply = call(functions, "flux_get_task", owner="stranger", task_id=task_id)
        assert reply.result["isError"]
        assert reply.text.startswith("There is no such task of yours")
    batch = result_of(call(functions, "flux_get_tasks_batch", owner="stranger", task_ids=[theirs]))
    assert batch == {"tasks": [], "not_found": [theirs]}


def test_keys_of_one_owner_share_tasks(functions: Functions) -> None:
    functions.seed()
    request = by("new-key", event("serve_mcp.good_task"))
    assert result_of(post(functions, request, OWNER_ALIASES=f"new-key={OWNER}"))["task_id"] == seeds.SUCCEEDED


def test_several_tasks_at_once(functions: Functions) -> None:
    functions.seed()
    reply = post(functions, event("serve_mcp.good_tasks"))
    batch = result_of(reply)
    assert [(task["task_id"], task["status"]) for task in batch["tasks"]] == [
        (seeds.GENERATED, "processing"),
        (seeds.SUCCEEDED, "succeeded"),
    ]
    assert batch["not_found"] == ["00000000-0000-4000-8000-000000000099"]
    assert len(reply.result["content"]) == 2


@pytest.mark.parametrize("task_ids", [[], [str(uuid4())] * 51, ["x"], "x", None])
def test_a_batch_is_1_to_50_ids(functions: Functions, task_ids: Any) -> None:
    reply = call(functions, "flux_get_tasks_batch", task_ids=task_ids)
    assert reply.result["isError"]
    assert "\ntask_ids" in reply.text


def test_a_task_id_that_is_none_is_named(functions: Functions) -> None:
    for task_id in ("fox", "", 7, "\ud800", "../x"):
        assert "\ntask_id: " in call(functions, "flux_get_task", task_id=task_id).text
    assert functions.calls == []


def test_models_are_those_of_the_api(functions: Functions) -> None:
    over_http = functions.http("read_tasks", event("read_tasks.good_models")).body
    assert result_of(post(functions, event("serve_mcp.good_models"))) == over_http


def test_actions_name_their_tools(functions: Functions) -> None:
    listed = result_of(post(functions, event("serve_mcp.good_actions")))["actions"]
    assert {it["action"]: it["tool"] for it in listed} == {"generate": TOOLS[0], "edit": TOOLS[1]}


def test_a_tool_without_parameters_takes_none(functions: Functions) -> None:
    assert "There is no such parameter. There are none." in call(functions, "flux_list_models", page=2).text


def test_every_answer_is_as_the_tools_schema_says(functions: Functions) -> None:
    functions.seed()
    for case in ("generate", "edit", "task", "tasks", "models", "actions"):
        request = event(f"serve_mcp.good_{case}")
        schema = tools.definition(json.loads(request["body"])["params"]["name"])["outputSchema"]
        jsonschema.validate(post(functions, request).result["structuredContent"], schema)


@pytest.mark.parametrize("service", ["PutItem", "GetSecretValue"])
def test_an_outage_before_the_submission_is_told_as_one(functions: Functions, service: str) -> None:
    failure = {"Error": {"Code": "Refused", "Message": "no"}, "ResponseMetadata": {}}
    response = type("Response", (), {"status_code": 400, "headers": {}, "content": b""})()
    functions.before_call = lambda model, **_: (response, failure) if model.name == service else None
    posted = len(functions.simulator.submissions)
    reply = generate(functions)
    assert reply.result["isError"]
    assert "Nothing was bought. Call again in 30 seconds." in reply.text
    assert len(functions.simulator.submissions) == posted
    assert [record for record in functions.log_records() if record.get("level") == "ERROR"]


def test_logs_hold_ids_and_no_prompts(functions: Functions) -> None:
    report = result_of(post(functions, GENERATE))
    generate(functions, prompt="a secret prompt", size="1x1")
    generate(functions, a_secret_parameter=1)
    call(functions, "a_secret_tool")
    post(functions, modern("a_secret_method"))
    logs = functions.logs()
    assert report["task_id"] in logs
    assert "flux_generate_image" in logs
    assert PROMPT not in logs
    assert "secret" not in logs


# ---------------------------------------------------------------- protocol, since 2026-07-28


def test_the_server_can_be_discovered(functions: Functions) -> None:
    result = post(functions, event("serve_mcp.good_discover")).result
    assert result["supportedVersions"][0] == "2026-07-28"
    assert result["capabilities"] == {"tools": {}}
    assert "flux_get_task" in result["instructions"]
    assert functions.calls == []


@pytest.mark.parametrize("case", ["good_discover", "good_tools", "good_models"])
def test_a_result_says_that_it_is_complete_whose_it_is_and_how_long_it_keeps(functions: Functions, case: str) -> None:
    result = post(functions, event(f"serve_mcp.{case}")).result
    assert result["resultType"] == "complete"
    assert result["_meta"] == {protocol.SERVER_KEY: {"name": "fluxgate", "title": ANY, "version": ANY}}
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
    "a name that cannot be decoded": {"Mcp_Name": "=?base64?%%?="},
}


@pytest.mark.parametrize("name", WRONG_HEADERS)
def test_headers_that_do_not_say_what_the_body_says_are_refused(functions: Functions, name: str) -> None:
    posted = len(functions.simulator.submissions)
    reply = post(functions, with_headers(GENERATE, **WRONG_HEADERS[name]))
    assert (reply.status, reply.error["code"], reply.body["id"]) == (400, -32020, 1)
    (header,) = WRONG_HEADERS[name]
    assert header.replace("_", "-") in reply.error["message"]
    assert len(functions.simulator.submissions) == posted


@pytest.mark.parametrize("header", ["MCP-METHOD", "mcp-method"])
def test_a_header_may_be_written_in_any_case_and_with_space_around(functions: Functions, header: str) -> None:
    request = with_headers(event("serve_mcp.good_models"), **{header: " tools/call "})
    name = base64.b64encode(b"flux_list_models").decode()
    assert post(functions, with_headers(request, Mcp_Name=f"=?base64?{name}?=")).status == 200


@pytest.mark.parametrize("missing", [protocol.VERSION_KEY, protocol.CAPABILITIES_KEY, None])
def test_a_request_without_its_meta_is_refused(functions: Functions, missing: str | None) -> None:
    request = event("serve_mcp.good_tools")
    body = json.loads(request["body"])
    body["params"]["_meta"].pop(missing, None) if missing else body.pop("params")
    reply = post(functions, {**request, "body": json.dumps(body)})
    assert (reply.status, reply.error["code"]) == (400, -32602)


def test_a_client_need_not_name_itself(functions: Functions) -> None:
    request = event("serve_mcp.good_tools")
    body = json.loads(request["body"])
    del body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]
    assert post(functions, {**request, "body": json.dumps(body)}).status == 200


def test_an_unknown_revision_is_told_which_are_known(functions: Functions) -> None:
    request = with_headers(event("serve_mcp.good_tools"), MCP_Protocol_Version="2030-01-01")
    request["body"] = request["body"].replace("2026-07-28", "2030-01-01")
    reply = post(functions, request)
    assert (reply.status, reply.error["code"]) == (400, -32022)
    assert reply.error["data"]["requested"] == "2030-01-01"
    assert reply.error["data"]["supported"] == [*protocol.MODERN, *protocol.LEGACY]


@pytest.mark.parametrize("method", ["initialize", "ping", "prompts/list", "subscriptions/listen", "logging/setLevel"])
def test_a_method_that_there_is_not_is_404(functions: Functions, method: str) -> None:
    reply = post(functions, modern(method))
    assert (reply.status, reply.error["code"], reply.body["id"]) == (404, -32601, 1)


def test_an_unknown_tool_is_told_which_there_are(functions: Functions) -> None:
    reply = call(functions, "flux_generate")
    assert (reply.status, reply.error["code"]) == (400, -32602)
    assert "flux_generate_image" in reply.error["message"]


@pytest.mark.parametrize("params", [{"name": "flux_get_task", "arguments": []}, {"name": 1}, {}])
def test_a_call_that_is_none_is_refused(functions: Functions, params: dict[str, Any]) -> None:
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
def test_what_is_no_message_is_refused(functions: Functions, name: str) -> None:
    body, status, code = MALFORMED[name]
    reply = post(functions, {**GENERATE, "body": body if isinstance(body, str) else json.dumps(body)})
    assert (reply.status, reply.error["code"], reply.body["id"]) == (status, code, None)
    assert functions.calls == []


def test_a_body_in_base64_is_read(functions: Functions) -> None:
    request = event("serve_mcp.good_tools")
    encoded = {**request, "body": base64.b64encode(request["body"].encode()).decode(), "isBase64Encoded": True}
    assert post(functions, encoded).status == 200
    assert post(functions, {**encoded, "body": "/////w=="}).error["code"] == -32700


# ---------------------------------------------------------------- protocol, before


@pytest.mark.parametrize("revision", protocol.LEGACY)
def test_a_handshake_agrees_on_a_revision_that_both_know(functions: Functions, revision: str) -> None:
    result = post(functions, legacy("initialize", None, protocolVersion=revision, capabilities={})).result
    assert result["protocolVersion"] == revision
    assert result["serverInfo"]["name"] == "fluxgate"
    assert "resultType" not in result


@pytest.mark.parametrize("revision", ["2024-10-07", "2026-07-28", "x"])
def test_a_handshake_for_another_revision_is_answered_with_the_newest(functions: Functions, revision: str) -> None:
    result = post(functions, legacy("initialize", None, protocolVersion=revision)).result
    assert result["protocolVersion"] == "2025-11-25"


def test_a_handshake_without_a_revision_is_refused(functions: Functions) -> None:
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
    assert result_of(reply)["task_id"] == seeds.SUCCEEDED
    kinds = [content["type"] for content in reply.result["content"]]
    assert kinds == (["text", "resource_link"] if revision in {"2025-11-25", "2025-06-18"} else ["text"])


def test_errors_of_older_clients_come_with_status_200(functions: Functions) -> None:
    for method, code in (("prompts/list", -32601), ("server/discover", -32601), ("tools/call", -32602)):
        reply = post(functions, legacy(method))
        assert (reply.status, reply.error["code"], reply.body["id"]) == (200, code, 7)


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/cancelled", "notifications/else"])
def test_a_notification_is_accepted_and_not_answered(functions: Functions, method: str) -> None:
    request = legacy(method)
    request["body"] = json.dumps({"jsonrpc": "2.0", "method": method})
    assert post(functions, request) == Reply(202, None)


# ---------------------------------------------------------------- HTTP


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_nothing_to_get_or_delete(functions: Functions, method: str) -> None:
    request = event("serve_mcp.bad_stream")
    request["httpMethod"] = request["requestContext"]["httpMethod"] = method
    answer = functions.http("serve_mcp", request)
    assert (answer.status, answer.headers["allow"], answer.body["code"]) == (405, "POST", "method_not_allowed")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "https://ours.example.evil"]
)
@pytest.mark.parametrize("allowed", ["", "https://ours.example,https://also.ours"])
def test_a_web_page_that_is_not_allowed_is_refused(functions: Functions, origin: str, allowed: str) -> None:
    request = with_headers(event("serve_mcp.good_tools"), Origin=origin)
    reply = post(functions, request, MCP_ALLOWED_ORIGINS=allowed)
    assert (reply.status, reply.error["code"]) == (403, -32600)


@pytest.mark.parametrize("origin", ["https://ours.example", "https://also.ours"])
def test_a_web_page_that_is_allowed_is_served(functions: Functions, origin: str) -> None:
    request = with_headers(event("serve_mcp.good_tools"), Origin=origin)
    assert post(functions, request, MCP_ALLOWED_ORIGINS="https://ours.example,https://also.ours").status == 200


def test_without_an_api_key_there_is_no_owner(functions: Functions) -> None:
    answer = functions.invoke("serve_mcp", by("", GENERATE))
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (403, "no_api_key")


def test_an_unknown_error_fails_the_invocation(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the alarm rings."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fluxgate.tasks.store.TaskStore.get", broken)
    with pytest.raises(ZeroDivisionError):
        call(functions, "flux_get_task", task_id=seeds.SUCCEEDED)
