"""The table stream's consumer: archive messages for generated tasks, events for outcomes, failures by record."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from boto3.dynamodb.types import TypeSerializer

from fluxgate.tasks.items import to_item
from fluxgate.tasks.model import OUTCOMES, Delivery, DeliveryState, Image, Status, Task, TaskError
from local.aws import ACCOUNT, REGION
from local.seeds import GENERATED
from tests.builders import a_task
from tests.functional.aws_calls import aws_response, fail
from tests.functional.storage import stored_due_at
from tests.harness import Event, Functions, event

CHANGE = event("publish_changes.good_generated")
ARCHIVE_JOB = json.loads(event("archive_images.good_generated")["Records"][0]["body"])

Reader = Callable[[], list[Any]]  # the JSON messages that have arrived since the last call


def queue_reader(functions: Functions, url: str) -> Reader:
    sqs = functions.stack.client("sqs")

    def read() -> list[Any]:
        bodies = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    return read


@pytest.fixture
def archive_queue(functions: Functions) -> Iterator[Reader]:
    read = queue_reader(functions, functions.stack.deployment.resources["ArchiveQueue"])
    read()
    yield read
    read()


@pytest.fixture
def webhook_queue(functions: Functions) -> Iterator[Reader]:
    """Filled by the template's own rule."""
    read = queue_reader(functions, functions.stack.deployment.resources["WebhookQueue"])
    read()
    yield read
    read()


@pytest.fixture
def published(functions: Functions) -> Iterator[Reader]:
    """Events on the bus, through a rule and a queue of the test."""
    sqs, events = functions.stack.client("sqs"), functions.stack.client("events")
    bus, name = functions.stack.deployment.functions["publish_changes"].environment["EVENT_BUS"], f"test-{uuid4()}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps({"source": ["fluxgate"]}))
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "test", "Arn": arn}])
    yield queue_reader(functions, queue)
    events.remove_targets(Rule=name, EventBusName=bus, Ids=["test"])
    events.delete_rule(Name=name, EventBusName=bus)
    sqs.delete_queue(QueueUrl=queue)


def status_change(before: str | None, after: str) -> Event:
    """The generated task's record with other statuses. Without `before` it is an insert."""
    record = copy.deepcopy(CHANGE["Records"][0])
    record["dynamodb"]["NewImage"]["status"]["S"] = after
    if before:
        record["dynamodb"]["OldImage"]["status"]["S"] = before
    else:
        del record["dynamodb"]["OldImage"]
    return {"Records": [record]}


# ---------------------------------------------------------------- generated tasks


def test_generated_task_is_queued_for_archiving(functions: Functions, archive_queue: Reader) -> None:
    assert functions.invoke("publish_changes", CHANGE) == {"batchItemFailures": []}
    assert functions.calls == ["sqs:SendMessage"]
    assert archive_queue() == [ARCHIVE_JOB]
    assert GENERATED in functions.logs()


@pytest.mark.parametrize("before", [None, "submitting", "submitted", "failed", "expired"])
def test_generated_task_is_queued_whatever_its_previous_status(
    functions: Functions, archive_queue: Reader, before: str | None
) -> None:
    functions.invoke("publish_changes", status_change(before, "generated"))
    assert archive_queue() == [ARCHIVE_JOB]


@pytest.mark.parametrize(
    ("before", "after"),
    [("generated", "generated"), ("succeeded", "succeeded"), ("expired", "expired"), (None, "submitting")],
)
def test_other_changes_are_ignored(functions: Functions, archive_queue: Reader, before: str | None, after: str) -> None:
    assert functions.invoke("publish_changes", status_change(before, after)) == {"batchItemFailures": []}
    assert (functions.calls, archive_queue()) == ([], [])


def test_malformed_record_is_reported_and_does_not_block_the_others(
    functions: Functions, archive_queue: Reader
) -> None:
    (malformed,) = event("publish_changes.bad_record")["Records"]
    malformed["dynamodb"]["SequenceNumber"] = "999"
    batch = {"Records": [malformed, *CHANGE["Records"]]}
    assert functions.invoke("publish_changes", batch) == {"batchItemFailures": [{"itemIdentifier": "999"}]}
    assert archive_queue() == [ARCHIVE_JOB]
    assert functions.metrics()["ChangeFailed"] == 1


def test_record_without_a_new_image_is_reported(functions: Functions) -> None:
    """The event source's filter excludes removals."""
    removal = copy.deepcopy(CHANGE)
    del removal["Records"][0]["dynamodb"]["NewImage"]
    assert len(functions.invoke("publish_changes", removal)["batchItemFailures"]) == 1


# ---------------------------------------------------------------- outcomes


def store_outcome(functions: Functions, status: Status = Status.SUCCEEDED, **fields: Any) -> Task:
    """A stored task with an outcome that has not been announced."""
    image = Image(source_url="https://cdn.example.com/a-source.png", key="local/t/0.png")
    defaults: dict[str, Any] = {
        "action": "edit",
        "prompt": "A red fox",
        "image_url": "https://example.com/an-input.png",
        "callback_url": "https://example.com/a-secret-path",
        "metadata": {"order": "7"},
        "images": (image,) if status is Status.SUCCEEDED else (),
        "error": TaskError(code="forbidden", message="No.") if status is Status.FAILED else None,
    }
    task = a_task(status=status, **defaults | fields)
    functions.store(task)
    return task


def record(task: Task, before: str = "submitted") -> Event:
    """The transition of the task to its current status."""
    change = copy.deepcopy(CHANGE["Records"][0])
    image = {name: value for name, value in to_item(task).items() if value is not None}
    image = {name: TypeSerializer().serialize(value) for name, value in image.items()}
    change["dynamodb"] |= {"NewImage": image, "OldImage": {**image, "status": {"S": before}}}
    return {"Records": [change]}


def is_due(functions: Functions, task: Task) -> bool:
    return stored_due_at(functions, task.task_id) is not None


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_outcome_is_published_once_with_its_id_and_recorded(
    functions: Functions, published: Reader, outcome: Status
) -> None:
    task = store_outcome(functions, outcome, callback_url=None)
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    (event,) = published()
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
    assert is_due(functions, task) == (outcome is Status.EXPIRED)  # the provider is still polled


def test_event_contains_no_url_and_no_prompt(functions: Functions, published: Reader) -> None:
    functions.invoke("publish_changes", record(store_outcome(functions)))
    event = json.dumps(published()[0])
    for word in ("http", "red fox", "a-secret-path", "a-source", "an-input", "local/t/0.png"):
        assert word not in event


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_webhook_queue_receives_only_outcomes_of_tasks_with_a_callback_url(
    functions: Functions, webhook_queue: Reader, outcome: Status
) -> None:
    task = store_outcome(functions, outcome)
    functions.invoke("publish_changes", record(task))
    functions.invoke("publish_changes", record(store_outcome(functions, outcome, callback_url=None)))
    (event,) = webhook_queue()
    assert (event["detail"]["id"], event["detail"]["webhook"]) == (task.outcome_id, True)
    assert is_due(functions, task)  # until the webhook is delivered


def test_repeated_record_repeats_the_event_id_and_changes_nothing(functions: Functions, published: Reader) -> None:
    task = store_outcome(functions)
    functions.invoke("publish_changes", record(task))
    announced = functions.stored(task.task_id)
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    assert {event["detail"]["id"] for event in published()} == {task.outcome_id}
    assert functions.stored(task.task_id) == announced


def test_repeated_record_keeps_the_webhook_delivery(functions: Functions, published: Reader) -> None:
    task = store_outcome(functions)
    delivered = Delivery(outcome=task.status, state=DeliveryState.DELIVERED, attempts=1)
    functions.tasks.update_outcome(task, announced=task.status, delivery=delivered)
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    assert functions.stored(task.task_id).delivery == delivered
    assert not is_due(functions, task)


def test_old_record_does_not_affect_a_late_result(functions: Functions, published: Reader) -> None:
    expired = store_outcome(functions, Status.EXPIRED)
    functions.tasks.transition(expired.task_id, Status.GENERATED)
    assert functions.invoke("publish_changes", record(expired)) == {"batchItemFailures": []}
    late = functions.tasks.transition(expired.task_id, Status.SUCCEEDED)
    assert late.announced is None
    assert functions.invoke("publish_changes", record(late, "generated")) == {"batchItemFailures": []}
    assert [event["detail"]["id"] for event in published()] == [f"{late.task_id}.expired", f"{late.task_id}.succeeded"]
    assert functions.stored(late.task_id).announced is Status.SUCCEEDED


REFUSED_ENTRY = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "no"}]}
FAILURES: dict[str, Callable[..., Any]] = {
    "the bus refuses the call": fail("PutEvents", "ThrottlingException"),
    "the bus refuses the event": lambda model, **_: aws_response(REFUSED_ENTRY) if model.name == "PutEvents" else None,
    "the update fails": fail("UpdateItem", "ThrottlingException"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_outcome_stays_due_until_its_record_is_announced(functions: Functions, published: Reader, name: str) -> None:
    task = store_outcome(functions)
    functions.before_call = FAILURES[name]
    assert len(functions.invoke("publish_changes", record(task))["batchItemFailures"]) == 1
    assert (functions.stored(task.task_id).announced, is_due(functions, task)) == (None, True)
    functions.before_call = lambda **_: None
    assert functions.invoke("publish_changes", record(task)) == {"batchItemFailures": []}
    assert {event["detail"]["id"] for event in published()} == {task.outcome_id}
    assert functions.stored(task.task_id).announced is task.status


def test_outcome_that_cannot_be_announced_does_not_block_other_records(
    functions: Functions, archive_queue: Reader
) -> None:
    functions.before_call = fail("PutEvents", "ThrottlingException")
    (failing,) = record(store_outcome(functions))["Records"]
    failing["dynamodb"]["SequenceNumber"] = "999"
    batch = {"Records": [failing, *CHANGE["Records"]]}
    assert functions.invoke("publish_changes", batch) == {"batchItemFailures": [{"itemIdentifier": "999"}]}
    assert archive_queue() == [ARCHIVE_JOB]


def test_outcome_of_a_deleted_task_does_not_block_the_stream(functions: Functions) -> None:
    deleted = copy.deepcopy(CHANGE)
    image = deleted["Records"][0]["dynamodb"]["NewImage"]
    image["task_id"]["S"] = str(uuid4())
    image["status"]["S"] = "succeeded"
    assert functions.invoke("publish_changes", deleted) == {"batchItemFailures": []}


def test_logs_contain_the_task_id_but_no_urls_and_no_content(functions: Functions, published: Reader) -> None:
    task = store_outcome(functions, Status.FAILED)
    functions.invoke("publish_changes", record(task))
    logs = functions.logs()
    assert task.task_id in logs
    for word in ("a-secret-path", "an-input", "red fox", '"No."'):
        assert word not in logs
