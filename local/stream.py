"""How Lambda reads a DynamoDB stream: in order, retrying what fails, and setting aside what fails for good."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from botocore.exceptions import ClientError

from local.event_sources import Poller

if TYPE_CHECKING:
    from local.event_sources import Record
    from local.worker import Invocation

FIRST_PAUSE = 0.1  # seconds, doubled with each retry; AWS's pauses are longer
LONGEST_PAUSE = 1.0


class StreamPoller(Poller):
    """Reads the one shard that moto's streams have."""

    _shard = ""
    _iterator = ""

    def poll(self) -> bool:
        if not self._iterator:
            self._open()
        answer = self.client("dynamodbstreams").get_records(ShardIterator=self._iterator, Limit=self.source.batch_size)
        records = [self._event_record(record) for record in answer["Records"]]
        wanted = [record for record in records if self.wanted(record)]
        self.deliver(wanted)
        self._iterator = answer["NextShardIterator"]
        return bool(records)

    def deliver(self, records: list[Record]) -> None:
        """Until each record has been handled or set aside. Halving a batch costs no attempt."""
        attempt = 0
        while records and not self.closed.is_set():
            invocation = self.invoke(records)
            remaining = self._after_checkpoint(invocation, records)
            if len(remaining) < len(records):
                records, attempt = remaining, 0
            elif self.source.bisects and len(records) > 1:
                self._pause(attempt)
                middle = len(records) // 2
                self.deliver(records[:middle])
                records = records[middle:]
            elif attempt == self.source.retries:
                self._set_aside(records, invocation, attempt + 1)
                return
            else:
                self._pause(attempt)
                attempt += 1

    def _after_checkpoint(self, invocation: Invocation, records: list[Record]) -> list[Record]:
        """Everything from the first failure on, since the order is kept."""
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        failed = self.failures(invocation, numbers)
        first = next((index for index, number in enumerate(numbers) if number in failed), len(records))
        return records[first:]

    def _pause(self, attempt: int) -> None:
        self.closed.wait(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))

    def _open(self) -> None:
        streams = self.client("dynamodbstreams")
        (shard,) = streams.describe_stream(StreamArn=self.source.source_arn)["StreamDescription"]["Shards"]
        self._shard = shard["ShardId"]
        self._iterator = streams.get_shard_iterator(
            StreamArn=self.source.source_arn, ShardId=self._shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]

    def _event_record(self, record: dict[str, Any]) -> Record:
        """As the function sees it: plain JSON, and where it comes from."""
        plain: Record = json.loads(json.dumps(record, default=_plain))
        return {**plain, "eventSourceARN": self.source.source_arn}

    def _set_aside(self, records: list[Record], invocation: Invocation, attempts: int) -> None:
        """Into the failure destination, a bucket: the one kind that keeps the records themselves."""
        if self.source.failure_destination is None:
            return
        bucket = self.source.failure_destination.rpartition(":")[2]
        now = datetime.now(UTC)
        mapping = uuid5(NAMESPACE_URL, self.source.name)
        key = f"aws/lambda/{mapping}/{self._shard}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid4()}"
        body = json.dumps(self._invocation_record(records, invocation, attempts, now))
        s3 = self.client("s3")
        try:
            s3.head_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), ContentType="application/json")
        except ClientError as error:
            self.report(error)  # AWS too goes on without them, counted as DestinationDeliveryFailures

    def _invocation_record(
        self, records: list[Record], invocation: Invocation, attempts: int, now: datetime
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        arrivals = [_timestamp(record["dynamodb"]["ApproximateCreationDateTime"]) for record in records]
        return {
            "requestContext": {
                "requestId": invocation.request_id,
                "functionArn": self.source.function_arn,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": attempts,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled" if invocation.is_error else None,
            },
            "version": "1.0",
            "timestamp": _timestamp(now.timestamp()),
            "DDBStreamBatchInfo": {
                "shardId": self._shard,
                "startSequenceNumber": numbers[0],
                "endSequenceNumber": numbers[-1],
                "approximateArrivalOfFirstRecord": arrivals[0],
                "approximateArrivalOfLastRecord": arrivals[-1],
                "batchSize": len(records),
                "streamArn": self.source.source_arn,
            },
            "payload": json.dumps({"Records": records}),
        }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value))


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
