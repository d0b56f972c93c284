"""The MCP tools: their schemas, what each does and how it reports errors."""

import json
from typing import Any
from unittest.mock import ANY
from uuid import uuid4

import jsonschema
import pytest
from pydantic import Field

from fluxgate.catalogue import DEFAULT_MODEL, MAX_COUNT, MODELS
from fluxgate.mcp import tools
from fluxgate.tasks.model import Image, Status, TaskError
from fluxgate.wire.requests import EditRequest, GenerateRequest
from local import seeds
from local.providers.acedata import Behaviour, Refusal
from tests.builders import a_task
from tests.functional.mcp_client import GENERATE, PROMPT, TOOLS, call, generate, post, with_key
from tests.harness import OWNER, Functions, Queue, event


def store(functions: Functions, status: Status, **fields: Any) -> str:
    task = a_task(owner=OWNER, status=status, **fields)
    functions.store(task)
    return task.task_id


def finish(functions: Functions, status: Status, **fields: Any) -> None:
    """Let the outcome arrive between two polls of the task."""

    def before_first_poll(model: Any, params: Any = None, **_: Any) -> None:
        if model.name == "GetItem":
            functions.before_call = lambda **_: None
            task_id = json.loads(params["body"])["Key"]["task_id"]["S"]
            if status is Status.SUCCEEDED:
                functions.tasks.transition(task_id, Status.GENERATED, images=())
            functions.tasks.transition(task_id, status, **fields)

    functions.before_call = before_first_poll


# ---------------------------------------------------------------- schemas


def test_tools_are_listed_in_order_with_valid_schemas(functions: Functions) -> None:
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


def test_flux_generate_image_matches_its_specification() -> None:
    tool = tools.definition("flux_generate_image")
    assert tool["description"].startswith(
        "Generate AI images from text prompts using Flux models by Black Forest Labs. Choose from 6 variants. Returns "
        "task IDs and image URLs with support for custom sizes."
    )
    properties = tool["inputSchema"]["properties"]
    assert tool["inputSchema"]["required"] == ["prompt"]
    assert list(properties)[:5] == ["prompt", "model", "size", "count", "callback_url"]
    assert properties["prompt"]["description"] == (
        "Description of the image to generate. Be descriptive about style, subject, lighting, and composition. "
        "Examples: 'A majestic mountain landscape at golden hour, photorealistic', 'Cyberpunk street scene with neon "
        "lights and rain, cinematic', 'Minimalist logo design of a phoenix, vector art style'"
    )
    assert (properties["model"]["default"], properties["count"]["default"]) == ("flux-dev", 1)
    assert "Only supported for the generate action" in properties["count"]["description"]


@pytest.mark.parametrize(("name", "request_type"), [(TOOLS[0], GenerateRequest), (TOOLS[1], EditRequest)])
def test_input_schema_matches_catalogue_and_api_request(name: str, request_type: Any) -> None:
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


@pytest.mark.parametrize("name", TOOLS)
def test_arguments_have_a_description_and_a_type_without_null(name: str) -> None:
    for schema in tools.definition(name)["inputSchema"]["properties"].values():
        assert schema["description"]
        assert schema["type"] in {"string", "integer", "array"}


def test_new_request_field_appears_in_schema_validation_and_parameters(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithSteps(GenerateRequest):
        steps: int | None = Field(default=None, ge=1, le=50, description="Number of inference steps")

    spec = tools.TOOLS["flux_generate_image"]
    with_steps = spec._replace(arguments=(WithSteps, tools.SubmitArguments))
    monkeypatch.setitem(tools.TOOLS, "flux_generate_image", with_steps)
    properties = tools.definition("flux_generate_image")["inputSchema"]["properties"]
    assert properties["steps"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 50,
        "description": "Number of inference steps",
    }
    assert "steps: Input should be less than or equal to 50" in generate(functions, steps=51).text
    assert "steps" in generate(functions, seed=1).text.split("Available: ")[1]


def test_only_tools_that_cost_money_are_not_read_only() -> None:
    costly = [name for name in TOOLS if not tools.definition(name)["annotations"]["readOnlyHint"]]
    assert costly == ["flux_generate_image", "flux_edit_image"]


def test_results_match_the_output_schema(functions: Functions) -> None:
    functions.seed()
    for case in ("generate", "edit", "task", "tasks", "models", "actions"):
        request = event(f"serve_mcp.good_{case}")
        schema = tools.definition(json.loads(request["body"])["params"]["name"])["outputSchema"]
        jsonschema.validate(post(functions, request).result["structuredContent"], schema)


# ---------------------------------------------------------------- generate and edit


def test_generation_is_submitted_once_and_reports_the_next_step(functions: Functions) -> None:
    posted = len(functions.simulator.submissions)
    report = post(functions, GENERATE).success
    assert (report["status"], report["action"], report["images"]) == ("processing", "generate", [])
    assert report["poll_after_seconds"] == 10
    assert f"flux_get_task with task_id {report['task_id']} in 10 seconds" in report["next_step"]
    (submission,) = functions.simulator.submissions[posted:]
    assert submission.body == {
        "action": "generate", "prompt": PROMPT, "model": "flux-dev", "size": "512x512", "count": 1, "callback_url": ANY,
    }  # fmt: skip
    task = functions.stored(report["task_id"])
    assert (task.owner, task.status) == (OWNER, Status.SUBMITTED)


def test_edit_is_submitted_with_its_image(functions: Functions) -> None:
    report = post(functions, event("serve_mcp.good_edit")).success
    assert (report["action"], report["model"]) == ("edit", "flux-kontext-pro")
    assert functions.simulator.submissions[-1].body["image_url"] == "https://cdn.example.com/images/sample.png"


def test_generation_waits_for_its_images(functions: Functions) -> None:
    key = f"{OWNER}/{uuid4()}/0.png"
    stored = Image(source_url="https://cdn/1", key=key, content_type="image/png", width=512, height=512, bytes=9)
    finish(functions, Status.SUCCEEDED, images=(stored,))
    reply = generate(functions, wait_seconds=25)
    report = reply.success
    assert (report["status"], report["poll_after_seconds"]) == ("succeeded", None)
    (image,) = report["images"]
    assert key in image["url"]
    assert reply.result["content"][1:] == [
        {
            "type": "resource_link",
            "uri": image["url"],
            "name": f"{report['task_id']}-0",
            "mimeType": "image/png",
            "size": 9,
        }
    ]


def test_task_is_returned_when_the_wait_ends(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.submission.waiting.MAX_WAIT", 3)
    report = call(functions, "flux_generate_image", prompt="a fox").success
    assert report["status"] == "processing"
    assert functions.calls.count("dynamodb:GetItem") > 0


def test_slow_submission_counts_against_the_wait(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.submission.waiting.MAX_WAIT", 0.5)
    functions.simulator.behave(Behaviour(response_delay=0.6, callbacks=0))
    assert call(functions, "flux_generate_image", prompt="a fox").success["status"] == "processing"
    assert "dynamodb:GetItem" not in functions.calls


def test_refusal_is_a_tool_error_with_the_reason_and_ends_polling(functions: Functions) -> None:
    refusal = Refusal.of("used_up")
    functions.simulator.behave(Behaviour(refusal=refusal))
    reply = generate(functions, wait_seconds=25)
    assert reply.result["isError"]
    report = reply.structured
    assert (report["status"], report["poll_after_seconds"]) == ("failed", None)
    assert report["error"] == {"code": "used_up", "message": refusal.message}
    assert refusal.message in report["next_step"]
    assert "Stop polling" in report["next_step"]


def test_throttled_submission_is_queued(functions: Functions, submissions: Queue) -> None:
    functions.simulator.behave(Behaviour(refusal=Refusal.of("too_many_requests")))
    report = generate(functions).success
    assert (report["status"], report["poll_after_seconds"]) == ("queued", 30)
    assert "in 30 seconds" in report["next_step"]
    assert [message["task_id"] for message in submissions()] == [report["task_id"]]


def test_same_key_is_charged_once_over_mcp_and_http(functions: Functions) -> None:
    key, posted = str(uuid4()), len(functions.simulator.submissions)
    first = generate(functions, idempotency_key=key).success
    assert generate(functions, idempotency_key=key).success["task_id"] == first["task_id"]
    over_http = event("submit_task.good_generate")
    over_http["body"] = json.dumps({"prompt": "a fox"})
    over_http["headers"]["Idempotency-Key"] = key
    over_http["multiValueHeaders"]["Idempotency-Key"] = [key]
    assert functions.http("submit_task", over_http).body["task_id"] == first["task_id"]
    assert len(functions.simulator.submissions) == posted + 1
    other = generate(functions, idempotency_key=key, prompt="a hare")
    assert other.result["isError"]
    assert other.text == "idempotency_key: This key was used for a different request. Use a new key."


# ---------------------------------------------------------------- arguments

BAD_ARGUMENTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no prompt": ({"prompt": " "}, "prompt", "must not be empty"),
    "model": ({"model": "flux-9"}, "model", "Use one of: flux-dev"),
    "size": ({"size": "1000x1000"}, "size", "The nearest is 992x992."),
    "size as ratio": ({"size": "16:9"}, "size", "flux-dev accepts WIDTHxHEIGHT"),
    "pixels for ultra": ({"model": "flux-pro-1.1-ultra", "size": "1024x1024"}, "size", "The nearest is 1:1."),
    "count": ({"count": 5}, "count", "less than or equal to 4"),
    "count as text": ({"count": "2"}, "count", "valid integer"),
    "callback_url": ({"callback_url": "ftp://x"}, "callback_url", "https://"),
    "idempotency_key": ({"idempotency_key": "a b"}, "idempotency_key", "visible ASCII"),
    "wait_seconds": ({"wait_seconds": 26}, "wait_seconds", "less than or equal to 25"),
    "unknown": ({"seed": 1}, "seed", "Available: prompt, model, size"),
    "only over HTTP": ({"metadata": {}}, "metadata", "Unknown parameter."),
    "half a character": ({"prompt": "\ud800"}, "prompt", "unicode"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_invalid_argument_is_a_tool_error_with_a_correction(functions: Functions, name: str) -> None:
    arguments, parameter, correction = BAD_ARGUMENTS[name]
    posted = len(functions.simulator.submissions)
    reply = generate(functions, **arguments)
    assert reply.result["isError"]
    assert "structuredContent" not in reply.result
    (line,) = [line for line in reply.text.splitlines() if line.startswith(f"{parameter}: ")]
    assert correction in line
    assert [call for call in functions.calls if call.startswith("dynamodb")] == []
    assert len(functions.simulator.submissions) == posted


def test_all_invalid_arguments_are_reported_together(functions: Functions) -> None:
    lines = post(functions, event("serve_mcp.bad_arguments")).text.splitlines()
    assert {line.split(":")[0] for line in lines[1:]} == {"prompt", "size", "count", "seed"}


def test_violations_of_request_and_tool_arguments_are_reported_together(functions: Functions) -> None:
    lines = generate(functions, seed=1, count=5, wait_seconds=26).text.splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["seed", "count", "wait_seconds"]


def test_null_counts_as_an_absent_argument(functions: Functions) -> None:
    assert generate(functions, model=None, size=None, count=None, idempotency_key=None).success["count"] == 1


def test_tool_without_parameters_accepts_none(functions: Functions) -> None:
    text = call(functions, "flux_list_models", page=2).text
    assert "page: Unknown parameter. This tool has no parameters." in text


@pytest.mark.parametrize("task_ids", [[], [str(uuid4())] * 51, ["x"], "x", None])
def test_batch_has_1_to_50_ids(functions: Functions, task_ids: Any) -> None:
    reply = call(functions, "flux_get_tasks_batch", task_ids=task_ids)
    assert reply.result["isError"]
    assert "\ntask_ids" in reply.text


def test_invalid_task_id_is_reported_before_any_call(functions: Functions) -> None:
    for task_id in ("fox", "", 7, "\ud800", "../x"):
        assert "\ntask_id: " in call(functions, "flux_get_task", task_id=task_id).text
    assert functions.calls == []


# ---------------------------------------------------------------- reading


def test_task_is_returned_with_links_to_its_images(functions: Functions) -> None:
    functions.seed()
    reply = post(functions, event("serve_mcp.good_task"))
    report = reply.success
    assert (report["task_id"], report["status"], report["poll_after_seconds"]) == (seeds.SUCCEEDED, "succeeded", None)
    assert reply.result["content"][1]["uri"] == report["images"][0]["url"]
    assert "X-Amz-Signature" in report["images"][0]["url"]
    assert functions.calls == ["dynamodb:GetItem"]


def test_reading_a_task_waits_only_on_request(functions: Functions) -> None:
    task_id = store(functions, Status.SUBMITTING)
    assert call(functions, "flux_get_task", task_id=task_id).success["status"] == "processing"
    assert functions.calls == ["dynamodb:GetItem"]
    error = TaskError(code="c", message="m")
    polls = iter([None, lambda: functions.tasks.transition(task_id, Status.FAILED, error=error)])

    def at_the_second_poll(model: Any, **_: Any) -> None:
        if model.name == "GetItem" and (change := next(polls, None)):
            change()

    functions.before_call = at_the_second_poll
    assert call(functions, "flux_get_task", task_id=task_id, wait_seconds=20).success["status"] == "failed"


def test_failed_and_expired_tasks_end_polling(functions: Functions) -> None:
    error = TaskError(code="forbidden", message="Content moderation.")
    failed = call(functions, "flux_get_task", task_id=store(functions, Status.FAILED, error=error)).success
    assert "Content moderation. (code forbidden) Stop polling" in failed["next_step"]
    expired = call(functions, "flux_get_task", task_id=store(functions, Status.EXPIRED)).success
    assert "Stop polling" in expired["next_step"]
    assert failed["poll_after_seconds"] is expired["poll_after_seconds"] is None


def test_task_of_another_owner_is_unknown(functions: Functions) -> None:
    theirs = store(functions, Status.SUBMITTED)
    for task_id in (theirs, str(uuid4())):
        reply = call(functions, "flux_get_task", owner="stranger", task_id=task_id)
        assert reply.result["isError"]
        assert reply.text == "You have no task with this id."
    batch = call(functions, "flux_get_tasks_batch", owner="stranger", task_ids=[theirs]).success
    assert batch == {"tasks": [], "not_found": [theirs]}


def test_keys_of_one_owner_share_tasks(functions: Functions) -> None:
    functions.seed()
    request = with_key("new-key", event("serve_mcp.good_task"))
    assert post(functions, request, OWNER_ALIASES=f"new-key={OWNER}").success["task_id"] == seeds.SUCCEEDED


def test_several_tasks_are_read_at_once(functions: Functions) -> None:
    functions.seed()
    reply = post(functions, event("serve_mcp.good_tasks"))
    batch = reply.success
    assert [(task["task_id"], task["status"]) for task in batch["tasks"]] == [
        (seeds.GENERATED, "processing"),
        (seeds.SUCCEEDED, "succeeded"),
    ]
    assert batch["not_found"] == ["00000000-0000-4000-8000-000000000099"]
    assert len(reply.result["content"]) == 2


def test_models_equal_those_of_the_api(functions: Functions) -> None:
    over_http = functions.http("read_tasks", event("read_tasks.good_models")).body
    assert post(functions, event("serve_mcp.good_models")).success == over_http


def test_actions_name_their_tools(functions: Functions) -> None:
    actions = post(functions, event("serve_mcp.good_actions")).success["actions"]
    assert {action["action"]: action["tool"] for action in actions} == {"generate": TOOLS[0], "edit": TOOLS[1]}
