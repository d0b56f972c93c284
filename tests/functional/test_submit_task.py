"""Submitting over HTTP: what is accepted, what the provider is told, what each of its answers becomes."""

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import product
from threading import Thread
from typing import Any
from unittest.mock import ANY
from uuid import uuid4

import pytest
from pydantic import SecretStr

from fluxgate.api.prefer import preferred_wait
from fluxgate.catalogue import MODELS, RATIOS
from fluxgate.clock import Clock
from fluxgate.http.trusted import ProviderSession
from fluxgate.providers.acedata import AceData
from fluxgate.providers.port import Accepted
from fluxgate.submission.waiting import Wait
from fluxgate.tasks.model import Image, Status, Task, token_hash
from fluxgate.wire.requests import GenerateRequest
from local.providers.acedata import Behaviour, ErrorShape, Refusal, ResponseKind, Simulator
from tests.harness import Event, Functions, Queue, event, with_body

GENERATE = event("submit_task.good_generate")
BODY = json.loads(GENERATE["body"])


def test_a_generation_is_accepted_and_submitted_with_exactly_the_vendors_fields(functions: Functions) -> None:
    answer = functions.http("submit_task", GENERATE)
    assert answer.status == 202
    assert answer.body == {
        "task_id": ANY,
        "status": "processing",
        "action": "generate",
        "model": "flux-dev",
        "prompt": BODY["prompt"],
        "size": "512x512",
        "count": 1,
        "images": [],
        "error": None,
        "metadata": {"campaign": "winter"},
        "webhook": None,
        "created_at": ANY,
        "updated_at": ANY,
        "expires_at": ANY,
    }
    task_id = answer.body["task_id"]
    assert answer.headers["location"] == f"../tasks/{task_id}"
    assert answer.headers["content-type"] == "application/json"
    submission = functions.simulator.submissions[-1]
    assert submission.body == {
        "action": "generate",
        "prompt": BODY["prompt"],
        "model": "flux-dev",
        "size": "512x512",
        "count": 1,
        "callback_url": ANY,
    }
    assert submission.headers["authorization"] == "Bearer simulated"
    task = functions.stored(task_id)
    assert (task.status, task.provider_task_id, task.owner) == (Status.SUBMITTED, submission.task_id, "local")


def test_the_moments_in_the_answer_are_those_that_are_stored(functions: Functions) -> None:
    body = functions.http("submit_task", GENERATE).body
    task = functions.stored(body["task_id"])
    for name in ("created_at", "updated_at", "expires_at"):
        assert datetime.fromisoformat(body[name]) == getattr(task, name)


def test_the_callback_url_holds_a_token_of_which_only_the_hash_is_stored(functions: Functions) -> None:
    task_id = functions.http("submit_task", GENERATE).body["task_id"]
    url = functions.simulator.submissions[-1].body["callback_url"]
    base = re.escape(functions.stack.deployment.functions["submit_task"].environment["CALLBACK_BASE_URL"])
    match = re.fullmatch(rf"{base}/callbacks/acedata/{task_id}/([\w-]{{43}})", url)
    assert match
    assert functions.stored(task_id).callback_tokens == {token_hash(match[1])}


def test_an_edit_is_submitted_with_exactly_the_vendors_fields(functions: Functions) -> None:
    answer = functions.http("submit_task", event("submit_task.good_edit"))
    assert (answer.status, answer.body["action"], answer.body["count"]) == (202, "edit", 1)
    assert functions.simulator.submissions[-1].body == {
        "action": "edit",
        "prompt": "Make it night",
        "model": "flux-kontext-pro",
        "size": "1:1",
        "image_url": "https://cdn.example.com/images/sample.png",
        "callback_url": ANY,
    }


@pytest.mark.parametrize("model", MODELS)
def test_the_provider_takes_every_model_with_its_default_size(functions: Functions, model: str) -> None:
    answer = functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "model": model, "count": 4}))
    assert answer.status == 202
    submission = functions.simulator.submissions[-1]
    assert submission.accepted
    assert (submission.body["model"], submission.body["size"]) == (model, MODELS[model].sizes.default)
    assert submission.body["count"] == 4


def test_a_submission_is_put_post_update_and_nothing_else(functions: Functions) -> None:
    functions.invoke("submit_task", GENERATE)
    assert functions.calls == ["secretsmanager:GetSecretValue", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    functions.calls.clear()
    posted = len(functions.simulator.submissions)
    functions.http("submit_task", GENERATE)
    assert len(functions.simulator.submissions) == posted + 1


def test_a_warm_submission_does_not_read_the_secret_again(functions: Functions) -> None:
    functions.invoke("submit_task", GENERATE)
    functions.calls.clear()
    functions.invoke_warm("submit_task", GENERATE)
    assert functions.calls == ["dynamodb:PutItem", "dynamodb:UpdateItem"]


def test_a_bad_request_names_every_field_and_reaches_neither_table_nor_provider(functions: Functions) -> None:
    posted = len(functions.simulator.submissions)
    answer = functions.http("submit_task", event("submit_task.bad_fields"))
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body == {
        "type": "about:blank",
        "title": ANY,
        "status": 422,
        "detail": ANY,
        "code": "invalid_request",
        "errors": ANY,
        "request_id": GENERATE["requestContext"]["requestId"],
    }
    assert answer.violations.keys() == {"prompt", "size", "count", "seed"}
    assert "992x992" in answer.violations["size"]
    assert answer.violations["seed"] == "Unknown field. Remove it."
    assert [call for call in functions.calls if call.startswith("dynamodb")] == []
    assert len(functions.simulator.submissions) == posted


MALFORMED = {
    "not JSON": (event("submit_task.bad_json"), 400, "malformed_body"),
    "too deep": (with_body(GENERATE, "[" * 60_000), 400, "malformed_body"),
    "not an object": (with_body(GENERATE, [1]), 422, "invalid_request"),
    "empty": (with_body(GENERATE, ""), 422, "invalid_request"),
    "too large": (with_body(GENERATE, {"prompt": "x" * 70_000}), 413, "body_too_large"),
    "not text": ({**GENERATE, "body": "/////w==", "isBase64Encoded": True}, 400, "malformed_body"),
    "a form": (with_body(GENERATE, "prompt=x", Content_Type="application/x-www-form-urlencoded"), 415,
               "unsupported_media_type"),
    "text": (with_body(GENERATE, {"prompt": "x"}, Content_Type="text/plain"), 415, "unsupported_media_type"),
    "broken form": (with_body(GENERATE, {"prompt": "x"}, Content_Type="multipart/form-data"), 415,
                    "unsupported_media_type"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_body_is_refused(functions: Functions, name: str) -> None:
    request, status, code = MALFORMED[name]
    posted = len(functions.simulator.submissions)
    answer = functions.http("submit_task", request)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(functions.simulator.submissions) == posted


def test_a_body_in_base64_is_read(functions: Functions) -> None:
    encoded = {**GENERATE, "body": "eyJwcm9tcHQiOiAiYSBmb3gifQ==", "isBase64Encoded": True}
    assert functions.http("submit_task", encoded).body["prompt"] == "a fox"


REFUSALS = [
    Refusal.of("used_up"),
    Refusal.of("forbidden"),
    Refusal.of("invalid_token"),
    Refusal.of("api_error"),
    Refusal.of("timeout"),
    Refusal.of("bad_request", shape=ErrorShape.FLAGGED),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
def test_a_refusal_of_the_provider_fails_the_task_in_its_own_words(functions: Functions, refusal: Refusal) -> None:
    functions.simulator.behave(Behaviour(refusal=refusal))
    posted = len(functions.simulator.submissions)
    answer = functions.http("submit_task", GENERATE)
    assert (answer.status, answer.body["status"]) == (202, "failed")
    assert answer.body["error"] == {"code": refusal.code, "message": refusal.message}
    assert len(functions.simulator.submissions) == posted + 1
    assert functions.stored(answer.body["task_id"]).status is Status.FAILED
    assert functions.metrics()["TaskFailed"] == 1


NOT_ACCEPTED = [Refusal.of("too_many_requests"), Refusal(429, None, "slow down", ErrorShape.STRING)]


@pytest.mark.parametrize("refusal", NOT_ACCEPTED)
def test_what_the_provider_did_not_take_is_queued(functions: Functions, refusal: Refusal, submissions: Queue) -> None:
    functions.simulator.behave(Behaviour(refusal=refusal))
    answer = functions.http("submit_task", GENERATE)
    assert (answer.status, answer.body["status"], answer.body["error"]) == (202, "queued", None)
    task = functions.stored(answer.body["task_id"])
    assert (task.status, task.attempts) == (Status.QUEUED, 1)
    assert task.refusal
    assert task.refusal.code == "too_many_requests"
    assert submissions() == [{"type": "submit", "task_id": task.task_id, "attempt": 2}]
    assert functions.calls[1:] == ["dynamodb:PutItem", "dynamodb:UpdateItem", "sqs:SendMessage"]


def test_no_connection_queues_the_task(functions: Functions, submissions: Queue) -> None:
    answer = functions.http("submit_task", GENERATE, FLUX_API_URL="http://127.0.0.1:1")
    assert (answer.status, answer.body["status"]) == (202, "queued")
    assert [message["task_id"] for message in submissions()] == [answer.body["task_id"]]


def test_a_queue_that_fails_leaves_the_task_queued_and_due(functions: Functions) -> None:
    functions.simulator.behave(Behaviour(refusal=Refusal.of("too_many_requests")))
    functions.before_call = lambda model, **_: _throttled() if model.name == "SendMessage" else None
    answer = functions.http("submit_task", GENERATE)
    assert answer.status == 202
    assert functions.stored(answer.body["task_id"]).status is Status.QUEUED


def keyed(body: object, key: str = "order-1", owner: str = "local") -> Event:
    request = with_body(GENERATE, body, Idempotency_Key=key)
    request["requestContext"]["identity"]["apiKeyId"] = owner
    return request


def test_the_same_key_and_request_is_the_same_task_and_buys_once(functions: Functions) -> None:
    body, key = {"prompt": "a fox", "size": "512x512"}, str(uuid4())
    posted = len(functions.simulator.submissions)
    first = functions.http("submit_task", keyed(body, key))
    assert "idempotent-replayed" not in first.headers
    same = {"size": "512x512", "prompt": " a fox ", "model": "flux-dev", "count": 1, "metadata": None}
    for again in (body, same):
        answer = functions.http("submit_task", keyed(again, key))
        assert (answer.status, answer.headers["idempotent-replayed"]) == (202, "true")
        assert answer.body["task_id"] == first.body["task_id"]
    assert len(functions.simulator.submissions) == posted + 1


def test_a_replay_shows_what_has_become_of_the_task(functions: Functions) -> None:
    key = str(uuid4())
    functions.simulator.behave(Behaviour(refusal=Refusal.of("used_up")))
    functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    answer = functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    assert (answer.status, answer.body["status"], answer.body["error"]["code"]) == (202, "failed", "used_up")


def test_the_same_key_and_another_request_is_refused(functions: Functions) -> None:
    key = str(uuid4())
    functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    posted = len(functions.simulator.submissions)
    for other in ({"prompt": "a hare"}, {"prompt": "a fox", "count": 2}, {"prompt": "a fox", "metadata": {"k": "v"}}):
        answer = functions.http("submit_task", keyed(other, key))
        assert (answer.status, answer.body["code"]) == (422, "idempotency_mismatch")
    assert len(functions.simulator.submissions) == posted


def test_a_key_is_its_owners(functions: Functions) -> None:
    key = str(uuid4())
    ids = {
        functions.http("submit_task", keyed({"prompt": "a fox"}, key, owner)).body["task_id"] for owner in ("a", "b")
    }
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\u00e9"])
def test_a_key_that_is_none_is_named(functions: Functions, key: str) -> None:
    answer = functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    assert (answer.status, set(answer.violations)) == (422, {"idempotency-key"})


UNKNOWN = {
    "gateway error": Behaviour(response=ResponseKind.HTML, response_status=502),
    "garbled": Behaviour(response=ResponseKind.GARBLED, response_status=200),
    "dropped": Behaviour(response=ResponseKind.DROPPED),
    "reset": Behaviour(response=ResponseKind.RESET),
    "dropped and lost": Behaviour(accepted=False),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_outcome_stays_open_and_is_never_repeated(functions: Functions, name: str) -> None:
    functions.simulator.behave(UNKNOWN[name].but(callbacks=0))
    posted = len(functions.simulator.submissions)
    answer = functions.http("submit_task", GENERATE)
    assert (answer.status, answer.body["status"], answer.body["error"]) == (202, "processing", None)
    assert functions.stored(answer.body["task_id"]).status is Status.SUBMITTING
    assert len(functions.simulator.submissions) == posted + 1


def test_a_provider_that_hangs_is_left_in_time(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.http.trusted.PROVIDER_STALL_SECONDS", 0.5)
    functions.simulator.behave(Behaviour(response=ResponseKind.HANGING, callbacks=0))
    answer = functions.http("submit_task", GENERATE)
    assert (answer.status, answer.body["status"]) == (202, "processing")
    assert functions.metrics()["SubmissionUnknown"] == 1


def test_a_callback_before_the_answer_is_kept(functions: Functions) -> None:
    """What the callback has stored just before the submitter's own write stays, and the answer is 202 all the same."""
    images = (Image(source_url="https://cdn/1.png"),)

    def callback_first(model: Any, **_: Any) -> None:
        if model.name == "UpdateItem":
            *_, task_id, token = functions.simulator.submissions[-1].body["callback_url"].split("/")
            functions.tasks.transition_by_token(task_id, Status.GENERATED, token=token, images=images)

    functions.before_call = callback_first
    answer = functions.http("submit_task", GENERATE)
    assert (answer.status, answer.body["status"]) == (202, "processing")
    task = functions.stored(answer.body["task_id"])
    assert (task.status, task.images) == (Status.GENERATED, images)


def test_an_answer_that_is_the_result_already_is_stored(functions: Functions) -> None:
    """As from a provider that passes over the callback URL and answers when it has finished."""
    with saying(b'{"success": true, "task_id": "p1", "data": [{"image_url": "https://cdn/1.png"}]}') as url:
        answer = functions.http("submit_task", GENERATE, FLUX_API_URL=url)
    assert (answer.status, answer.body["status"]) == (202, "processing")
    task = functions.stored(answer.body["task_id"])
    assert (task.status, task.provider_task_id) == (Status.GENERATED, "p1")
    assert task.images == (Image(source_url="https://cdn/1.png"),)


@contextmanager
def saying(body: bytes) -> Iterator[str]:
    """A provider that answers one request with this."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        thread.join()


def test_a_task_that_is_stored_answers_202_even_if_the_table_fails_afterwards(functions: Functions) -> None:
    def fail(model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        return _throttled() if model.name == "UpdateItem" else None

    functions.before_call = fail
    answer = functions.http("submit_task", GENERATE)
    assert (answer.status, answer.body["status"]) == (202, "processing")
    assert functions.stored(answer.body["task_id"]).status is Status.SUBMITTING


def test_a_table_that_fails_at_first_buys_nothing(functions: Functions) -> None:
    functions.before_call = lambda model, **_: _throttled() if model.name == "PutItem" else None
    posted = len(functions.simulator.submissions)
    answer = functions.http("submit_task", GENERATE)
    assert (answer.status, answer.body["code"]) == (503, "storage_unavailable")
    assert '"reason":"ThrottlingException"' in functions.logs()
    assert len(functions.simulator.submissions) == posted


def test_without_the_providers_token_nothing_is_stored(functions: Functions) -> None:
    missing = "arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-aaaaaa"
    answer = functions.http("submit_task", GENERATE, FLUX_API_TOKEN_SECRET_ARN=missing)
    assert (answer.status, answer.body["code"]) == (503, "credentials_unavailable")
    assert [call for call in functions.calls if call.startswith("dynamodb")] == []


def _throttled() -> tuple[Any, dict[str, Any]]:
    error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}, "ResponseMetadata": {}}
    return type("Response", (), {"status_code": 400, "headers": {}, "content": b""})(), error


def test_the_owner_is_the_keys_id_or_the_name_given_to_it(functions: Functions) -> None:
    task_id = functions.http("submit_task", GENERATE).body["task_id"]
    assert functions.stored(task_id).owner == "local"
    task_id = functions.http("submit_task", GENERATE, OWNER_ALIASES="local=web,other=cli").body["task_id"]
    assert functions.stored(task_id).owner == "web"


def test_without_a_key_an_owner_is_assumed_only_where_a_setting_says_so(functions: Functions) -> None:
    keyless = event("submit_task.good_generate")
    keyless["requestContext"]["identity"]["apiKeyId"] = None
    answer = functions.http("submit_task", keyless)
    assert (answer.status, answer.body["code"]) == (403, "no_api_key")
    task_id = functions.http("submit_task", keyless, LOCAL_OWNER="laptop").body["task_id"]
    assert functions.stored(task_id).owner == "laptop"


def test_logs_hold_ids_and_never_prompts_or_tokens(functions: Functions) -> None:
    secret = "a prompt that nobody may read"
    answer = functions.http("submit_task", with_body(GENERATE, {"prompt": secret, "metadata": {"k": secret}}))
    functions.simulator.behave(Behaviour(refusal=Refusal(400, "bad_request", secret)))
    functions.http("submit_task", with_body(GENERATE, {"prompt": secret}))
    functions.http("submit_task", with_body(GENERATE, {"prompt": secret, "size": secret, "model": secret}))
    functions.http("submit_task", with_body(GENERATE, {secret: secret}))
    functions.http("submit_task", with_body(GENERATE, '{"prompt": "' + secret))
    callback_url = functions.simulator.submissions[-1].body["callback_url"]
    logs = functions.logs()
    assert answer.body["task_id"] in logs
    assert secret not in logs
    assert callback_url.rpartition("/")[2] not in logs
    assert "Bearer" not in logs
    assert "simulated" not in logs


@pytest.mark.parametrize("model", list(MODELS)[:6])
def test_every_size_of_the_users_models_reaches_the_provider_with_exactly_the_vendors_fields(model: str) -> None:
    sides = range(256, 1441, 32)
    sizes = RATIOS.values if MODELS[model].sizes is RATIOS else [f"{w}x{h}" for w, h in product(sides, sides)]
    now = datetime.now(UTC)
    with Simulator(behaviour=Behaviour(callbacks=0, latency=math.inf)) as simulator:
        provider = AceData(ProviderSession(), simulator.url, SecretStr("token"), Clock())
        for size in sizes:
            request = GenerateRequest.model_validate({"prompt": "a fox", "model": model, "size": size})
            task = Task(
                task_id=size, owner="o", status=Status.SUBMITTING, action=request.action, model=request.model,
                prompt=request.prompt, size=request.size, count=request.count, provider=provider.name, created_at=now,
                updated_at=now, expires_at=now,
            )  # fmt: skip
            assert isinstance(provider.submit(task, "https://callbacks.fluxgate.dev/1"), Accepted)
        fields = {"action": "generate", "prompt": "a fox", "model": model, "count": 1}
        url = {"callback_url": "https://callbacks.fluxgate.dev/1"}
        assert [it.body for it in simulator.submissions] == [{**fields, "size": size, **url} for size in sizes]


# ---------------------------------------------------------------- Prefer: wait


WAITED = event("submit_task.good_waited")


def waiting(prefer: str, **body: Any) -> Event:
    return with_body(GENERATE, {"prompt": "a fox", **body}, Prefer=prefer)


def settle(functions: Functions, status: Status, **facts: Any) -> Callable[..., None]:
    """Before the first look, the task comes to its outcome."""
    settled: list[Task] = []

    def happen(model: Any, params: Any, **_: Any) -> None:
        if model.name == "GetItem" and not settled:
            task_id = json.loads(params["body"])["Key"]["task_id"]["S"]
            settled.append(functions.tasks.transition(task_id, Status.GENERATED))
            if status is Status.SUCCEEDED:
                settled.append(functions.tasks.transition(task_id, status, **facts))

    return happen


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.submission.waiting.POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("impatient")
def test_a_client_that_waits_gets_the_images(functions: Functions) -> None:
    image = Image(source_url="https://cdn/1.png", key="local/x/0.png", content_type="image/png", bytes=1, seed=7)
    functions.before_call = settle(functions, Status.SUCCEEDED, images=(image,))
    answer = functions.http("submit_task", waiting("wait=10"))
    assert answer.status == 200
    assert answer.headers["preference-applied"] == "wait=10"
    assert answer.headers["location"] == f"../tasks/{answer.body['task_id']}"
    assert answer.body["status"] == "succeeded"
    (shown,) = answer.body["images"]
    assert "X-Amz-Signature" in shown["url"]
    assert answer.body["data"] == [{"url": shown["url"]}]
    created = datetime.fromisoformat(answer.body["created_at"])
    assert answer.body["created"] == int(created.timestamp())
    assert "secretsmanager:GetSecretValue" in functions.calls
    assert functions.calls.count("dynamodb:GetItem") == 1


@pytest.mark.usefixtures("impatient")
def test_a_wait_that_is_over_answers_with_the_task(functions: Functions) -> None:
    answer = functions.http("submit_task", waiting("respond-async, wait=1"))
    assert (answer.status, answer.body["status"]) == (202, "processing")
    assert answer.headers["preference-applied"] == "wait=1"
    assert "data" not in answer.body


def test_a_refusal_is_an_outcome(functions: Functions) -> None:
    functions.simulator.behave(Behaviour(refusal=Refusal.of("forbidden")))
    answer = functions.http("submit_task", waiting("wait=10"))
    assert (answer.status, answer.body["status"], answer.body["data"]) == (200, "failed", [])
    assert answer.body["error"]["code"] == "forbidden"
    assert "dynamodb:GetItem" not in functions.calls


def test_a_replay_of_a_settled_request_answers_at_once(functions: Functions) -> None:
    functions.seed()
    answer = functions.http("submit_task", WAITED)
    assert (answer.status, answer.headers["idempotent-replayed"]) == (200, "true")
    assert answer.body["status"] == "succeeded"
    assert answer.body["images"][0]["archived"] is True


@pytest.mark.usefixtures("impatient")
def test_a_table_that_fails_while_waiting_is_no_error(functions: Functions) -> None:
    response = type("Response", (), {"status_code": 500, "headers": {}, "content": b""})()
    error = {"Error": {"Code": "InternalServerError", "Message": "no"}, "ResponseMetadata": {}}
    functions.before_call = lambda model, **_: (response, error) if model.name == "GetItem" else None
    answer = functions.http("submit_task", waiting("wait=1"))
    assert (answer.status, answer.body["status"]) == (202, "processing")


PREFERENCES = {
    "wait=5": 5, "respond-async, wait=5": 5, "wait=5, respond-async": 5, "WAIT = 5": 5, 'wait="5"': 5, "wait=5; x=y": 5,
    "wait=99": 25, "wait=0": 0,
    "": None, "wait": None, "wait=": None, "wait=soon": None, "wait=-1": None, "await=5": None, "respond-async": None,
    "wait=1.5": None,
}  # fmt: skip


@pytest.mark.parametrize("header", PREFERENCES)
def test_a_preference_is_read_as_the_standard_says(header: str) -> None:
    assert Wait.begin(preferred_wait(header), Clock()).seconds == PREFERENCES[header]


def test_n_is_another_word_for_count(functions: Functions) -> None:
    assert functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "n": 3})).body["count"] == 3
    assert functions.simulator.submissions[-1].body["count"] == 3
    wrong = functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "n": 9}))
    assert wrong.violations.keys() == {"n"}
    both = functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "n": 2, "count": 3}))
    assert both.violations.keys() == {"n"}
