"""Provider callbacks: the response and the single conditional write for every kind of body, sender and status."""

import base64
import copy
import json

import pytest

from fluxgate.tasks.model import Status
from local.seeds import SUBMITTED, TOKEN
from tests.functional.aws_calls import fail
from tests.harness import Event, Functions, event, with_body

SUCCESS = event("receive_callback.good_success")
FAILURE = event("receive_callback.good_failure")
BODY = json.loads(SUCCESS["body"])


@pytest.fixture(autouse=True)
def _submitted_task(functions: Functions) -> None:
    functions.seed()


def with_path(event: Event, *, provider: str = "acedata", task_id: str = SUBMITTED, token: str = TOKEN) -> Event:
    changed = copy.deepcopy(event)
    path = f"/callbacks/{provider}/{task_id}/{token}"
    changed["rawPath"] = changed["requestContext"]["http"]["path"] = path
    changed["pathParameters"] = {"provider": provider, "task_id": task_id, "token": token}
    return changed


def test_successful_callback_stores_the_images_in_one_write_without_reads(functions: Functions) -> None:
    response = functions.http("receive_callback", SUCCESS)
    assert (response.status, response.body) == (200, {"received": True})
    assert functions.calls == ["dynamodb:UpdateItem"]
    task = functions.stored(SUBMITTED)
    assert task.status is Status.GENERATED
    assert [(image.source_url, image.seed) for image in task.images] == [
        ("https://cdn.example.com/images/sample.png", 1234567)
    ]
    assert task.generated_at == task.updated_at
    assert functions.metrics()["SubmitToCallback"] > 0


def test_failure_stores_the_providers_code_and_message(functions: Functions) -> None:
    assert functions.http("receive_callback", FAILURE).status == 200
    task = functions.stored(SUBMITTED)
    assert task.status is Status.FAILED
    assert task.error
    assert (task.error.code, task.error.message) == ("forbidden", "The content has been blocked by moderation.")
    assert functions.metrics()["TaskFailed"] == 1


@pytest.mark.parametrize("error", [None, {}, {"message": "fetch failed"}, "fetch failed"])
def test_failure_without_a_code_is_stored_as_provider_error(functions: Functions, error: object) -> None:
    body = {"success": False, "task_id": "p-1", "trace_id": "x", "error": error}
    assert functions.http("receive_callback", with_body(SUCCESS, body)).status == 200
    task = functions.stored(SUBMITTED)
    assert task.error
    assert (task.status, task.error.code) == (Status.FAILED, "provider_error")


@pytest.mark.parametrize("body", [{"success": True, "task_id": "p-1"}, {"success": True, "data": []}])
def test_success_without_images_changes_nothing(functions: Functions, body: object) -> None:
    response = functions.http("receive_callback", with_body(SUCCESS, body))
    assert (response.status, functions.calls) == (200, [])
    assert functions.stored(SUBMITTED).status is Status.SUBMITTED


FORGED = {
    "wrong token": event("receive_callback.bad_token"),
    "token's hash": with_path(SUCCESS, token="f" * 64),
    "unknown task": with_path(SUCCESS, task_id="00000000-0000-4000-8000-00000000ffff"),
    "unknown provider": with_path(SUCCESS, provider="other"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_callback_changes_nothing_and_gets_a_uniform_404(functions: Functions, name: str) -> None:
    before = functions.stored(SUBMITTED)
    response = functions.http("receive_callback", FORGED[name])
    assert (response.status, response.body["code"]) == (404, "callback_not_found")
    assert response.body["detail"] == "Unknown callback URL."
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
def test_malformed_callback_is_rejected_without_a_write(functions: Functions, name: str) -> None:
    request, status = MALFORMED[name]
    response = functions.http("receive_callback", request)
    assert (response.status, functions.calls) == (status, [])
    assert functions.stored(SUBMITTED).status is Status.SUBMITTED


def test_body_of_1_mb_is_accepted(functions: Functions) -> None:
    data = [{**BODY["data"][0], "prompt": "x" * 262_144, "image_url": f"https://cdn.example.com/{n}"} for n in range(4)]
    assert functions.http("receive_callback", with_body(SUCCESS, {**BODY, "data": data})).status == 200
    assert len(functions.stored(SUBMITTED).images) == 4


def test_base64_body_is_decoded(functions: Functions) -> None:
    encoded = {**SUCCESS, "body": base64.b64encode(SUCCESS["body"].encode()).decode(), "isBase64Encoded": True}
    assert functions.http("receive_callback", encoded).status == 200
    assert functions.stored(SUBMITTED).status is Status.GENERATED


def test_repeated_callback_changes_nothing(functions: Functions) -> None:
    functions.http("receive_callback", SUCCESS)
    generated = functions.stored(SUBMITTED)
    other = {**BODY, "data": [{"image_url": "https://cdn.example.com/other.png"}]}
    for repeat in (SUCCESS, with_body(SUCCESS, other), FAILURE):
        assert functions.http("receive_callback", repeat).status == 200
        assert functions.stored(SUBMITTED) == generated
    assert "TaskFailed" not in functions.metrics()


def test_callback_during_the_submission_stores_the_providers_task_id(functions: Functions) -> None:
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


def test_late_result_replaces_a_failure(functions: Functions) -> None:
    functions.http("receive_callback", FAILURE)
    assert functions.http("receive_callback", SUCCESS).status == 200
    task = functions.stored(SUBMITTED)
    assert (task.status, task.error) == (Status.GENERATED, None)


def test_failed_write_returns_503_so_that_the_provider_retries(functions: Functions) -> None:
    functions.before_call = fail("UpdateItem", "ThrottlingException")
    response = functions.http("receive_callback", SUCCESS)
    assert (response.status, response.body["code"]) == (503, "storage_unavailable")


def test_logs_contain_the_task_id_but_no_token_and_no_body(functions: Functions) -> None:
    for request in (SUCCESS, FAILURE, *FORGED.values(), event("receive_callback.bad_body")):
        functions.http("receive_callback", request)
    logs = functions.logs()
    assert SUBMITTED in logs
    for secret in (TOKEN, "a-forged-token", "red fox", "cdn.example.com", "moderation"):
        assert secret not in logs
