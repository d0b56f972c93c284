"""Concurrent requests about one task, over real HTTP: exactly one takes effect."""

import json
import math
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
from tests.waiting import wait_for

HELD = Behaviour(latency=math.inf, callbacks=0)  # the test sends the callbacks
TIMEOUT = 120  # seconds

pytestmark = [
    pytest.mark.timeout(3 * TIMEOUT),
    pytest.mark.parametrize("threads", [4, pytest.param(32, marks=pytest.mark.exhaustive)]),
]


def concurrently(actions: list[Callable[[], Any]]) -> list[Any]:
    """Start all actions at the same moment; returns their results."""
    barrier = Barrier(len(actions))

    def start(action: Callable[[], Any]) -> Any:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as executor:
        return list(executor.map(start, actions))


def submissions_of(stack: Stack, prompt: str) -> list[Submission]:
    assert stack.simulator
    return [entry for entry in stack.simulator.submissions if entry.body["prompt"] == prompt]


def transitions_of(stack: Stack, task_id: str) -> Counter[str]:
    """The number of the task's transitions to each status, from the table's stream."""
    table = stack.deployment.resources["TasksTable"]
    streams = stack.client("dynamodbstreams")
    arn = stack.client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    position = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = streams.get_shard_iterator(**position)["ShardIterator"]
    transitions: Counter[str] = Counter()
    while records := (page := streams.get_records(ShardIterator=iterator))["Records"]:
        iterator = page["NextShardIterator"]
        for change in (record["dynamodb"] for record in records):
            if change["Keys"]["task_id"]["S"] == task_id and "NewImage" in change:
                before = change.get("OldImage", {}).get("status", {}).get("S")
                after = change["NewImage"]["status"]["S"]
                transitions[after] += before != after
    return +transitions


@pytest.fixture
def submitted(stack: Stack, client: Client) -> tuple[str, str]:
    """The id and callback URL of a submitted task."""
    assert stack.simulator
    prompt = str(uuid4())
    stack.simulator.behave(HELD, when=lambda body: body["prompt"] == prompt)
    task_id = client.generate(prompt=prompt).json()["task_id"]
    (submission,) = submissions_of(stack, prompt)
    return task_id, submission.body["callback_url"]


def success(stack: Stack, n: int) -> dict[str, Any]:
    """A callback body with its own image."""
    assert stack.simulator
    stack.simulator.publish(f"race-{n}.png", "a race", "256x256", n)
    return {"success": True, "task_id": "p", "data": [{"image_url": f"{stack.simulator.url}/images/race-{n}.png"}]}


FAILURE = {"success": False, "task_id": "p", "error": {"code": "api_error", "message": "fetch failed"}}


def post(url: str, body: object) -> int:
    return requests.post(url, data=json.dumps(body), timeout=TIMEOUT).status_code


def test_concurrent_requests_with_one_idempotency_key_submit_once(stack: Stack, client: Client, threads: int) -> None:
    prompt, key = str(uuid4()), str(uuid4())

    def request() -> requests.Response:
        body = {"prompt": prompt}
        return client.request("POST", "/v1/images/generations", json=body, headers={"Idempotency-Key": key})

    responses = concurrently([request] * threads)
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["task_id"] for response in responses}) == 1
    assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1
    assert len(submissions_of(stack, prompt)) == 1


def test_concurrent_results_store_one_result(
    stack: Stack, client: Client, submitted: tuple[str, str], threads: int
) -> None:
    task_id, url = submitted
    bodies = [success(stack, n) for n in range(threads)]
    assert set(concurrently([lambda body=body: post(url, body) for body in bodies])) == {200}  # type: ignore[misc]
    task = client.outcome(task_id)
    assert (task["status"], len(task["images"])) == ("succeeded", 1)
    assert transitions_of(stack, task_id) == {"submitting": 1, "submitted": 1, "generated": 1, "succeeded": 1}


def test_success_prevails_over_concurrent_failures(
    stack: Stack, client: Client, submitted: tuple[str, str], threads: int
) -> None:
    task_id, url = submitted
    bodies = [FAILURE] * (threads - 1) + [success(stack, 100)]
    assert set(concurrently([lambda body=body: post(url, body) for body in bodies])) == {200}  # type: ignore[misc]
    wait_for(lambda: client.outcome(task_id)["status"] == "succeeded")  # a success may follow a failure
    transitions = transitions_of(stack, task_id)
    assert transitions["generated"] == 1
    assert transitions["failed"] <= 1


def test_concurrent_forged_callbacks_change_nothing(
    stack: Stack, client: Client, submitted: tuple[str, str], threads: int
) -> None:
    task_id, url = submitted
    forged_urls = [f"{url.rpartition('/')[0]}/{uuid4().hex}" for _ in range(threads - 1)]
    genuine = success(stack, 200)
    statuses = concurrently(
        [
            lambda: post(url, genuine),
            *(lambda forged_url=forged_url: post(forged_url, success(stack, 201)) for forged_url in forged_urls),
        ]
    )
    assert Counter(statuses) == {200: 1, 404: threads - 1}
    assert client.outcome(task_id)["status"] == "succeeded"
    assert transitions_of(stack, task_id)["generated"] == 1


def test_callbacks_before_the_submission_response_store_one_result(stack: Stack, client: Client, threads: int) -> None:
    """The submitter's later write changes nothing."""
    assert stack.simulator
    prompt = str(uuid4())
    early = Behaviour(latency=0, callback_early=True, callbacks=threads, response_delay=0.2)
    stack.simulator.behave(early, when=lambda body: body["prompt"] == prompt)
    task_id = client.generate(prompt=prompt).json()["task_id"]
    task = client.outcome(task_id)
    assert (task["status"], len(submissions_of(stack, prompt))) == ("succeeded", 1)
    transitions = transitions_of(stack, task_id)
    assert (transitions["generated"], transitions["succeeded"]) == (1, 1)
    assert transitions["submitted"] <= 1


def test_callbacks_concurrent_with_the_reconciler_store_one_result(stack: Stack, client: Client, threads: int) -> None:
    """Both report the same result at the same moment."""
    assert stack.simulator
    prompt = str(uuid4())
    stack.simulator.behave(Behaviour(latency=0, callbacks=0), when=lambda body: body["prompt"] == prompt)
    task_id = client.generate(prompt=prompt).json()["task_id"]
    (submission,) = submissions_of(stack, prompt)
    simulator = stack.simulator
    simulator.wait_for(
        lambda: any(task.id == submission.task_id and task.response for task in simulator.tasks), timeout=TIMEOUT
    )
    result = next(task.response for task in simulator.tasks if task.id == submission.task_id)
    stack.client("dynamodb").update_item(
        TableName=stack.deployment.resources["TasksTable"],
        Key={"task_id": {"S": task_id}},
        UpdateExpression="SET due_at = :past",
        ExpressionAttributeValues={":past": {"S": "2020-01-01T00:00:00.000000Z"}},
    )
    reconcile: list[Callable[[], Any]] = [lambda: stack.invoke("reconcile_tasks", {})] * 2
    callbacks: list[Callable[[], Any]] = [lambda: post(submission.body["callback_url"], result)] * (threads - 2)
    concurrently([*reconcile, *callbacks])
    assert client.outcome(task_id)["status"] == "succeeded"
    transitions = transitions_of(stack, task_id)
    assert (transitions["generated"], transitions["succeeded"]) == (1, 1)
