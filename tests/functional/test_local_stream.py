"""The local stream poller with a failing function: order, retries, bisection and failure destination."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.deployment import EventSource
from local.stack import Stack
from local.stream import StreamPoller
from local.worker import Invocation

BUCKET = "arn:aws:s3:::failures"
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/tasks/stream/2026-01-01T00:00:00.000"

Handler = Callable[[list[str]], Any]


class Bucket:
    """The part of an S3 client that the failure destination uses."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.checked: set[str] = set()

    def head_bucket(self, *, Bucket: str) -> None:  # noqa: N803
        self.checked.add(Bucket)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **_: str) -> None:  # noqa: N803
        assert Bucket in self.checked
        self.keys.append(Key)
        self.records.append(json.loads(Body))


class Feed:
    """A poller whose function is a Python function that takes the sequence numbers of a batch."""

    def __init__(self, handler: Handler, **settings: Any) -> None:
        self.batches: list[list[str]] = []
        self.bucket = Bucket()
        self._handler = handler
        self.lines: list[str] = []
        source = EventSource(
            **{
                "name": "Changes",
                "source_arn": STREAM,
                "function": "publish_changes",
                "function_arn": "arn:aws:lambda:us-east-1:123456789012:function:publish_changes",
                "batch_size": 100,
                "filters": (),
                "reports_failures": True,
                "concurrency": 1,
                "bisects": True,
                "retries": 2,
                "failure_destination": BUCKET,
                **settings,
            }
        )
        self.poller = StreamPoller(source, lambda _: self.bucket, self._invoke, lambda _, line: self.lines.append(line))

    def deliver(self, *numbers: str) -> None:
        self.poller.deliver(
            [{"dynamodb": {"SequenceNumber": number, "ApproximateCreationDateTime": 1}} for number in numbers]
        )

    def _invoke(self, _: str, event: Any) -> Invocation:
        numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        self.batches.append(numbers)
        result = self._handler(numbers)
        if isinstance(result, Exception):
            return Invocation.failed("request", type(result).__name__, str(result))
        return Invocation("request", {"batchItemFailures": [{"itemIdentifier": number} for number in result]})

    @property
    def discarded(self) -> list[list[str]]:
        payloads = [json.loads(record["payload"]) for record in self.bucket.records]
        return [[it["dynamodb"]["SequenceNumber"] for it in payload["Records"]] for payload in payloads]


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.stream.MAX_BACKOFF", 0)


def test_successful_records_are_delivered_once() -> None:
    feed = Feed(lambda _: [])
    feed.deliver("1", "2", "3")
    assert feed.batches == [["1", "2", "3"]]
    assert feed.discarded == []


def test_after_a_reported_failure_delivery_resumes_at_that_record() -> None:
    failures = iter([["2"], []])
    feed = Feed(lambda _: next(failures))
    feed.deliver("1", "2", "3")
    assert feed.batches == [["1", "2", "3"], ["2", "3"]]


def test_a_bad_record_is_isolated_and_the_others_are_processed_in_order() -> None:
    feed = Feed(lambda numbers: ["3"] if "3" in numbers else [])
    feed.deliver("1", "2", "3", "4", "5", "6")
    assert feed.discarded == [["3"]]
    assert feed.batches.count(["3"]) == 3  # one invocation and two retries
    handled = [number for batch in feed.batches if "3" not in batch for number in batch]
    assert handled == ["4", "5", "6"]


def test_bisecting_a_failed_batch_does_not_count_as_a_retry() -> None:
    feed = Feed(lambda numbers: ValueError("poison") if "2" in numbers else [], retries=0)
    feed.deliver("1", "2", "3", "4")
    assert feed.batches == [["1", "2", "3", "4"], ["1", "2"], ["1"], ["2"], ["3", "4"]]
    assert feed.discarded == [["2"]]


def test_without_bisection_the_whole_batch_is_discarded() -> None:
    feed = Feed(lambda _: ValueError("poison"), bisects=False, retries=1)
    feed.deliver("1", "2")
    assert feed.batches == [["1", "2"]] * 2
    assert feed.discarded == [["1", "2"]]


def test_a_report_of_unknown_records_fails_the_batch() -> None:
    feed = Feed(lambda _: ["99"], bisects=False, retries=0)
    feed.deliver("1", "2")
    assert feed.discarded == [["1", "2"]]


def test_without_a_retry_limit_delivery_continues_until_success() -> None:
    failures = iter([["1"]] * 20 + [[]])
    feed = Feed(lambda _: next(failures), retries=None)
    feed.deliver("1")
    assert len(feed.batches) == 21


def test_the_failure_destination_receives_lambdas_invocation_record() -> None:
    feed = Feed(lambda _: ["1"], retries=1)
    feed.deliver("1")
    (record,), (key,) = feed.bucket.records, feed.bucket.keys
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["DDBStreamBatchInfo"]["startSequenceNumber"] == "1"
    assert record["DDBStreamBatchInfo"]["streamArn"] == STREAM
    assert key.startswith("aws/lambda/")


def test_only_records_that_match_a_filter_reach_the_function() -> None:
    feed = Feed(lambda _: [], filters=('{"eventName":["INSERT"],"dynamodb":{"NewImage":{"status":{"S":["new"]}}}}',))
    record = {"eventName": "INSERT", "dynamodb": {"NewImage": {"status": {"S": "new"}}}}
    assert feed.poller.matches(record)
    assert not feed.poller.matches({**record, "eventName": "REMOVE"})
    assert not feed.poller.matches({**record, "dynamodb": {"NewImage": {"status": {"S": "old"}}}})
    assert not feed.poller.matches({**record, "dynamodb": {"OldImage": {"status": {"S": "new"}}}})


def test_a_stream_is_read_from_its_beginning_in_order(backing: Stack) -> None:
    (source,) = [it for it in backing.deployment.event_sources if it.service == "dynamodb"]
    table = "stream-read-in-order"  # its stream has no records of other tests
    created = backing.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "task_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "task_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    source = replace(source, source_arn=created["TableDescription"]["LatestStreamArn"])
    for number in range(5):
        item = {"task_id": {"S": f"stream-{number}"}, "status": {"S": "generated"}}
        backing.client("dynamodb").put_item(TableName=table, Item=item)
    seen: list[str] = []

    def invoke(_: str, event: Any) -> Invocation:
        seen.extend(record["dynamodb"]["Keys"]["task_id"]["S"] for record in event["Records"])
        assert all(record["eventSourceARN"] == source.source_arn for record in event["Records"])
        return Invocation("request", {"batchItemFailures": []})

    poller = StreamPoller(source, backing.client, invoke, print)
    while poller.poll():
        pass
    assert [task_id for task_id in seen if task_id.startswith("stream-")] == [f"stream-{n}" for n in range(5)]
