"""What each result of a submission makes of the task: refused, deferred, unknown, or finished already."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from fluxgate.tasks.model import Image, Status
from local.providers.acedata import Behaviour, ErrorShape, Refusal, ResponseKind
from tests.functional.aws_calls import fail, run_before
from tests.functional.queues import wait_for_messages
from tests.functional.submissions import GENERATE, Received, callback_of
from tests.harness import Functions, Queue

REFUSALS = [
    Refusal.of("used_up"),
    Refusal.of("forbidden"),
    Refusal.of("invalid_token"),
    Refusal.of("api_error"),
    Refusal.of("timeout"),
    Refusal.of("bad_request", shape=ErrorShape.FLAGGED),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.code)
def test_a_refused_submission_fails_with_the_providers_code_and_message(
    functions: Functions, received: Received, refusal: Refusal
) -> None:
    functions.simulator.behave(Behaviour(refusal=refusal))
    response = functions.http("submit_task", GENERATE)
    assert (response.status, response.body["status"]) == (202, "failed")
    assert response.body["error"] == {"code": refusal.code, "message": refusal.message}
    assert len(received()) == 1
    assert functions.stored(response.body["task_id"]).status is Status.FAILED
    assert functions.metrics()["TaskFailed"] == 1


THROTTLED = [Refusal.of("too_many_requests"), Refusal(429, None, "slow down", ErrorShape.STRING)]


@pytest.mark.parametrize("refusal", THROTTLED)
def test_a_throttled_submission_is_deferred(functions: Functions, refusal: Refusal, submissions: Queue) -> None:
    functions.simulator.behave(Behaviour(refusal=refusal))
    response = functions.http("submit_task", GENERATE)
    assert (response.status, response.body["status"], response.body["error"]) == (202, "queued", None)
    task = functions.stored(response.body["task_id"])
    assert (task.status, task.attempts) == (Status.QUEUED, 1)
    assert task.refusal
    assert task.refusal.code == "too_many_requests"
    message = {"type": "submit", "task_id": task.task_id, "attempt": 2}
    assert wait_for_messages(submissions, task.task_id) == [message]
    assert functions.calls[1:] == ["dynamodb:PutItem", "dynamodb:UpdateItem", "sqs:SendMessage"]


def test_a_submission_without_a_connection_is_deferred(functions: Functions, submissions: Queue) -> None:
    response = functions.http("submit_task", GENERATE, FLUX_API_URL="http://127.0.0.1:1")
    assert (response.status, response.body["status"]) == (202, "queued")
    assert len(wait_for_messages(submissions, response.body["task_id"])) == 1


def test_a_deferred_task_stays_queued_if_its_message_cannot_be_sent(functions: Functions) -> None:
    functions.simulator.behave(Behaviour(refusal=Refusal.of("too_many_requests")))
    functions.before_call = fail("SendMessage")
    response = functions.http("submit_task", GENERATE)
    assert response.status == 202
    assert functions.stored(response.body["task_id"]).status is Status.QUEUED


UNKNOWN_RESULTS = {
    "gateway error": Behaviour(response=ResponseKind.HTML, response_status=502),
    "garbled": Behaviour(response=ResponseKind.GARBLED, response_status=200),
    "dropped": Behaviour(response=ResponseKind.DROPPED),
    "reset": Behaviour(response=ResponseKind.RESET),
    "dropped and not accepted": Behaviour(accepted=False),
}


@pytest.mark.parametrize("name", UNKNOWN_RESULTS)
def test_a_submission_with_an_unknown_result_is_not_repeated(
    functions: Functions, received: Received, name: str
) -> None:
    functions.simulator.behave(UNKNOWN_RESULTS[name].but(callbacks=0))
    response = functions.http("submit_task", GENERATE)
    assert (response.status, response.body["status"], response.body["error"]) == (202, "processing", None)
    assert functions.stored(response.body["task_id"]).status is Status.SUBMITTING
    assert len(received()) == 1


def test_a_provider_that_does_not_respond_gives_an_unknown_result(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxgate.http.trusted.PROVIDER_STALL_SECONDS", 0.5)
    functions.simulator.behave(Behaviour(response=ResponseKind.HANGING, callbacks=0))
    response = functions.http("submit_task", GENERATE)
    assert (response.status, response.body["status"]) == (202, "processing")
    assert functions.metrics()["SubmissionUnknown"] == 1


def test_a_result_stored_by_an_early_callback_is_kept(functions: Functions, received: Received) -> None:
    """The callback arrives before the submitter stores the provider's response."""
    images = (Image(source_url="https://cdn/1.png"),)

    def receive_callback() -> None:
        task_id, token = callback_of(received()[-1])
        functions.tasks.transition_by_token(task_id, Status.GENERATED, token=token, images=images)

    functions.before_call = run_before("UpdateItem", receive_callback)
    response = functions.http("submit_task", GENERATE)
    assert (response.status, response.body["status"]) == (202, "processing")
    task = functions.stored(response.body["task_id"])
    assert (task.status, task.images) == (Status.GENERATED, images)


def test_a_response_that_contains_images_is_stored_as_the_result(functions: Functions) -> None:
    """From a provider that ignores the callback URL and responds when it has finished."""
    with provider_responding(
        b'{"success": true, "task_id": "p1", "data": [{"image_url": "https://cdn/1.png"}]}'
    ) as url:
        response = functions.http("submit_task", GENERATE, FLUX_API_URL=url)
    assert (response.status, response.body["status"]) == (202, "processing")
    task = functions.stored(response.body["task_id"])
    assert (task.status, task.provider_task_id) == (Status.GENERATED, "p1")
    assert task.images == (Image(source_url="https://cdn/1.png"),)


@contextmanager
def provider_responding(body: bytes) -> Iterator[str]:
    """The URL of a provider that serves one request."""

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


def test_a_submission_whose_result_cannot_be_stored_is_still_accepted(functions: Functions) -> None:
    functions.before_call = fail("UpdateItem")
    response = functions.http("submit_task", GENERATE)
    assert (response.status, response.body["status"]) == (202, "processing")
    assert functions.stored(response.body["task_id"]).status is Status.SUBMITTING
