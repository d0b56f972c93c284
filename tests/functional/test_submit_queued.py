"""The submission queue: deferred tasks, and orders from other systems."""

import copy
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from fluxgate.tasks.model import Attempt, Status, Task, TaskError
from local.providers.acedata import Behaviour, Refusal, ResponseKind
from tests.builders import a_task
from tests.functional.aws_calls import fail
from tests.functional.queues import wait_for_messages
from tests.functional.submissions import GENERATE, Received, callback_of
from tests.harness import Event, Functions, Queue, event, with_body

ORDER = event("submit_queued.good_order")
THROTTLED = Behaviour(refusal=Refusal.of("too_many_requests"))


def message(body: object, message_id: str | None = None, receive_count: int = 1) -> Event:
    """A message on the submission queue. Text is sent as it is, anything else as JSON."""
    batch = copy.deepcopy(ORDER)
    (record,) = batch["Records"]
    record["messageId"] = message_id or str(uuid4())
    record["body"] = body if isinstance(body, str) else json.dumps(body)
    record["attributes"]["ApproximateReceiveCount"] = str(receive_count)
    return batch


def order(**fields: Any) -> dict[str, Any]:
    return {"action": "generate", "owner": "shop", "prompt": "a fox", "size": "512x512", **fields}


@pytest.fixture
def queued(functions: Functions) -> Task:
    """A task whose first attempt was not accepted."""
    task = a_task(
        status=Status.QUEUED, attempt_id="first", attempts=1, callback_tokens=frozenset({"hash-of-the-first"})
    )
    functions.store(task)
    return task


@pytest.fixture
def rejected(functions: Functions) -> Iterator[Queue]:
    """Receives the details of the rejections published on the bus."""
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
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"])["detail"] for message in messages]

    yield receive
    events.remove_targets(Rule=name, EventBusName=bus, Ids=["1"])
    events.delete_rule(Name=name, EventBusName=bus)
    sqs.delete_queue(QueueUrl=url)


def process(functions: Functions, batch: Event, **environment: str) -> None:
    assert functions.invoke("submit_queued", batch, **environment) == {"batchItemFailures": []}


def deferred(task: Task) -> Event:
    """The message that submits a queued task."""
    return message({"type": "submit", "task_id": task.task_id, "attempt": 2})


def test_a_deferred_task_is_claimed_and_submitted(functions: Functions, received: Received, queued: Task) -> None:
    process(functions, deferred(queued))
    task = functions.stored(queued.task_id)
    submission = received()[-1]
    assert (task.status, task.provider_task_id, task.attempts) == (Status.SUBMITTED, submission.task_id, 2)
    assert task.attempt_id != queued.attempt_id
    calls = [call for call in functions.calls if not call.startswith("secrets")]
    assert calls == ["dynamodb:UpdateItem", "dynamodb:UpdateItem"]


def test_a_new_attempt_adds_a_callback_token_and_keeps_the_old_ones(
    functions: Functions, received: Received, queued: Task
) -> None:
    process(functions, deferred(queued))
    task = functions.stored(queued.task_id)
    assert len(task.callback_tokens) == 2
    assert queued.callback_tokens < task.callback_tokens
    _, token = callback_of(received()[-1])
    functions.tasks.transition_by_token(task.task_id, Status.GENERATED, token=token)
    assert functions.tasks.get(task.task_id).status is Status.GENERATED


def test_a_repeated_message_submits_nothing(functions: Functions, received: Received, queued: Task) -> None:
    process(functions, deferred(queued))
    before = len(received())
    process(functions, deferred(queued))
    process(functions, message({"type": "submit", "task_id": str(uuid4()), "attempt": 1}))
    assert len(received()) == before


def test_a_task_that_is_throttled_again_is_deferred_again(
    functions: Functions, queued: Task, submissions: Queue
) -> None:
    functions.simulator.behave(THROTTLED)
    process(functions, deferred(queued))
    task = functions.stored(queued.task_id)
    assert (task.status, task.attempts) == (Status.QUEUED, 2)
    message = {"type": "submit", "task_id": task.task_id, "attempt": 3}
    assert wait_for_messages(submissions, task.task_id) == [message]


def test_a_throttled_task_fails_with_the_providers_reason_once_it_has_its_maximum_age(
    functions: Functions, queued: Task
) -> None:
    old = a_task(
        status=Status.QUEUED, attempt_id="first", attempts=1, created_at=queued.created_at - timedelta(minutes=20)
    )
    functions.store(old)
    for task in (queued, old):
        functions.simulator.behave(THROTTLED)
        process(functions, deferred(task), SUBMISSION_MAX_AGE_SECONDS="600", TIME_SCALE="1")
    assert functions.stored(queued.task_id).status is Status.QUEUED
    failed = functions.stored(old.task_id)
    assert (failed.status, failed.error) == (
        Status.FAILED,
        TaskError(code="too_many_requests", message="You have exceeded the rate limit."),
    )


def test_a_submission_with_an_unknown_result_is_not_repeated(
    functions: Functions, received: Received, queued: Task
) -> None:
    functions.simulator.behave(Behaviour(response=ResponseKind.DROPPED, callbacks=0))
    process(functions, deferred(queued))
    assert functions.stored(queued.task_id).status is Status.SUBMITTING
    before = len(received())
    process(functions, deferred(queued))
    assert len(received()) == before


def test_a_claim_repeated_by_the_sdk_succeeds(functions: Functions, queued: Task) -> None:
    attempt = Attempt()
    claimed = functions.tasks.claim(queued.task_id, attempt)
    repeated = functions.tasks.claim(queued.task_id, attempt)
    assert repeated == claimed
    assert repeated.attempts == 2


def test_an_older_attempt_cannot_defer_a_newer_one(functions: Functions, queued: Task) -> None:
    old, new = Attempt(), Attempt()
    functions.tasks.claim(queued.task_id, old)
    functions.tasks.transition(queued.task_id, Status.QUEUED, attempt_id=old.attempt_id)
    functions.tasks.claim(queued.task_id, new)
    with pytest.raises(Exception, match="submitting -> queued"):
        functions.tasks.transition(queued.task_id, Status.QUEUED, attempt_id=old.attempt_id)


def test_an_order_becomes_a_task_of_its_owner(functions: Functions, received: Received) -> None:
    key = str(uuid4())
    process(functions, message(order(idempotency_key=key, metadata={"cart": "17"})))
    submission = received()[-1]
    task = functions.stored(callback_of(submission)[0])
    assert (task.owner, task.status, task.metadata) == ("shop", Status.SUBMITTED, {"cart": "17"})
    assert (task.size, task.model, task.attempts) == ("512x512", "flux-dev", 1)


def test_an_event_becomes_one_task_even_if_the_bus_delivers_it_twice(functions: Functions, received: Received) -> None:
    body = json.loads(event("submit_queued.good_event")["Records"][0]["body"])
    body["id"] = str(uuid4())
    for _ in range(2):  # in messages with different ids
        process(functions, message(body))
    assert len(received()) == 1


@pytest.mark.parametrize("with_key", [True, False])
def test_an_order_received_several_times_is_submitted_once(
    functions: Functions, received: Received, with_key: bool
) -> None:
    body = order(**({"idempotency_key": str(uuid4())} if with_key else {}))
    message_id = str(uuid4())
    for receive_count in (1, 2, 3):
        process(functions, message(body, message_id, receive_count))
    assert len(received()) == 1


def test_an_order_that_was_stored_but_not_submitted_is_submitted_when_received_again(
    functions: Functions, received: Received
) -> None:
    body, message_id = order(), str(uuid4())
    functions.before_call = fail("UpdateItem")
    assert len(functions.invoke("submit_queued", message(body, message_id))["batchItemFailures"]) == 1
    functions.before_call = lambda **_: None
    before = len(received())
    process(functions, message(body, message_id, 2))
    assert len(received()) == before + 1


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
def test_an_invalid_order_is_rejected_on_the_bus_and_not_received_again(
    functions: Functions, received: Received, rejected: Queue, name: str
) -> None:
    body, fields = BAD_ORDERS[name]
    process(functions, message(body, "message-17"))
    (detail,) = rejected()
    assert detail["message_id"] == "message-17"
    assert {error["field"] for error in detail["errors"]} == fields
    assert all(error["message"] for error in detail["errors"])
    assert received() == []
    assert functions.metrics()["OrderRejected"] == 1


def test_another_order_with_a_used_key_is_rejected(functions: Functions, rejected: Queue) -> None:
    key = str(uuid4())
    process(functions, message(order(idempotency_key=key)))
    process(functions, message(order(idempotency_key=key, prompt="a hare")))
    (detail,) = rejected()
    assert [error["field"] for error in detail["errors"]] == ["idempotency_key"]


def test_an_order_and_an_http_request_with_the_same_key_are_one_task(functions: Functions, received: Received) -> None:
    key = str(uuid4())
    process(functions, message(order(owner="local", idempotency_key=key)))
    request = with_body(GENERATE, {"prompt": "a fox", "size": "512x512"}, Idempotency_Key=key)
    response = functions.http("submit_task", request)
    assert response.headers["idempotent-replayed"] == "true"
    assert len(received()) == 1


def test_logs_contain_no_prompts(functions: Functions) -> None:
    secret = "a confidential prompt"
    process(functions, message(order(prompt=secret)))
    process(functions, message(order(prompt=secret, size=secret)))
    process(functions, message('{"prompt": "' + secret))
    assert secret not in functions.logs()
