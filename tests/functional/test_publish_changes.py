"""The stream's consumer: generated tasks go to the archive queue, outcomes to the bus, and one bad record stops no
other."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from boto3.dynamodb.types import TypeSerializer

from fluxgate.tasks.items import to_item
from fluxgate.tasks.model import OUTCOMES, Delivery, DeliveryState, Image, Status, Task, TaskError
from local.aws import ACCOUNT, REGION
from local.seeds import GENERATED
from tests.harness import Event, Functions, event

CHANGE = event("publish_changes.good_generated")
JOB = json.loads(event("archive_images.good_generated")["Records"][0]["body"])


@pytest.fixture
def jobs(functions: Functions) -> Iterator[Any]:
    """Reads the jobs that have been sent since the last reading."""
    receive = reader(functions, functions.stack.deployment.resources["ArchiveQueue"])
    receive()
    yield receive
    receive()


def reader(functions: Functions, queue: str) -> Callable[[], list[Any]]:
    sqs = functions.stack.client("sqs")

    def receive() -> list[Any]:
        found = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    return receive


def changed(before: str | None, after: str) -> Event:
    record = copy.deepcopy(CHANGE["Records"][0])
    record["dynamodb"]["NewImage"]["status"]["S"] = after
    if before:
        record["dynamodb"]["OldImage"]["status"]["S"] = before
    else:
        del record["dynamodb"]["OldImage"]
    return {"Records": [record]}


def test_a_generated_task_is_queued_with_all_that_the_archive_needs(functions: Functions, jobs: Any) -> None:
    assert functions.invoke("publish_changes", CHANGE) == {"batchItemFailures": []}
    assert functions.calls == ["sqs:SendMessage"]
    assert jobs() == [JOB]
    assert GENERATED in functions.logs()


@pytest.mark.parametrize("before", [None, "submitting", "submitted", "failed", "expired"])
def test_whatever_it_was_before(functions: Functions, jobs: Any, before: str | None) -> None:
    functions.invoke("publish_changes", changed(before, "generated"))
    assert jobs() == [JOB]


@pytest.mark.parametrize(
    ("before", "after"),
    [("generated", "generated"), ("succeeded", "succeeded"), ("expired", "expired"), (None, "submitting")],
)
def test_other_changes_are_passed_over(functions: Functions, jobs: Any, before: str | None, after: str) -> None:
    assert functions.invoke("publish_changes", changed(before, after)) == {"batchItemFailures": []}
    assert (functions.calls, jobs()) == ([], [])


def test_one_bad_record_stops_no_other_and_is_reported(functions: Functions, jobs: Any) -> None:
    (bad,) = event("publish_changes.bad_record")["Records"]
    bad["dynamodb"]["SequenceNumber"] = "999"
    batch = {"Records": [bad, *CHANGE["Records"]]}
    assert functions.invoke("publish_changes", batch) == {"batchItemFailures": [{"itemIdentifier": "999"}]}
    assert jobs() == [JOB]
    assert functions.metrics()["ChangeFailed"] == 1


def test_a_removal_that_passed_the_filter_is_reported(functions: Functions) -> None:
    removal = copy.deepcopy(CHANGE)
    del removal["Records"][0]["dynamodb"]["NewImage"]
    assert len(functions.invoke("publish_changes", removal)["batchItemFailures"]) == 1


# ---------------------------------------------------------------- outcomes


@pytest.fixture
def news(functions: Functions) -> Iterator[Callable[[], list[Any]]]:
    """Reads what has come over the bus since the last reading, by a rule and a queue of the test's own."""
    sqs, events = functions.stack.client("sqs"), functions.stack.client("events")
    bus, name = functions.stack.deployment.functions["publish_changes"].environment["EVENT_BUS"], f"test-{uuid4()}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"source": ["fluxgate"]}))
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "test", "Arn": arn}])
    yield reader(functions, queue)
    events.remove_targets(Rule=name, EventBusName=bus, Ids=["test"])
    events.delete_rule(Name=name, EventBusName=bus)
    sqs.delete_queue(QueueUrl=queue)


@pytest.fixture
def webhooks(functions: Functions) -> Iterator[Callable[[], list[Any]]]:
    """Reads what the template's own rule has put on the webhook queue."""
    receive = reader(functions, functions.stack.deployment.resources["WebhookQueue"])
    receive()
    yield receive
    receive()


def settled(functions: Functions, to: Status = Status.SUCCEEDED, **facts: Any) -> Task:
    """A stored task whose outcome nobody knows yet."""
    now = datetime.now(UTC).replace(microsecond=0)
    image = Image(source_url="https://cdn.example.com/a-source.png", key="local/t/0.png")
    defaults: dict[str, Any] = {
        "task_id": str(uuid4()), "owner": "local", "status": to, "action": "edit", "model": "flux-dev",
        "prompt": "A red fox", "size": "512x512", "count": 1, "provider": "acedata", "created_at": now,
        "updated_at": now, "expires_at": now + timedelta(days=7), "image_url": "https://example.com/an-input.png",
        "callback_url": "https://example.com/a-secret-path", "metadata": {"order": "7"},
        "images": (image,) if to is Status.SUCCEEDED else (),
        "error": TaskError(code="forbidden", message="No.") if to is Status.FAILED else None,
    }  # fmt: skip
    task = Task(**defaults | facts)
    functions.store(task)
    return task


def record(task: Task, before: str = "submitted") -> Event:
    """The change by which the task came to its outcome."""
    change = copy.deepcopy(CHANGE["Records"][0])
    image = {name: value for name, value in to_item(task).items() if value is not None}
    image = {name: TypeSerializer().serialize(value) for name, value in image.items()}
    change["dynamodb"] |= {"NewImage": image, "OldImage": {**image, "status": {"S": before}}}
    return {"Records": [change]}


def due(functions: Functions, task: Task) -> bool:
    table = functions.stack.deployment.resources["TasksTable"]
    item = functions.stack.client("dynamodb").get_item(TableName=table, Key={"task_id": {"S": task.task_id}})["Item"]
    return "due_at" in item


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_an_outcome_is_told_once_with_its_id_and_noted(functions: Functions, news: Any, outcome: Status) -> None:
    task = settled(functions, outcome, callback_url=None)
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    (event,) = news()
    assert (event["source"], event["detail-type"]) == ("fluxgate", f"Task {outcome.title()}")
    detail = event["detail"]
    error = {"error": {"code": "forbidden", "message": "No."}} if outcome is Status.FAILED else {}
    assert detail == {
        "id": f"{task.task_id}.{outcome}", "task_id": task.task_id, "owner": "local", "status": outcome,
        "action": "edit", "model": "flux-dev", "size": "512x512", "count": 1, "images": len(task.images),
        "metadata": {"order": "7"}, **error,
    }  # fmt: skip
    assert functions.calls == ["events:PutEvents", "dynamodb:UpdateItem"]
    assert functions.stored(task.task_id).announced is outcome
    assert due(functions, task) == (outcome is Status.EXPIRED)  # about which the provider is still asked


def test_an_event_holds_no_url_and_no_prompt(functions: Functions, news: Any) -> None:
    functions.invoke("publish_changes", record(settled(functions)))
    told = json.dumps(news()[0])
    for word in ("http", "red fox", "a-secret-path", "a-source", "an-input", "local/t/0.png"):
        assert word not in told


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_the_webhook_queue_hears_where_somebody_wants_to_be_told(
    functions: Functions, webhooks: Any, outcome: Status
) -> None:
    task = settled(functions, outcome)
    functions.invoke("publish_changes", record(task))
    functions.invoke("publish_changes", record(settled(functions, outcome, callback_url=None)))
    (event,) = webhooks()
    assert (event["detail"]["id"], event["detail"]["webhook"]) == (task.outcome_id, True)
    assert due(functions, task)  # until the webhook is delivered


def test_a_repeated_record_repeats_the_id_and_changes_nothing(functions: Functions, news: Any) -> None:
    task = settled(functions)
    functions.invoke("publish_changes", record(task))
    once = functions.stored(task.task_id)
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    assert {event["detail"]["id"] for event in news()} == {task.outcome_id}
    assert functions.stored(task.task_id) == once


def test_a_repeated_record_does_not_undo_a_delivery(functions: Functions, news: Any) -> None:
    task = settled(functions)
    delivered = Delivery(outcome=task.status, state=DeliveryState.DELIVERED, attempts=1)
    functions.tasks.update_outcome(task, announced=task.status, delivery=delivered)
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    assert functions.stored(task.task_id).delivery == delivered
    assert not due(functions, task)


def test_an_old_record_does_not_disturb_a_late_result(functions: Functions, news: Any) -> None:
    expired = settled(functions, Status.EXPIRED)
    functions.tasks.transition(expired.task_id, Status.GENERATED)
    assert functions.invoke("publish_changes", record(expired)) == {"batchItemFailures": []}
    late = functions.tasks.transition(expired.task_id, Status.SUCCEEDED)
    assert late.announced is None
    assert functions.invoke("publish_changes", record(late, "generated")) == {"batchItemFailures": []}
    assert [event["detail"]["id"] for event in news()] == [f"{late.task_id}.expired", f"{late.task_id}.succeeded"]
    assert functions.stored(late.task_id).announced is Status.SUCCEEDED


FAULTS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "the bus refuses the call": ("PutEvents", 400, {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}),
    "the bus refuses the event": (
        "PutEvents", 200, {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "no"}]},
    ),
    "the note fails": ("UpdateItem", 400, {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_an_outcome_that_could_not_be_announced_stays_due_and_its_record_comes_again(
    functions: Functions, news: Any, name: str
) -> None:
    call, status, body = FAULTS[name]
    task = settled(functions)

    def fail(model: Any, **_: Any) -> Any:
        response = type("Response", (), {"status_code": status, "headers": {}, "content": b""})()
        return (response, {**body, "ResponseMetadata": {}}) if model.name == call else None

    functions.before_call = fail
    assert len(functions.invoke("publish_changes", record(task))["batchItemFailures"]) == 1
    assert (functions.stored(task.task_id).announced, due(functions, task)) == (None, True)
    functions.before_call = lambda **_: None
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    assert {event["detail"]["id"] for event in news()} == {task.outcome_id}
    assert functions.stored(task.task_id).announced is task.status


def test_one_outcome_that_fails_stops_no_other_record(functions: Functions, jobs: Any) -> None:
    functions.before_call = lambda model, **_: (
        (type("Response", (), {"status_code": 400, "headers": {}, "content": b""})(), _THROTTLED)
        if model.name == "PutEvents"
        else None
    )
    (failing,) = record(settled(functions))["Records"]
    failing["dynamodb"]["SequenceNumber"] = "999"
    batch = {"Records": [failing, *CHANGE["Records"]]}
    assert functions.invoke("publish_changes", batch) == {"batchItemFailures": [{"itemIdentifier": "999"}]}
    assert jobs() == [JOB]


_THROTTLED = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}, "ResponseMetadata": {}}


def test_logs_hold_the_task_and_neither_urls_nor_prompts(functions: Functions, news: Any) -> None:
    task = settled(functions, Status.FAILED)
    functions.invoke("publish_changes", record(task))
    logs = functions.logs()
    assert task.task_id in logs
    for word in ("a-secret-path", "an-input", "red fox", '"No."'):
        assert word not in logs


def test_an_outcome_of_a_task_that_is_gone_is_announced_and_blocks_nothing(functions: Functions) -> None:
    """Deleted between the outcome and its announcement: the stream must go on."""
    gone = copy.deepcopy(CHANGE)
    image = gone["Records"][0]["dynamodb"]["NewImage"]
    image["task_id"]["S"] = str(uuid4())
    image["status"]["S"] = "succeeded"
    assert functions.invoke("publish_changes", gone) == {"batchItemFailures": []}
