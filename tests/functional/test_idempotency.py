"""Idempotency keys over HTTP: repeats, conflicts, owners and invalid keys."""

from uuid import uuid4

import pytest

from local.providers.acedata import Behaviour, Refusal
from tests.functional.submissions import GENERATE, Received
from tests.harness import Event, Functions, with_body


def keyed(body: object, key: str, owner: str = "local") -> Event:
    """The request with an idempotency key."""
    request = with_body(GENERATE, body, Idempotency_Key=key)
    request["requestContext"]["identity"]["apiKeyId"] = owner
    return request


def test_a_repeated_request_returns_the_same_task_and_is_submitted_once(
    functions: Functions, received: Received
) -> None:
    body, key = {"prompt": "a fox", "size": "512x512"}, str(uuid4())
    first = functions.http("submit_task", keyed(body, key))
    assert "idempotent-replayed" not in first.headers
    equivalent = {"size": "512x512", "prompt": " a fox ", "model": "flux-dev", "count": 1, "metadata": None}
    for repeated in (body, equivalent):
        response = functions.http("submit_task", keyed(repeated, key))
        assert (response.status, response.headers["idempotent-replayed"]) == (202, "true")
        assert response.body["task_id"] == first.body["task_id"]
    assert len(received()) == 1


def test_a_repeated_request_returns_the_current_status(functions: Functions) -> None:
    key = str(uuid4())
    functions.simulator.behave(Behaviour(refusal=Refusal.of("used_up")))
    functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    response = functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    assert (response.status, response.body["status"], response.body["error"]["code"]) == (202, "failed", "used_up")


def test_another_request_with_a_used_key_is_rejected(functions: Functions, received: Received) -> None:
    key = str(uuid4())
    functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    for other in ({"prompt": "a hare"}, {"prompt": "a fox", "count": 2}, {"prompt": "a fox", "metadata": {"k": "v"}}):
        response = functions.http("submit_task", keyed(other, key))
        assert (response.status, response.body["code"]) == (422, "idempotency_mismatch")
    assert len(received()) == 1


def test_two_owners_may_use_the_same_key(functions: Functions) -> None:
    key = str(uuid4())
    ids = {
        functions.http("submit_task", keyed({"prompt": "a fox"}, key, owner)).body["task_id"] for owner in ("a", "b")
    }
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\u00e9"])
def test_an_invalid_key_is_rejected(functions: Functions, key: str) -> None:
    response = functions.http("submit_task", keyed({"prompt": "a fox"}, key))
    assert (response.status, set(response.violations)) == (422, {"idempotency-key"})
