"""Thirty-two at once on one task, over real HTTP: whoever comes first, one wins and nothing contradicts it."""

import json
import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
import requests

from local.providers.acedata import Behaviour, Submission
from local.stack import Stack
from tests.e2e.client import Client

THREADS = 32
HELD = Behaviour(latency=math.inf, callbacks=0)  # the callbacks are the test's


def at_once(actions: list[Callable[[], Any]]) -> list[Any]:
    """Begin all at the same moment."""
    barrier = Barrier(len(actions))

    def begin(action: Callable[[], Any]) -> Any:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(begin, actions))


def submissions_of(stack: Stack, prompt: str) -> list[Submission]:
    assert stack.simulator
    return [it for it in stack.simulator.submissions if it.body["prompt"] == prompt]


def outcomes_of(stack: Stack, task_id: str) -> Counter[str]:
    """How often the table's stream saw the task come to each state."""
    table = stack.deployment.resources["TasksTable"]
    streams = stack.client("dynamodbstreams")
    arn = stack.client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    position = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = streams.get_shard_iterator(**position)["ShardIterator"]
    arrivals: Counter[str] = Counter()
    while records := (answer := streams.get_records(ShardIterator=iterator))["Records"]:
        iterator = answer["NextShardIterator"]
        for change in (record["dynamodb"] for record in records):
            if change["Keys"]["task_id"]["S"] == task_id and "NewImage" in change:
                before = change.get("OldImage", {}).get("status", {}).get("S")
                after = change["NewImage"]["status"]["S"]
                arrivals[after] += before != after
    return +arrivals


@pytest.fixture
def submitted(stack: Stack, client: Client) -> tuple[str, str]:
    """A task that waits for its result, and its callback URL."""
    assert stack.simulator
    prompt = str(uuid4())
    stack.simulator.behave(HELD, when=lambda body: body["prompt"] == prompt)
    task_id = client.generate(prompt=prompt).json()["task_id"]
    (submission,) = submissions_of(stack, prompt)
    return task_id, submission.body["callback_url"]


def success(stack: Stack, n: int) -> dict[str, Any]:
    """A callback with an image of its own."""
    assert stack.simulator
    stack.simulator.publish(f"race-{n}.png", "a race", "256x256", n)
    return {"success": True, "task_id": "p", "data": [{"image_url": f"{stack.simulator.url}/images/race-{n}.png"}]}


FAILURE = {"success": False, "task_id": "p", "error": {"code": "api_error", "message": "fetch failed"}}


def post(url: str, body: object) -> int:
    return requests.post(url, data=json.dumps(body), timeout=35).status_code


def test_equal_idempotency_keys_buy_once(stack: Stack, client: Client) -> None:
    prompt, key = str(uuid4()), str(uuid4())

    def request() -> requests.Response:
        body = {"prompt": prompt}
        return client.request("POST", "/v1/images/generations", json=body, headers={"Idempotency-Key": key})

    answers = at_once([request] * THREADS)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len(submissions_of(stack, prompt)) == 1


def test_callbacks_against_each_other_give_one_result(stack: Stack, client: Client, submitted: tuple[str, str]) -> None:
    task_id, url = submitted
    bodies = [success(stack, n) for n in range(THREADS)]
    assert set(at_once([lambda body=body: post(url, body) for body in bodies])) == {200}  # type: ignore[misc]
    task = client.settled(task_id)
    assert (task["status"], len(task["images"])) == ("succeeded", 1)
    assert outcomes_of(stack, task_id) == {"submitting": 1, "submitted": 1, "generated": 1, "succeeded": 1}


def test_failures_and_a_success_end_in_the_success(stack: Stack, client: Client, submitted: tuple[str, str]) -> None:
    task_id, url = submitted
    bodies = [FAILURE] * (THREADS - 1) + [success(stack, 100)]
    assert set(at_once([lambda body=body: post(url, body) for body in bodies])) == {200}  # type: ignore[misc]
    deadline = time.monotonic() + 20
    while client.settled(task_id)["status"] != "succeeded":  # a failure is no end while a result may come
        assert time.monotonic() < deadline
    arrivals = outcomes_of(stack, task_id)
    assert arrivals["generated"] == 1
    assert arrivals["failed"] <= 1


def test_forged_callbacks_among_true_ones_change_nothing(
    stack: Stack, client: Client, submitted: tuple[str, str]
) -> None:
    task_id, url = submitted
    forged = [f"{url.rpartition('/')[0]}/{uuid4().hex}" for _ in range(THREADS - 1)]
    true = success(stack, 200)
    statuses = at_once([lambda: post(url, true), *(lambda to=to: post(to, success(stack, 201)) for to in forged)])
    assert Counter(statuses) == {200: 1, 404: THREADS - 1}
    assert client.settled(task_id)["status"] == "succeeded"
    assert outcomes_of(stack, task_id)["generated"] == 1


def test_callbacks_against_the_submitter(stack: Stack, client: Client) -> None:
    """They come before the provider's answer does: the submitter's own write changes nothing any more."""
    assert stack.simulator
    prompt = str(uuid4())
    early = Behaviour(latency=0, callback_early=True, callbacks=THREADS, response_delay=0.2)
    stack.simulator.behave(early, when=lambda body: body["prompt"] == prompt)
    task_id = client.generate(prompt=prompt).json()["task_id"]
    task = client.settled(task_id)
    assert (task["status"], len(submissions_of(stack, prompt))) == ("succeeded", 1)
    arrivals = outcomes_of(stack, task_id)
    assert (arrivals["generated"], arrivals["succeeded"]) == (1, 1)
    assert arrivals["submitted"] <= 1


def test_callbacks_against_the_reconciler(stack: Stack, client: Client) -> None:
    """Both bring the same result, at the same moment."""
    assert stack.simulator
    prompt = str(uuid4())
    stack.simulator.behave(Behaviour(latency=0, callbacks=0), when=lambda body: body["prompt"] == prompt)
    task_id = client.generate(prompt=prompt).json()["task_id"]
    (submission,) = submissions_of(stack, prompt)
    stack.simulator.wait_for(lambda: any(it.id == submission.task_id and it.response for it in stack.simulator.tasks))  # type: ignore[union-attr]
    result = next(it.response for it in stack.simulator.tasks if it.id == submission.task_id)
    stack.client("dynamodb").update_item(
        TableName=stack.deployment.resources["TasksTable"],
        Key={"task_id": {"S": task_id}},
        UpdateExpression="SET due_at = :past",
        ExpressionAttributeValues={":past": {"S": "2020-01-01T00:00:00.000000Z"}},
    )
    reconcile: list[Callable[[], Any]] = [lambda: stack.invoke("reconcile_tasks", {})] * 2
    callbacks: list[Callable[[], Any]] = [lambda: post(submission.body["callback_url"], result)] * (THREADS - 2)
    at_once([*reconcile, *callbacks])
    assert client.settled(task_id)["status"] == "succeeded"
    arrivals = outcomes_of(stack, task_id)
    assert (arrivals["generated"], arrivals["succeeded"]) == (1, 1)
