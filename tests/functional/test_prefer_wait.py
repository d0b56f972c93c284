"""Waiting for the outcome within the request: `Prefer: wait`."""

from datetime import datetime
from typing import Any

import pytest

from fluxgate.api.prefer import preferred_wait
from fluxgate.clock import Clock
from fluxgate.submission.waiting import Wait
from fluxgate.tasks.model import Image, Status
from local.providers.acedata import Behaviour, Refusal
from tests.functional.aws_calls import fail, run_before
from tests.functional.submissions import GENERATE, Received, callback_of
from tests.harness import Event, Functions, event, with_body


def preferring(prefer: str, **body: Any) -> Event:
    """A request with the header `Prefer`."""
    return with_body(GENERATE, {"prompt": "a fox", **body}, Prefer=prefer)


@pytest.fixture
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.submission.waiting.POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("short_intervals")
def test_a_task_that_succeeds_during_the_wait_is_returned_with_its_images(
    functions: Functions, received: Received
) -> None:
    image = Image(source_url="https://cdn/1.png", key="local/x/0.png", content_type="image/png", bytes=1, seed=7)

    def succeed() -> None:
        task_id, _ = callback_of(received()[-1])
        functions.tasks.transition(task_id, Status.GENERATED)
        functions.tasks.transition(task_id, Status.SUCCEEDED, images=(image,))

    functions.before_call = run_before("GetItem", succeed)
    response = functions.http("submit_task", preferring("wait=20"))
    assert response.status == 200
    assert response.headers["preference-applied"] == "wait=20"
    assert response.headers["location"] == f"../tasks/{response.body['task_id']}"
    assert response.body["status"] == "succeeded"
    (returned,) = response.body["images"]
    assert "X-Amz-Signature" in returned["url"]
    assert response.body["data"] == [{"url": returned["url"]}]
    created = datetime.fromisoformat(response.body["created_at"])
    assert response.body["created"] == int(created.timestamp())
    assert "secretsmanager:GetSecretValue" in functions.calls
    assert functions.calls.count("dynamodb:GetItem") == 1


@pytest.mark.usefixtures("short_intervals")
def test_a_task_without_an_outcome_is_returned_when_the_wait_ends(functions: Functions) -> None:
    response = functions.http("submit_task", preferring("respond-async, wait=1"))
    assert (response.status, response.body["status"]) == (202, "processing")
    assert response.headers["preference-applied"] == "wait=1"
    assert "data" not in response.body


def test_a_refused_submission_is_returned_without_waiting(functions: Functions) -> None:
    functions.simulator.behave(Behaviour(refusal=Refusal.of("forbidden")))
    response = functions.http("submit_task", preferring("wait=10"))
    assert (response.status, response.body["status"], response.body["data"]) == (200, "failed", [])
    assert response.body["error"]["code"] == "forbidden"
    assert "dynamodb:GetItem" not in functions.calls


def test_a_repeated_request_whose_task_has_an_outcome_returns_it(functions: Functions) -> None:
    functions.seed()
    response = functions.http("submit_task", event("submit_task.good_waited"))
    assert (response.status, response.headers["idempotent-replayed"]) == (200, "true")
    assert response.body["status"] == "succeeded"
    assert response.body["images"][0]["archived"] is True


@pytest.mark.usefixtures("short_intervals")
def test_a_failed_read_during_the_wait_is_not_an_error(functions: Functions) -> None:
    functions.before_call = fail("GetItem", "InternalServerError")
    response = functions.http("submit_task", preferring("wait=1"))
    assert (response.status, response.body["status"]) == (202, "processing")


PREFERENCES = {
    "wait=5": 5, "respond-async, wait=5": 5, "wait=5, respond-async": 5, "WAIT = 5": 5, 'wait="5"': 5, "wait=5; x=y": 5,
    "wait=99": 25, "wait=0": 0,
    "": None, "wait": None, "wait=": None, "wait=soon": None, "wait=-1": None, "await=5": None, "respond-async": None,
    "wait=1.5": None,
}  # fmt: skip


@pytest.mark.parametrize("header", PREFERENCES)
def test_the_header_is_parsed_according_to_rfc_7240(header: str) -> None:
    assert Wait.begin(preferred_wait(header), Clock()).seconds == PREFERENCES[header]
