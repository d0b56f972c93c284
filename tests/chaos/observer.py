"""Observes the stack from outside: table stream, buckets, queues and events."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from local.stack import Stack
from tests.chaos.journal import Journal

_deserialize = TypeDeserializer().deserialize
WORK_QUEUES = ("SubmissionQueue", "ArchiveQueue", "WebhookQueue")
DEAD_LETTER_QUEUES = ("SubmissionDeadLetterQueue", "ArchiveDeadLetterQueue", "WebhookDeadLetterQueue")
TERMINAL = {"succeeded", "failed", "expired"}
MESSAGE_STATES = ("", "NotVisible", "Delayed")
Item = dict[str, Any]


def _plain(item: dict[str, Any]) -> Item:
    return {name: _deserialize(value) for name, value in item.items()}


@dataclass(frozen=True)
class Change:
    """A change of one item in the table."""

    before: Item | None
    after: Item
    timestamp: float


class Observer:
    """Uses the deployer's permissions."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._resources = stack.deployment.resources
        self._events_url = self._subscribe_to_bus()
        self._streams = stack.client("dynamodbstreams")
        self._iterator = self._open_stream()
        self.changes: list[Change] = []
        self.items: dict[str, Item] = {}  # the current items by task id
        self.events: list[dict[str, Any]] = []

    def read_stream(self) -> None:
        """Read new changes from the table's stream: cheaper than scanning the table, and complete."""
        while records := (page := self._streams.get_records(ShardIterator=self._iterator, Limit=1000))["Records"]:
            self._iterator = page["NextShardIterator"]
            for record in (record["dynamodb"] for record in records):
                old = record.get("OldImage")
                change = Change(
                    before=_plain(old) if old else None,
                    after=_plain(record["NewImage"]),
                    timestamp=record["ApproximateCreationDateTime"].timestamp(),
                )
                self.changes.append(change)
                self.items[change.after["task_id"]] = change.after

    def queued_messages(self) -> Counter[str]:
        """Messages by work queue: visible, in flight and delayed. Empty queues are left out."""
        names = [f"ApproximateNumberOfMessages{state}" for state in MESSAGE_STATES]
        found: Counter[str] = Counter()
        for queue in WORK_QUEUES:
            response = self._stack.client("sqs").get_queue_attributes(
                QueueUrl=self._resources[queue], AttributeNames=names
            )
            found[queue] = sum(int(value) for value in response["Attributes"].values())
        return +found

    def dead_letters(self) -> list[str]:
        return [body for queue in DEAD_LETTER_QUEUES for body in self._drain(self._resources[queue])]

    def failed_changes(self) -> list[str]:
        """Changes of the table that publish_changes could not handle."""
        s3, bucket = self._stack.client("s3"), self._resources["FailedChangesBucket"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]

    def stored_image(self, key: str) -> bytes | None:
        s3 = self._stack.client("s3")
        try:
            return bytes(s3.get_object(Bucket=self._resources["ImagesBucket"], Key=key)["Body"].read())
        except s3.exceptions.NoSuchKey:
            return None

    def receive_events(self) -> None:
        """Call often: moto is slow with long queues."""
        self.events += [json.loads(body) for body in self._drain(self._events_url)]

    def _open_stream(self) -> str:
        (arn,) = {source.source_arn for source in self._stack.deployment.event_sources if source.service == "dynamodb"}
        (shard,) = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        response = self._streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        return str(response["ShardIterator"])

    def _subscribe_to_bus(self) -> str:
        """Create a queue that receives every event of fluxgate; returns its URL."""
        sqs, events = self._stack.client("sqs"), self._stack.client("events")
        url = str(sqs.create_queue(QueueName="chaos-events")["QueueUrl"])
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus = self._stack.deployment.functions["publish_changes"].environment["EVENT_BUS"]
        events.put_rule(Name="chaos", EventBusName=bus, EventPattern='{"source": ["fluxgate"]}')
        events.put_targets(Rule="chaos", EventBusName=bus, Targets=[{"Id": "chaos", "Arn": arn}])
        return url

    def _drain(self, url: str) -> list[str]:
        sqs = self._stack.client("sqs")
        found = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [str(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


@dataclass
class TaskHistory:
    """A task's transitions, according to the stream."""

    latest: Item
    transitions: list[Item] = field(default_factory=list)  # the item after each change of status

    @property
    def outcomes(self) -> list[str]:
        return [item["status"] for item in self.transitions if item["status"] in TERMINAL]


def task_histories(changes: list[Change], journal: Journal) -> dict[str, TaskHistory]:
    """By task id. Records the transitions in the journal."""
    found: dict[str, TaskHistory] = {}
    for change in changes:
        before, after = change.before, change.after
        history = found.setdefault(after["task_id"], TaskHistory(after))
        history.latest = after
        if before is None or before["status"] != after["status"]:
            history.transitions.append(after)
            text = f"{before['status'] if before else 'new'} -> {after['status']}"
            journal.record(journal.number_of(after["task_id"]), "table", text, change.timestamp)
    return found
