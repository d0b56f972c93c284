"""Tasks survive lost, repeated and invalid messages between client, provider and receiver. Each is submitted once."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from fluxgate.tasks.model import task_id_for
from local.providers.acedata import Behaviour, Refusal, ResponseKind, Simulator, Submission
from local.stack import Stack
from tests.e2e.client import Client, fetch
from tests.e2e.conftest import TIME_SCALE
from tests.e2e.receiver import Bus, Message, Receiver
from tests.waiting import wait_for

LOST_CALLBACK = Behaviour(latency=0.1, callbacks=0)
LOST_RESPONSE_AND_CALLBACK = LOST_CALLBACK.but(response=ResponseKind.DROPPED)


@pytest.fixture
def prompt() -> str:
    """Unique, so that tests find their own submissions."""
    return f"A fox, {uuid4()}"


def behave(stack: Stack, prompt: str, behaviour: Behaviour, times: int | None = 1) -> None:
    assert stack.simulator
    stack.simulator.behave(behaviour, times=times, when=lambda body: body["prompt"] == prompt)


def submissions(stack: Stack, prompt: str) -> list[Submission]:
    assert stack.simulator
    return [submission for submission in stack.simulator.submissions if submission.body["prompt"] == prompt]


def wait_for_task(client: Client, task_id: str) -> None:
    wait_for(lambda: client.get(f"/v1/tasks/{task_id}").ok)


def assert_succeeds(client: Client, task_id: str) -> dict[str, Any]:
    """The task, whose first image can be downloaded."""
    task = client.outcome(task_id)
    assert task["status"] == "succeeded", task
    assert fetch(task["images"][0]["url"]).status_code == HTTPStatus.OK
    return task


# ---------------------------------------------------------------- requests


def test_throttled_request_is_queued_and_submitted_later(stack: Stack, client: Client, prompt: str) -> None:
    behave(stack, prompt, Behaviour(refusal=Refusal.of("too_many_requests")), times=2)
    response = client.generate(prompt=prompt)
    assert (response.status_code, response.json()["status"]) == (HTTPStatus.ACCEPTED, "queued")
    assert_succeeds(client, response.json()["task_id"])
    assert [submission.accepted for submission in submissions(stack, prompt)] == [False, False, True]
    urls = {submission.body["callback_url"] for submission in submissions(stack, prompt)}
    assert len(urls) == 3  # each attempt has its own token


def test_concurrent_requests_with_one_idempotency_key_create_one_task(
    stack: Stack, client: Client, prompt: str
) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    request = {"json": {"prompt": prompt}, "headers": headers}
    with ThreadPoolExecutor(4) as threads:
        responses = list(threads.map(lambda _: client.request("POST", "/v1/images/generations", **request), range(4)))
    assert {response.status_code for response in responses} == {HTTPStatus.ACCEPTED}
    (task_id,) = {response.json()["task_id"] for response in responses}
    replayed = sorted(str(response.headers.get("Idempotent-Replayed")) for response in responses)
    assert replayed == ["None", "true", "true", "true"]
    assert_succeeds(client, task_id)

    repeated = client.request("POST", "/v1/images/generations", **request)
    assert (repeated.json()["task_id"], repeated.json()["status"]) == (task_id, "succeeded")
    other = client.request("POST", "/v1/images/generations", json={"prompt": prompt, "count": 2}, headers=headers)
    assert other.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert other.headers["Content-Type"] == "application/problem+json"
    assert len(submissions(stack, prompt)) == 1


# ---------------------------------------------------------------- orders by queue and event


def send(stack: Stack, body: object) -> None:
    queue = stack.deployment.resources["SubmissionQueue"]
    text = body if isinstance(body, str) else json.dumps(body)
    stack.client("sqs").send_message(QueueUrl=queue, MessageBody=text)


def test_repeated_order_on_the_queue_creates_one_task(stack: Stack, client: Client, prompt: str) -> None:
    key = str(uuid4())
    body = {"action": "generate", "prompt": prompt, "owner": "local", "idempotency_key": key}
    for _ in range(3):
        send(stack, body)
    task_id = task_id_for("local", key)
    wait_for_task(client, task_id)
    assert_succeeds(client, task_id)
    wait_for(lambda: is_empty(stack, "SubmissionQueue"))
    assert len(submissions(stack, prompt)) == 1


def is_empty(stack: Stack, queue: str) -> bool:
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = stack.deployment.resources[queue]
    attributes = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
    return all(attributes[name] == "0" for name in counts)


def test_event_on_the_bus_creates_a_task(stack: Stack, client: Client, bus: Bus, prompt: str) -> None:
    detail = {"action": "generate", "prompt": prompt, "owner": "local", "metadata": {"order": "1"}}
    entry = {"Source": "shop", "DetailType": "Image Requested", "Detail": json.dumps(detail), "EventBusName": bus.name}
    (put,) = stack.client("events").put_events(Entries=[entry])["Entries"]
    task_id = task_id_for("local", f"event-{put['EventId']}")
    wait_for_task(client, task_id)
    task = assert_succeeds(client, task_id)
    assert task["metadata"] == {"order": "1"}


def test_redelivered_event_creates_one_task(stack: Stack, client: Client, prompt: str) -> None:
    event_id = str(uuid4())
    detail = {"action": "generate", "prompt": prompt, "owner": "local"}
    for _ in range(3):
        send(stack, {"id": event_id, "detail-type": "Image Requested", "source": "shop", "detail": detail})
    task_id = task_id_for("local", f"event-{event_id}")
    wait_for_task(client, task_id)
    assert_succeeds(client, task_id)
    wait_for(lambda: is_empty(stack, "SubmissionQueue"))
    assert len(submissions(stack, prompt)) == 1
    assert client.get("/v1/tasks").text.count(prompt) == 1


def test_invalid_orders_are_rejected_without_blocking_others(
    stack: Stack, client: Client, bus: Bus, prompt: str
) -> None:
    before = len(bus.events("Image Request Rejected"))
    send(stack, {"action": "generate", "prompt": "", "owner": "local", "colour": "red"})
    send(stack, "not json")
    key = str(uuid4())
    send(stack, {"action": "generate", "prompt": prompt, "owner": "local", "idempotency_key": key})
    wait_for_task(client, task_id_for("local", key))
    wait_for(lambda: len(bus.events("Image Request Rejected")) == before + 2)
    fields = [
        {error["field"] for error in rejected["errors"]} for rejected in bus.events("Image Request Rejected")[before:]
    ]
    assert sorted(fields, key=len) == [{""}, {"prompt", "colour"}]
    wait_for(lambda: is_empty(stack, "SubmissionQueue"))


# ---------------------------------------------------------------- lost messages


def test_task_succeeds_after_a_lost_callback(stack: Stack, client: Client, prompt: str) -> None:
    behave(stack, prompt, LOST_CALLBACK)
    assert_succeeds(client, client.generate(prompt=prompt).json()["task_id"])
    assert len(submissions(stack, prompt)) == 1


def test_task_fails_after_a_lost_callback_about_a_failure(stack: Stack, client: Client, prompt: str) -> None:
    behave(stack, prompt, LOST_CALLBACK.but(failure=Refusal.of("forbidden")))
    task = client.outcome(client.generate(prompt=prompt).json()["task_id"])
    assert (task["status"], task["error"]["code"]) == ("failed", "forbidden")


def test_task_succeeds_after_a_lost_response_and_a_lost_callback(stack: Stack, client: Client, prompt: str) -> None:
    behave(stack, prompt, LOST_RESPONSE_AND_CALLBACK)
    response = client.generate(prompt=prompt)
    assert (response.status_code, response.json()["status"]) == (HTTPStatus.ACCEPTED, "processing")
    assert_succeeds(client, response.json()["task_id"])
    assert len(submissions(stack, prompt)) == 1


@pytest.fixture(scope="module")
def unreachable_stack() -> Iterator[Stack]:
    """Callbacks do not arrive, as on a laptop with a real provider. Tasks expire after 3 s."""
    with Stack(
        simulator=Simulator(behaviour=Behaviour(latency=0.1)),
        callback_base_url="http://127.0.0.1:1",
        parameters={"ResultMaxAgeSeconds": "3"},
        time_scale=TIME_SCALE,
    ) as stack:
        yield stack


@pytest.mark.exhaustive
def test_tasks_succeed_by_polling_alone(unreachable_stack: Stack, prompt: str) -> None:
    with Client(unreachable_stack.url, "local-key") as client:
        tasks = [client.generate(prompt=prompt).json()["task_id"] for _ in range(3)]
        for task_id in tasks:
            assert_succeeds(client, task_id)
    assert unreachable_stack.simulator
    assert {callback.status for callback in unreachable_stack.simulator.callbacks} == {None}
    assert len(submissions(unreachable_stack, prompt)) == 3


@pytest.mark.exhaustive
def test_unknown_submission_expires_and_a_late_callback_still_succeeds(
    unreachable_stack: Stack, receiver: Receiver, prompt: str
) -> None:
    assert unreachable_stack.simulator
    bus, path = Bus(unreachable_stack), f"/late/{uuid4()}"
    behave(unreachable_stack, prompt, Behaviour(latency=0, response=ResponseKind.DROPPED, listed=False))
    with (
        Client(unreachable_stack.url, "local-key") as client,
        Client(unreachable_stack.callback_url, "none") as provider,
    ):
        task_id = client.generate(prompt=prompt, callback_url=receiver.url(path)).json()["task_id"]
        assert client.outcome(task_id)["status"] == "expired"
        wait_for(lambda: receiver.at(path))

        (submission,) = submissions(unreachable_stack, prompt)
        result = next(task.response for task in unreachable_stack.simulator.tasks if task.id == submission.task_id)
        url = submission.body["callback_url"].removeprefix("http://127.0.0.1:1")
        assert provider.request("POST", url, json=result).ok
        wait_for(lambda: client.get(f"/v1/tasks/{task_id}").json()["status"] == "succeeded")
        assert_succeeds(client, task_id)
        wait_for(lambda: len(receiver.at(path)) > 1)
        for message in receiver.at(path):
            verify_signature(client, message)
    assert [message.id for message in receiver.at(path)] == [f"{task_id}.expired", f"{task_id}.succeeded"]
    for status in ("expired", "succeeded"):
        events = bus.events(f"Task {status.capitalize()}")
        assert {event["id"] for event in events if event["task_id"] == task_id} == {f"{task_id}.{status}"}


# ---------------------------------------------------------------- webhooks


def verify_signature(client: Client, message: Message) -> None:
    """With the Standard Webhooks library and the owner's secret."""
    secret = client.get("/v1/webhook-secret").json()["secret"]
    Webhook(secret).verify(message.body, message.headers)


def test_receiver_gets_success_and_failure(stack: Stack, client: Client, receiver: Receiver, prompt: str) -> None:
    success_path, failure_path = f"/success/{uuid4()}", f"/failure/{uuid4()}"
    behave(stack, prompt, Behaviour(latency=0.1, failure=Refusal.of("forbidden")))
    failing = client.generate(prompt=prompt, callback_url=receiver.url(failure_path)).json()["task_id"]
    task_id = client.generate(callback_url=receiver.url(success_path)).json()["task_id"]
    for path, outcome in ((success_path, f"{task_id}.succeeded"), (failure_path, f"{failing}.failed")):
        wait_for(lambda path=path: receiver.at(path))  # type: ignore[misc]
        (message,) = receiver.at(path)
        verify_signature(client, message)
        assert message.id == outcome
        assert json.loads(message.body)["type"] == f"task.{outcome.rpartition('.')[2]}"
    (message,) = receiver.at(success_path)
    assert fetch(message.task["images"][0]["url"]).status_code == HTTPStatus.OK
    (message,) = receiver.at(failure_path)
    assert message.task["error"]["code"] == "forbidden"
    wait_for(lambda: client.get(f"/v1/tasks/{task_id}").json()["webhook"]["state"] == "delivered")


def test_failed_delivery_is_repeated_with_the_same_id(client: Client, receiver: Receiver) -> None:
    path = f"/failing/2/{uuid4()}"
    task_id = client.generate(callback_url=receiver.url(path)).json()["task_id"]
    wait_for(lambda: len(receiver.at(path)) == 3)
    assert [message.status for message in receiver.at(path)] == [500, 500, 204]
    for message in receiver.at(path):
        verify_signature(client, message)
        assert message.id == f"{task_id}.succeeded"
    wait_for(lambda: client.get(f"/v1/tasks/{task_id}").json()["webhook"]["state"] == "delivered")
    assert client.get(f"/v1/tasks/{task_id}").json()["webhook"]["attempts"] == 3

    resend = client.request("POST", f"/v1/tasks/{task_id}/webhook")
    assert resend.status_code == HTTPStatus.ACCEPTED
    wait_for(lambda: len(receiver.at(path)) == 4)
    assert receiver.at(path)[-1].id == f"{task_id}.succeeded"
