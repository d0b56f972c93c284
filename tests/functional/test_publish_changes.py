"""The stream's consumer: generated tasks go to the archive queue, each once, and one bad record stops no other."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.seeds import GENERATED
from tests.harness import Event, Functions, event

CHANGE = event("publish_changes.good_generated")
JOB = json.loads(event("archive_images.good_generated")["Records"][0]["body"])


@pytest.fixture
def jobs(functions: Functions) -> Iterator[Any]:
    """Reads the jobs that have been sent since the last reading."""
    sqs, queue = functions.stack.client("sqs"), functions.stack.deployment.resources["ArchiveQueue"]

    def receive() -> list[Any]:
        found = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    receive()
    yield receive
    receive()


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
    ("before", "after"), [("generated", "generated"), ("generated", "succeeded"), (None, "submitting")]
)
def test_other_changes_are_passed_over(functions: Functions, jobs: Any, before: str | None, after: str) -> None:
    assert functions.invoke("publish_changes", changed(before, after)) == {"batchItemFailures": []}
    assert jobs() == []


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
