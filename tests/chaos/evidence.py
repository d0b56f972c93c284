"""What there is to see from outside when all is done: table, stream, bucket, queues, events."""

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
OUTCOMES = {"succeeded", "failed", "expired"}
COUNTS = ("", "NotVisible", "Delayed")
Item = dict[str, Any]


def _plain(item: dict[str, Any]) -> Item:
    return {name: _deserialize(value) for name, value in item.items()}


@dataclass(frozen=True)
class Change:
    """Of one item of the table."""

    before: Item | None
    after: Item
    moment: float


class Observer:
    """Looks at the stack as its deployer may."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._resources = stack.deployment.resources
        self._events_url = self._watch_bus()
        self._streams = stack.client("dynamodbstreams")
        self._iterator = self._open_stream()
        self.changes: list[Change] = []
        self.items: dict[str, Item] = {}  # by task id, as they are now
        self.events: list[dict[str, Any]] = []

    def follow(self) -> None:
        """Take what has come to the table's stream: cheaper than reading the table, and nothing is left out."""
        while records := (answer := self._streams.get_records(ShardIterator=self._iterator, Limit=1000))["Records"]:
            self._iterator = answer["NextShardIterator"]
            for record in (record["dynamodb"] for record in records):
                old = record.get("OldImage")
                change = Change(
                    before=_plain(old) if old else None,
                    after=_plain(record["NewImage"]),
                    moment=record["ApproximateCreationDateTime"].timestamp(),
                )
                self.changes.append(change)
                self.items[change.after["task_id"]] = change.after

    def waiting(self) -> Counter[str]:
        """Messages, by work queue: visible, in flight and delayed."""
        names = [f"ApproximateNumberOfMessages{count}" for count in COUNTS]
        found: Counter[str] = Counter()
        for queue in WORK_QUEUES:
            answer = self._stack.client("sqs").get_queue_attributes(
                QueueUrl=self._resources[queue], AttributeNames=names
            )
            found[queue] = sum(int(value) for value in answer["Attributes"].values())
        return +found

    def dead_letters(self) -> list[str]:
        return [body for queue in DEAD_LETTER_QUEUES for body in self._drain(self._resources[queue])]

    def set_aside(self) -> list[str]:
        """Changes of the table that publish_changes could not handle."""
        s3, bucket = self._stack.client("s3"), self._resources["FailedChangesBucket"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]

    def stored(self, key: str) -> bytes | None:
        s3 = self._stack.client("s3")
        try:
            return bytes(s3.get_object(Bucket=self._resources["ImagesBucket"], Key=key)["Body"].read())
        except s3.exceptions.NoSuchKey:
            return None

    def collect(self) -> None:
        """Take the events that have come: often, for moto is slow with long queues."""
        self.events += [json.loads(body) for body in self._drain(self._events_url)]

    def _open_stream(self) -> str:
        (arn,) = {source.source_arn for source in self._stack.deployment.event_sources if source.service == "dynamodb"}
        (shard,) = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        answer = self._streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        return str(answer["ShardIterator"])

    def _watch_bus(self) -> str:
        """A queue of our own gets every event of fluxgate's."""
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
class Life:
    """What the stream tells of one task."""

    latest: Item
    states: list[Item] = field(default_factory=list)  # the item at each arrival in another state

    @property
    def outcomes(self) -> list[str]:
        return [item["status"] for item in self.states if item["status"] in OUTCOMES]


def lives(changes: list[Change], journal: Journal) -> dict[str, Life]:
    """By task id; and into the journal."""
    found: dict[str, Life] = {}
    for change in changes:
        before, after = change.before, change.after
        life = found.setdefault(after["task_id"], Life(after))
        life.latest = after
        if before is None or before["status"] != after["status"]:
            life.states.append(after)
            words = f"{before['status'] if before else 'new'} -> {after['status']}"
            journal.note(journal.number(after["task_id"]), "table", words, change.moment)
    return found
