"""Callbacks: each kind of body, sender and moment has a defined answer, and one conditional write at most."""

import base64
import copy
import json
from typing import Any

import pytest

from fluxgate.tasks.model import Status
from local.seeds import SUBMITTED, TOKEN
from tests.harness import Event, Functions, event, with_body

SUCCESS = event("receive_callback.good_success")
FAILURE = event("receive_callback.good_failure")
BODY = json.loads(SUCCESS["body"])


@pytest.fixture(autouse=True)
def _submitted_task(functions: Functions) -> None:
    functions.seed()


def addressed(event: Event, *, provider: str = "acedata", task_id: str = SUBMITTED, token: str = TOKEN) -> Event:
    changed = copy.deepcopy(event)
    path = f"/callbacks/{provider}/{task_id}/{token}"
    changed["rawPath"] = changed["requestContext"]["http"]["path"] = path
    changed["pathParameters"] = {"provider": provider, "task_id": task_id, "token": token}
    return changed


def test_images_make_the_task_generated_in_one_write_and_no_read(functions: Functions) -> None:
    answer = functions.http("receive_callback", SUCCESS)
    assert (answer.status, answer.body) == (200, {"received": True})
    assert functions.calls == ["dynamodb:UpdateItem"]
    task = functions.stored(SUBMITTED)
    assert task.status is Status.GENERATED
    assert [(image.source_url, image.seed) for image in task.images] == [
        ("https://cdn.example.com/images/sample.png", 1234567)
    ]
    assert task.generated_at == task.updated_at
    assert functions.metrics()["SubmitToCallback"] > 0


def test_a_failure_is_kept_in_the_providers_words(functions: Functions) -> None:
    assert functions.http("receive_callback", FAILURE).status == 200
    task = functions.stored(SUBMITTED)
    assert task.status is Status.FAILED
    assert task.error
    assert (task.error.code, task.error.message) == ("forbidden", "The content has been blocked by moderation.")
    assert functions.metrics()["TaskFailed"] == 1


@pytest.mark.parametrize("error", [None, {}, {"message": "fetch failed"}, "fetch failed"])
def test_a_failure_without_a_code_gets_ours(functions: Functions, error: object) -> None:
    body = {"success": False, "task_id": "p-1", "trace_id": "x", "error": error}
    assert functions.http("receive_callback", with_body(SUCCESS, body)).status == 200
    task = functions.stored(SUBMITTED)
    assert task.error
    assert (task.status, task.error.code) == (Status.FAILED, "provider_error")


@pytest.mark.parametrize("body", [{"success": True, "task_id": "p-1"}, {"success": True, "data": []}])
def test_success_without_images_is_not_finished(functions: Functions, body: object) -> None:
    answer = functions.http("receive_callback", with_body(SUCCESS, body))
    assert (answer.status, functions.calls) == (200, [])
    assert functions.stored(SUBMITTED).status is Status.SUBMITTED


FORGED = {
    "wrong token": event("receive_callback.bad_token"),
    "token's hash": addressed(SUCCESS, token="f" * 64),
    "unknown task": addressed(SUCCESS, task_id="00000000-0000-4000-8000-00000000ffff"),
    "unknown provider": addressed(SUCCESS, provider="other"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_callback_changes_nothing_and_learns_nothing(functions: Functions, name: str) -> None:
    before = functions.stored(SUBMITTED)
    answer = functions.http("receive_callback", FORGED[name])
    assert (answer.status, answer.body["code"]) == (404, "callback_not_found")
    assert answer.body["detail"] == "Unknown callback URL."
    assert functions.stored(SUBMITTED) == before


MALFORMED = {
    "html": (event("receive_callback.bad_body"), 400),
    "empty": (with_body(SUCCESS, ""), 400),
    "a list": (with_body(SUCCESS, "[]"), 400),
    "too deep": (with_body(SUCCESS, "[" * 100_000), 400),
    "bad base64": ({**SUCCESS, "body": "%%%", "isBase64Encoded": True}, 400),
    "oversized": (with_body(SUCCESS, {"success": True, "pad": "x" * (5 * 1024 * 1024)}), 413),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_callback_is_refused_without_a_write(functions: Functions, name: str) -> None:
    request, status = MALFORMED[name]
    answer = functions.http("receive_callback", request)
    assert (answer.status, functions.calls) == (status, [])
    assert functions.stored(SUBMITTED).status is Status.SUBMITTED


def test_a_body_of_1_mb_is_taken(functions: Functions) -> None:
    data = [{**BODY["data"][0], "prompt": "x" * 262_144, "image_url": f"https://cdn.example.com/{n}"} for n in range(4)]
    assert functions.http("receive_callback", with_body(SUCCESS, {**BODY, "data": data})).status == 200
    assert len(functions.stored(SUBMITTED).images) == 4


def test_a_body_in_base64_is_read(functions: Functions) -> None:
    encoded = {**SUCCESS, "body": base64.b64encode(SUCCESS["body"].encode()).decode(), "isBase64Encoded": True}
    assert functions.http("receive_callback", encoded).status == 200
    assert functions.stored(SUBMITTED).status is Status.GENERATED


def test_a_repeat_changes_nothing(functions: Functions) -> None:
    functions.http("receive_callback", SUCCESS)
    once = functions.stored(SUBMITTED)
    other = {**BODY, "data": [{"image_url": "https://cdn.example.com/other.png"}]}
    for repeat in (SUCCESS, with_body(SUCCESS, other), FAILURE):
        assert functions.http("receive_callback", repeat).status == 200
        assert functions.stored(SUBMITTED) == once
    assert "TaskFailed" not in functions.metrics()


def test_a_callback_before_the_providers_id_is_stored_brings_it(functions: Functions) -> None:
    functions.seed()
    table = functions.stack.deployment.resources["TasksTable"]
    functions.stack.client("dynamodb").update_item(
        TableName=table,
        Key={"task_id": {"S": SUBMITTED}},
        UpdateExpression="SET #s = :s REMOVE provider_task_id",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "submitting"}},
    )
    assert functions.http("receive_callback", with_body(SUCCESS, {**BODY, "task_id": "p-77"})).status == 200
    task = functions.stored(SUBMITTED)
    assert (task.status, task.provider_task_id) == (Status.GENERATED, "p-77")


def test_a_late_result_counts_after_a_failure(functions: Functions) -> None:
    functions.http("receive_callback", FAILURE)
    assert functions.http("receive_callback", SUCCESS).status == 200
    task = functions.stored(SUBMITTED)
    assert (task.status, task.error) == (Status.GENERATED, None)


def test_a_write_that_fails_asks_for_another_callback(functions: Functions) -> None:
    def throttle(**_: Any) -> tuple[Any, dict[str, Any]]:
        response = type("Response", (), {"status_code": 400, "headers": {}, "content": b""})()
        return response, {"Error": {"Code": "ThrottlingException", "Message": "slow down"}, "ResponseMetadata": {}}

    functions.before_call = throttle
    answer = functions.http("receive_callback", SUCCESS)
    assert (answer.status, answer.body["code"]) == (503, "storage_unavailable")


def test_logs_hold_the_task_and_neither_token_nor_body(functions: Functions) -> None:
    for request in (SUCCESS, FAILURE, *FORGED.values(), event("receive_callback.bad_body")):
        functions.http("receive_callback", request)
    logs = functions.logs()
    assert SUBMITTED in logs
    for secret in (TOKEN, "a-forged-token", "red fox", "cdn.example.com", "moderation"):
        assert secret not in logs
