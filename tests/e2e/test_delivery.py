"""Nothing is lost and nothing is bought twice: what goes wrong between client, provider and receiver is made good."""

import json
import time
from collections.abc import Callable, Iterator
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

LOST_CALLBACK = Behaviour(latency=0.1, callbacks=0)
LOST_ANSWER = LOST_CALLBACK.but(response=ResponseKind.DROPPED)


@pytest.fixture
def prompt() -> str:
    """Of this test alone."""
    return f"A fox, {uuid4()}"


def order(stack: Stack, prompt: str, behaviour: Behaviour, times: int | None = 1) -> None:
    assert stack.simulator
    stack.simulator.behave(behaviour, times=times, when=lambda body: body["prompt"] == prompt)


def submissions(stack: Stack, prompt: str) -> list[Submission]:
    assert stack.simulator
    return [submission for submission in stack.simulator.submissions if submission.body["prompt"] == prompt]


def wait_until(condition: Callable[[], object], name: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"In vain was waited until {name}."
        time.sleep(0.05)


def succeeds(client: Client, task_id: str) -> dict[str, Any]:
    task = client.settled(task_id)
    assert task["status"] == "succeeded", task
    assert fetch(task["images"][0]["url"]).status_code == HTTPStatus.OK
    return task


# ---------------------------------------------------------------- submitting


def test_a_request_that_the_provider_has_no_room_for_waits_in_the_queue(
    stack: Stack, client: Client, prompt: str
) -> None:
    order(stack, prompt, Behaviour(refusal=Refusal.of("too_many_requests")), times=2)
    answer = client.generate(prompt=prompt)
    assert (answer.status_code, answer.json()["status"]) == (HTTPStatus.ACCEPTED, "queued")
    succeeds(client, answer.json()["task_id"])
    assert [submission.accepted for submission in submissions(stack, prompt)] == [False, False, True]
    urls = {submission.body["callback_url"] for submission in submissions(stack, prompt)}
    assert len(urls) == 3  # a token per attempt


def test_equal_requests_at_once_are_one(stack: Stack, client: Client, prompt: str) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    request = {"json": {"prompt": prompt}, "headers": headers}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: client.request("POST", "/v1/images/generations", **request), range(4)))
    assert {answer.status_code for answer in answers} == {HTTPStatus.ACCEPTED}
    (task_id,) = {answer.json()["task_id"] for answer in answers}
    replayed = sorted(str(answer.headers.get("Idempotent-Replayed")) for answer in answers)
    assert replayed == ["None", "true", "true", "true"]
    succeeds(client, task_id)

    settled = client.request("POST", "/v1/images/generations", **request)
    assert (settled.json()["task_id"], settled.json()["status"]) == (task_id, "succeeded")
    other = client.request("POST", "/v1/images/generations", json={"prompt": prompt, "count": 2}, headers=headers)
    assert other.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert other.headers["Content-Type"] == "application/problem+json"
    assert len(submissions(stack, prompt)) == 1


# ---------------------------------------------------------------- orders by queue and event


def send(stack: Stack, body: object) -> None:
    queue = stack.deployment.resources["SubmissionQueue"]
    text = body if isinstance(body, str) else json.dumps(body)
    stack.client("sqs").send_message(QueueUrl=queue, MessageBody=text)


def test_an_order_on_the_queue_becomes_a_task_once(stack: Stack, client: Client, prompt: str) -> None:
    key = str(uuid4())
    body = {"action": "generate", "prompt": prompt, "owner": "local", "idempotency_key": key}
    for _ in range(3):
        send(stack, body)
    task_id = task_id_for("local", key)
    wait_until(lambda: client.get(f"/v1/tasks/{task_id}").ok, "the task is there")
    succeeds(client, task_id)
    wait_until(lambda: is_empty(stack, "SubmissionQueue"), "the queue is empty")
    assert len(submissions(stack, prompt)) == 1


def is_empty(stack: Stack, queue: str) -> bool:
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = stack.deployment.resources[queue]
    attributes = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
    return all(attributes[name] == "0" for name in counts)


def test_an_event_on_the_bus_becomes_a_task(stack: Stack, client: Client, bus: Bus, prompt: str) -> None:
    detail = {"action": "generate", "prompt": prompt, "owner": "local", "metadata": {"order": "1"}}
    entry = {"Source": "shop", "DetailType": "Image Requested", "Detail": json.dumps(detail), "EventBusName": bus.name}
    (put,) = stack.client("events").put_events(Entries=[entry])["Entries"]
    task_id = task_id_for("local", f"event-{put['EventId']}")
    wait_until(lambda: client.get(f"/v1/tasks/{task_id}").ok, "the task is there")
    assert succeeds(client, task_id)["metadata"] == {"order": "1"}


def test_a_redelivered_event_makes_no_second_task(stack: Stack, client: Client, prompt: str) -> None:
    event_id = str(uuid4())
    detail = {"action": "generate", "prompt": prompt, "owner": "local"}
    for _ in range(3):
        send(stack, {"id": event_id, "detail-type": "Image Requested", "source": "shop", "detail": detail})
    task_id = task_id_for("local", f"event-{event_id}")
    wait_until(lambda: client.get(f"/v1/tasks/{task_id}").ok, "the task is there")
    succeeds(client, task_id)
    wait_until(lambda: is_empty(stack, "SubmissionQueue"), "the queue is empty")
    assert len(submissions(stack, prompt)) == 1
    assert client.get("/v1/tasks").text.count(prompt) == 1


def test_an_invalid_order_is_rejected_and_stops_no_other(stack: Stack, client: Client, bus: Bus, prompt: str) -> None:
    before = len(bus.events("Image Request Rejected"))
    send(stack, {"action": "generate", "prompt": "", "owner": "local", "colour": "red"})
    send(stack, "not json")
    key = str(uuid4())
    send(stack, {"action": "generate", "prompt": prompt, "owner": "local", "idempotency_key": key})
    wait_until(lambda: client.get(f"/v1/tasks/{task_id_for('local', key)}").ok, "the task is there")
    wait_until(lambda: len(bus.events("Image Request Rejected")) == before + 2, "both are rejected")
    fields = [
        {error["field"] for error in rejected["errors"]} for rejected in bus.events("Image Request Rejected")[before:]
    ]
    assert sorted(fields, key=len) == [{""}, {"prompt", "colour"}]
    wait_until(lambda: is_empty(stack, "SubmissionQueue"), "the queue is empty")


# ---------------------------------------------------------------- what got lost


def test_a_lost_callback_loses_nothing(stack: Stack, client: Client, prompt: str) -> None:
    order(stack, prompt, LOST_CALLBACK)
    succeeds(client, client.generate(prompt=prompt).json()["task_id"])
    assert len(submissions(stack, prompt)) == 1


def test_a_lost_failure_is_told(stack: Stack, client: Client, prompt: str) -> None:
    order(stack, prompt, LOST_CALLBACK.but(failure=Refusal.of("forbidden")))
    task = client.settled(client.generate(prompt=prompt).json()["task_id"])
    assert (task["status"], task["error"]["code"]) == ("failed", "forbidden")


def test_a_lost_answer_and_a_lost_callback_lose_nothing_where_the_provider_lists(
    stack: Stack, client: Client, prompt: str
) -> None:
    order(stack, prompt, LOST_ANSWER)
    answer = client.generate(prompt=prompt)
    assert (answer.status_code, answer.json()["status"]) == (HTTPStatus.ACCEPTED, "processing")
    succeeds(client, answer.json()["task_id"])
    assert len(submissions(stack, prompt)) == 1


@pytest.fixture(scope="module")
def deaf() -> Iterator[Stack]:
    """As on a laptop that a real provider cannot call; and impatient."""
    with Stack(
        simulator=Simulator(behaviour=Behaviour(latency=0.1)),
        callback_base_url="http://127.0.0.1:1",
        parameters={"ResultMaxAgeSeconds": "3"},
        time_scale=TIME_SCALE,
    ) as stack:
        yield stack


def test_without_any_callback_the_schedule_alone_completes_tasks(deaf: Stack, prompt: str) -> None:
    with Client(deaf.url, "local-key") as client:
        tasks = [client.generate(prompt=prompt).json()["task_id"] for _ in range(3)]
        for task_id in tasks:
            succeeds(client, task_id)
    assert deaf.simulator
    assert {callback.status for callback in deaf.simulator.callbacks} == {None}
    assert len(submissions(deaf, prompt)) == 3


def test_what_nobody_knows_expires_and_a_late_callback_still_counts(
    deaf: Stack, receiver: Receiver, prompt: str
) -> None:
    assert deaf.simulator
    bus, path = Bus(deaf), f"/late/{uuid4()}"
    order(deaf, prompt, Behaviour(latency=0, response=ResponseKind.DROPPED, listed=False))
    with Client(deaf.url, "local-key") as client, Client(deaf.callback_url, "none") as provider:
        task_id = client.generate(prompt=prompt, callback_url=receiver.url(path)).json()["task_id"]
        assert client.settled(task_id)["status"] == "expired"
        wait_until(lambda: receiver.at(path), "the receiver is told")

        (submission,) = submissions(deaf, prompt)
        result = next(task.response for task in deaf.simulator.tasks if task.id == submission.task_id)
        url = submission.body["callback_url"].removeprefix("http://127.0.0.1:1")
        assert provider.request("POST", url, json=result).ok
        wait_until(lambda: client.get(f"/v1/tasks/{task_id}").json()["status"] == "succeeded", "it succeeds")
        succeeds(client, task_id)
        wait_until(lambda: len(receiver.at(path)) > 1, "the receiver is told again")
        for message in receiver.at(path):
            is_genuine(client, message)
    assert [message.id for message in receiver.at(path)] == [f"{task_id}.expired", f"{task_id}.succeeded"]
    for status in ("expired", "succeeded"):
        told = {event["id"] for event in bus.events(f"Task {status.capitalize()}") if event["task_id"] == task_id}
        assert told == {f"{task_id}.{status}"}


# ---------------------------------------------------------------- webhooks


def is_genuine(client: Client, message: Message) -> None:
    """By the official library, with the secret that the owner is given."""
    secret = client.get("/v1/webhook-secret").json()["secret"]
    Webhook(secret).verify(message.body, message.headers)


def test_a_receiver_is_told_of_success_and_failure(
    stack: Stack, client: Client, receiver: Receiver, prompt: str
) -> None:
    good, bad = f"/good/{uuid4()}", f"/bad/{uuid4()}"
    order(stack, prompt, Behaviour(latency=0.1, failure=Refusal.of("forbidden")))
    failing = client.generate(prompt=prompt, callback_url=receiver.url(bad)).json()["task_id"]
    task_id = client.generate(callback_url=receiver.url(good)).json()["task_id"]
    for path, outcome in ((good, f"{task_id}.succeeded"), (bad, f"{failing}.failed")):
        wait_until(lambda path=path: receiver.at(path), "the receiver is told")  # type: ignore[misc]
        (message,) = receiver.at(path)
        is_genuine(client, message)
        assert message.id == outcome
        assert json.loads(message.body)["type"] == f"task.{outcome.rpartition('.')[2]}"
    (told,) = receiver.at(good)
    assert fetch(told.task["images"][0]["url"]).status_code == HTTPStatus.OK
    (told,) = receiver.at(bad)
    assert told.task["error"]["code"] == "forbidden"
    wait_until(
        lambda: client.get(f"/v1/tasks/{task_id}").json()["webhook"]["state"] == "delivered", "the delivery is noted"
    )


def test_a_receiver_that_fails_is_told_again_with_the_same_id(client: Client, receiver: Receiver) -> None:
    path = f"/failing/2/{uuid4()}"
    task_id = client.generate(callback_url=receiver.url(path)).json()["task_id"]
    # Two attempts, then five scaled minutes.
    wait_until(lambda: len(receiver.at(path)) == 3, "the receiver is told a third time", seconds=30)
    assert [message.status for message in receiver.at(path)] == [500, 500, 204]
    for message in receiver.at(path):
        is_genuine(client, message)
        assert message.id == f"{task_id}.succeeded"
    wait_until(
        lambda: client.get(f"/v1/tasks/{task_id}").json()["webhook"]["state"] == "delivered", "the delivery is noted"
    )
    assert client.get(f"/v1/tasks/{task_id}").json()["webhook"]["attempts"] == 3

    again = client.request("POST", f"/v1/tasks/{task_id}/webhook")
    assert again.status_code == HTTPStatus.ACCEPTED
    wait_until(lambda: len(receiver.at(path)) == 4, "it is sent again")
    assert receiver.at(path)[-1].id == f"{task_id}.succeeded"
