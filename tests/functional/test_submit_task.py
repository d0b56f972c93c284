"""Submitting over HTTP: the response, the stored task and the provider's request; owners and logs."""

import json
import math
import re
from datetime import datetime
from itertools import product
from unittest.mock import ANY

import pytest
from pydantic import SecretStr

from fluxgate.catalogue import MODELS, RATIOS
from fluxgate.clock import Clock
from fluxgate.http.trusted import ProviderSession
from fluxgate.providers.acedata import AceData
from fluxgate.providers.port import Accepted
from fluxgate.tasks.model import Status, token_hash
from fluxgate.wire.requests import GenerateRequest
from local.providers.acedata import Behaviour, Refusal, Simulator
from tests.builders import a_task
from tests.functional.aws_calls import fail
from tests.functional.submissions import GENERATE, Received
from tests.harness import Functions, event, with_body

BODY = json.loads(GENERATE["body"])


def test_a_generation_is_accepted_and_submitted_with_exactly_the_documented_fields(
    functions: Functions, received: Received
) -> None:
    response = functions.http("submit_task", GENERATE)
    assert response.status == 202
    assert response.body == {
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
    task_id = response.body["task_id"]
    assert response.headers["location"] == f"../tasks/{task_id}"
    assert response.headers["content-type"] == "application/json"
    submission = received()[-1]
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


def test_the_times_in_the_response_equal_the_stored_times(functions: Functions) -> None:
    body = functions.http("submit_task", GENERATE).body
    task = functions.stored(body["task_id"])
    for name in ("created_at", "updated_at", "expires_at"):
        assert datetime.fromisoformat(body[name]) == getattr(task, name)


def test_the_callback_url_contains_a_token_whose_hash_alone_is_stored(functions: Functions, received: Received) -> None:
    task_id = functions.http("submit_task", GENERATE).body["task_id"]
    url = received()[-1].body["callback_url"]
    base = re.escape(functions.stack.deployment.functions["submit_task"].environment["CALLBACK_BASE_URL"])
    match = re.fullmatch(rf"{base}/callbacks/acedata/{task_id}/([\w-]{{43}})", url)
    assert match
    assert functions.stored(task_id).callback_tokens == {token_hash(match[1])}


def test_an_edit_is_submitted_with_exactly_the_documented_fields(functions: Functions, received: Received) -> None:
    response = functions.http("submit_task", event("submit_task.good_edit"))
    assert (response.status, response.body["action"], response.body["count"]) == (202, "edit", 1)
    assert received()[-1].body == {
        "action": "edit",
        "prompt": "Make it night",
        "model": "flux-kontext-pro",
        "size": "1:1",
        "image_url": "https://cdn.example.com/images/sample.png",
        "callback_url": ANY,
    }


@pytest.mark.parametrize("model", MODELS)
def test_the_provider_accepts_every_model_with_its_default_size(
    functions: Functions, received: Received, model: str
) -> None:
    response = functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "model": model, "count": 4}))
    assert response.status == 202
    submission = received()[-1]
    assert submission.accepted
    assert (submission.body["model"], submission.body["size"]) == (model, MODELS[model].sizes.default)
    assert submission.body["count"] == 4


@pytest.mark.parametrize("step", [256, pytest.param(32, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("model", list(MODELS)[:6])
def test_every_size_of_a_flux_model_is_accepted_and_submitted_unchanged(model: str, step: int) -> None:
    sides = [*range(256, 1440, step), 1440]
    sizes = RATIOS.values if MODELS[model].sizes is RATIOS else [f"{w}x{h}" for w, h in product(sides, sides)]
    url = "https://callbacks.fluxgate.dev/1"
    with Simulator(behaviour=Behaviour(callbacks=0, latency=math.inf)) as simulator:
        provider = AceData(ProviderSession(), simulator.url, SecretStr("token"), Clock())
        for size in sizes:
            request = GenerateRequest.model_validate({"prompt": "a fox", "model": model, "size": size})
            task = a_task(action=request.action, model=request.model, prompt=request.prompt, size=request.size,
                          count=request.count)  # fmt: skip
            assert isinstance(provider.submit(task, url), Accepted)
        expected = {"action": "generate", "prompt": "a fox", "model": model, "count": 1, "callback_url": url}
        assert [submission.body for submission in simulator.submissions] == [
            {**expected, "size": size} for size in sizes
        ]


def test_a_cold_submission_reads_the_secret_writes_twice_and_submits_once(
    functions: Functions, received: Received
) -> None:
    functions.invoke("submit_task", GENERATE)
    assert functions.calls == ["secretsmanager:GetSecretValue", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    functions.calls.clear()
    before = len(received())
    functions.http("submit_task", GENERATE)
    assert len(received()) == before + 1


def test_a_warm_submission_does_not_read_the_secret_again(functions: Functions) -> None:
    functions.invoke("submit_task", GENERATE)
    functions.calls.clear()
    functions.invoke_warm("submit_task", GENERATE)
    assert functions.calls == ["dynamodb:PutItem", "dynamodb:UpdateItem"]


def test_a_task_that_cannot_be_stored_is_not_submitted(functions: Functions, received: Received) -> None:
    functions.before_call = fail("PutItem", "ThrottlingException")
    response = functions.http("submit_task", GENERATE)
    assert (response.status, response.body["code"]) == (503, "storage_unavailable")
    assert '"reason":"ThrottlingException"' in functions.logs()
    assert received() == []


def test_without_the_provider_token_no_task_is_stored(functions: Functions) -> None:
    missing = "arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-aaaaaa"
    response = functions.http("submit_task", GENERATE, FLUX_API_TOKEN_SECRET_ARN=missing)
    assert (response.status, response.body["code"]) == (503, "credentials_unavailable")
    assert [call for call in functions.calls if call.startswith("dynamodb")] == []


def test_the_owner_is_the_id_of_the_api_key_or_its_alias(functions: Functions) -> None:
    task_id = functions.http("submit_task", GENERATE).body["task_id"]
    assert functions.stored(task_id).owner == "local"
    task_id = functions.http("submit_task", GENERATE, OWNER_ALIASES="local=web,other=cli").body["task_id"]
    assert functions.stored(task_id).owner == "web"


def test_a_request_without_an_api_key_is_rejected_unless_a_local_owner_is_configured(functions: Functions) -> None:
    keyless = event("submit_task.good_generate")
    keyless["requestContext"]["identity"]["apiKeyId"] = None
    response = functions.http("submit_task", keyless)
    assert (response.status, response.body["code"]) == (403, "no_api_key")
    task_id = functions.http("submit_task", keyless, LOCAL_OWNER="laptop").body["task_id"]
    assert functions.stored(task_id).owner == "laptop"


def test_logs_contain_task_ids_but_no_prompts_or_tokens(functions: Functions, received: Received) -> None:
    secret = "a confidential prompt"
    response = functions.http("submit_task", with_body(GENERATE, {"prompt": secret, "metadata": {"k": secret}}))
    functions.simulator.behave(Behaviour(refusal=Refusal(400, "bad_request", secret)))
    functions.http("submit_task", with_body(GENERATE, {"prompt": secret}))
    functions.http("submit_task", with_body(GENERATE, {"prompt": secret, "size": secret, "model": secret}))
    functions.http("submit_task", with_body(GENERATE, {secret: secret}))
    functions.http("submit_task", with_body(GENERATE, '{"prompt": "' + secret))
    callback_url = received()[-1].body["callback_url"]
    logs = functions.logs()
    assert response.body["task_id"] in logs
    assert secret not in logs
    assert callback_url.rpartition("/")[2] not in logs
    assert "Bearer" not in logs
    assert "simulated" not in logs
