"""The submission queue: deferred tasks, and the orders of other systems."""

import copy
import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from fluxgate.tasks.model import Attempt, Status, Task, TaskError
from local.providers.acedata import Behaviour, Refusal, ResponseKind
from tests.harness import Event, Functions, Queue, event

ORDER = event("submit_queued.good_order")
REFUSED = Behaviour(refusal=Refusal.of("too_many_requests"))


def message(body: object, message_id: str | None = None, receipt: int = 1) -> Event:
    """A message on the submission queue."""
    sent = copy.deepcopy(ORDER)
    (record,) = sent["Records"]
    record["messageId"] = message_id or str(uuid4())
    record["body"] = body if isinstance(body, str) else json.dumps(body)
    record["attributes"]["ApproximateReceiveCount"] = str(receipt)
    return sent


def order(**changes: Any) -> dict[str, Any]:
    return {"action": "generate", "owner": "shop", "prompt": "a fox", "size": "512x512", **changes}


@pytest.fixture
def queued(functions: Functions) -> Task:
    """A task that the provider did not take at first."""
    now = datetime.now(UTC)
    task = Task(
        task_id=str(uuid4()), owner="local", status=Status.QUEUED, action="generate", model="flux-dev", prompt="a fox",
        size="512x512", count=1, provider="acedata", attempt_id="first", attempts=1, created_at=now, updated_at=now,
        expires_at=now + timedelta(days=1), callback_tokens=frozenset({"hash-of-the-first"}),
    )  # fmt: skip
    functions.store(task)
    return task


@pytest.fixture
def rejected(functions: Functions) -> Iterator[Queue]:
    """The details of what has been rejected on the bus."""
    events = functions.stack.client("events")
    sqs = functions.stack.client("sqs")
    url = sqs.create_queue(QueueName=f"rejected-{uuid4().hex}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = functions.stack.deployment.functions["submit_queued"].environment["EVENT_BUS"]
    name = f"rejected-{uuid4().hex}"
    pattern = json.dumps({"detail-type": ["Image Request Rejected"]})
    events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])

    def receive() -> list[Any]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(it["Body"])["detail"] for it in found]

    yield receive
    events.remove_targets(Rule=name, EventBusName=bus, Ids=["1"])
    events.delete_rule(Name=name, EventBusName=bus)
    sqs.delete_queue(QueueUrl=url)


def submit(functions: Functions, sent: Event) -> None:
    assert functions.invoke("submit_queued", sent) == {"batchItemFailures": []}


def deferred(task: Task) -> Event:
    return message({"type": "submit", "task_id": task.task_id, "attempt": 2})


def test_a_deferred_task_is_claimed_and_submitted(functions: Functions, queued: Task) -> None:
    submit(functions, deferred(queued))
    task = functions.stored(queued.task_id)
    submission = functions.simulator.submissions[-1]
    assert (task.status, task.provider_task_id, task.attempts) == (Status.SUBMITTED, submission.task_id, 2)
    assert task.attempt_id != queued.attempt_id
    calls = [call for call in functions.calls if not call.startswith("secrets")]
    assert calls == ["dynamodb:UpdateItem", "dynamodb:UpdateItem"]


def test_every_attempt_has_a_token_of_its_own_and_the_old_ones_stay_good(functions: Functions, queued: Task) -> None:
    submit(functions, deferred(queued))
    task = functions.stored(queued.task_id)
    assert len(task.callback_tokens) == 2
    assert queued.callback_tokens < task.callback_tokens
    token = functions.simulator.submissions[-1].body["callback_url"].rpartition("/")[2]
    functions.tasks.transition_by_token(task.task_id, Status.GENERATED, token=token)
    assert functions.tasks.get(task.task_id).status is Status.GENERATED


def test_a_repeated_message_submits_nothing(functions: Functions, queued: Task) -> None:
    submit(functions, deferred(queued))
    posted = len(functions.simulator.submissions)
    submit(functions, deferred(queued))
    submit(functions, message({"type": "submit", "task_id": str(uuid4()), "attempt": 1}))
    assert len(functions.simulator.submissions) == posted


def test_a_task_that_is_refused_again_waits_longer(functions: Functions, queued: Task, submissions: Queue) -> None:
    functions.simulator.behave(REFUSED)
    submit(functions, deferred(queued))
    task = functions.stored(queued.task_id)
    assert (task.status, task.attempts) == (Status.QUEUED, 2)
    assert submissions() == [{"type": "submit", "task_id": task.task_id, "attempt": 3}]


def test_a_task_that_is_too_old_fails_with_the_providers_reason(functions: Functions, queued: Task) -> None:
    functions.simulator.behave(REFUSED)
    submit_old = deferred(queued)
    functions.invoke("submit_queued", submit_old, SUBMISSION_MAX_AGE_SECONDS="1", TIME_SCALE="1")
    task = functions.stored(queued.task_id)
    assert task.status is Status.QUEUED  # not a second old
    functions.simulator.behave(REFUSED)
    old = Task(**{**_fields(queued), "task_id": str(uuid4()), "created_at": queued.created_at - timedelta(hours=2)})
    functions.store(old)
    submit(functions, deferred(old))
    task = functions.stored(old.task_id)
    assert (task.status, task.error) == (
        Status.FAILED,
        TaskError(code="too_many_requests", message="You have exceeded the rate limit."),
    )


def _fields(task: Task) -> dict[str, Any]:
    return {field.name: getattr(task, field.name) for field in fields(task)}


def test_an_unknown_outcome_is_not_repeated(functions: Functions, queued: Task) -> None:
    functions.simulator.behave(Behaviour(response=ResponseKind.DROPPED, callbacks=0))
    submit(functions, deferred(queued))
    assert functions.stored(queued.task_id).status is Status.SUBMITTING
    posted = len(functions.simulator.submissions)
    submit(functions, deferred(queued))
    assert len(functions.simulator.submissions) == posted


def test_our_own_claim_that_an_sdk_repeats_is_ours(functions: Functions, queued: Task) -> None:
    attempt = Attempt()
    first = functions.tasks.claim(queued.task_id, attempt)
    again = functions.tasks.claim(queued.task_id, attempt)
    assert again == first
    assert again.attempts == 2


def test_an_old_attempt_cannot_queue_a_newer_one(functions: Functions, queued: Task) -> None:
    old, new = Attempt(), Attempt()
    functions.tasks.claim(queued.task_id, old)
    functions.tasks.transition(queued.task_id, Status.QUEUED, attempt_id=old.attempt_id)
    functions.tasks.claim(queued.task_id, new)
    with pytest.raises(Exception, match="submitting -> queued"):
        functions.tasks.transition(queued.task_id, Status.QUEUED, attempt_id=old.attempt_id)


def test_an_order_becomes_a_task_of_its_owner(functions: Functions) -> None:
    key = str(uuid4())
    submit(functions, message(order(idempotency_key=key, metadata={"cart": "17"})))
    submission = functions.simulator.submissions[-1]
    task = functions.stored(submission.body["callback_url"].split("/")[-2])
    assert (task.owner, task.status, task.metadata) == ("shop", Status.SUBMITTED, {"cart": "17"})
    assert (task.size, task.model, task.attempts) == ("512x512", "flux-dev", 1)


def test_an_event_on_the_bus_becomes_a_task(functions: Functions) -> None:
    posted = len(functions.simulator.submissions)
    requested = event("submit_queued.good_event")
    body = json.loads(requested["Records"][0]["body"])
    body["id"] = str(uuid4())
    for _ in range(2):  # a bus may deliver twice, as messages of different ids
        submit(functions, message(body))
    assert len(functions.simulator.submissions) == posted + 1


@pytest.mark.parametrize("key", [True, False])
def test_a_redelivered_order_is_the_same_task(functions: Functions, key: bool) -> None:
    posted = len(functions.simulator.submissions)
    body = order(**({"idempotency_key": str(uuid4())} if key else {}))
    message_id = str(uuid4())
    for receipt in (1, 2, 3):
        submit(functions, message(body, message_id, receipt))
    assert len(functions.simulator.submissions) == posted + 1


def test_an_order_that_was_stored_but_not_submitted_is_submitted_when_it_comes_again(functions: Functions) -> None:
    """As after a crash between the two."""
    body, message_id = order(), str(uuid4())
    functions.before_call = lambda model, **_: _throttled() if model.name == "UpdateItem" else None
    assert len(functions.invoke("submit_queued", message(body, message_id))["batchItemFailures"]) == 1
    functions.before_call = lambda **_: None
    posted = len(functions.simulator.submissions)
    submit(functions, message(body, message_id, 2))
    assert len(functions.simulator.submissions) == posted + 1


def _throttled() -> tuple[Any, dict[str, Any]]:
    error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}, "ResponseMetadata": {}}
    return type("Response", (), {"status_code": 400, "headers": {}, "content": b""})(), error


BAD_ORDERS: dict[str, tuple[Any, set[str]]] = {
    "fields": (json.loads(event("submit_queued.bad_order")["Records"][0]["body"]), {"action", "prompt", "size"}),
    "owner": (order(owner="a b"), {"owner"}),
    "no owner": ({"action": "generate", "prompt": "a fox"}, {"owner"}),
    "key": (order(idempotency_key=" "), {"idempotency_key"}),
    "unknown field": (order(seed=7), {"seed"}),
    "edit without an image": (order(action="edit", size="1:1"), {"image_url"}),
    "not JSON": ("{", {""}),
    "a list": ([1], {""}),
    "an event without a detail": ({"detail-type": "Image Requested", "id": "1"}, {""}),
    "deep": ("[" * 100_000, {""}),
}


@pytest.mark.parametrize("name", BAD_ORDERS)
def test_a_bad_order_is_rejected_on_the_bus_and_blocks_nothing(
    functions: Functions, rejected: Queue, name: str
) -> None:
    body, fields = BAD_ORDERS[name]
    posted = len(functions.simulator.submissions)
    submit(functions, message(body, "message-17"))
    (detail,) = rejected()
    assert detail["message_id"] == "message-17"
    assert {error["field"] for error in detail["errors"]} == fields
    assert all(error["message"] for error in detail["errors"])
    assert len(functions.simulator.submissions) == posted
    assert functions.metrics()["OrderRejected"] == 1


def test_another_order_under_the_same_key_is_rejected(functions: Functions, rejected: Queue) -> None:
    key = str(uuid4())
    submit(functions, message(order(idempotency_key=key)))
    submit(functions, message(order(idempotency_key=key, prompt="a hare")))
    (detail,) = rejected()
    assert [error["field"] for error in detail["errors"]] == ["idempotency_key"]


def test_an_order_is_the_same_over_http_and_by_message(functions: Functions) -> None:
    """One key, one owner, one request: whichever way it comes."""
    key = str(uuid4())
    submit(functions, message(order(owner="local", idempotency_key=key)))
    posted = len(functions.simulator.submissions)
    request = event("submit_task.good_generate")
    request["body"] = json.dumps({"prompt": "a fox", "size": "512x512"})
    request["headers"]["Idempotency-Key"] = key
    request["multiValueHeaders"]["Idempotency-Key"] = [key]
    answer = functions.http("submit_task", request)
    assert answer.headers["idempotent-replayed"] == "true"
    assert len(functions.simulator.submissions) == posted


def test_logs_hold_no_prompts(functions: Functions) -> None:
    secret = "nobody may read this"
    submit(functions, message(order(prompt=secret)))
    submit(functions, message(order(prompt=secret, size=secret)))
    submit(functions, message('{"prompt": "' + secret))
    assert secret not in functions.logs()
