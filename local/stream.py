"""Lambda's polling of a DynamoDB stream: in order, with retries, bisection and a failure destination."""

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

INITIAL_BACKOFF = 0.1  # seconds, doubled with each retry; AWS waits longer
MAX_BACKOFF = 1.0  # seconds


class StreamPoller(Poller):
    """Polls the only shard that a stream has in moto."""

    _shard = ""
    _iterator = ""

    def poll(self) -> bool:
        if not self._iterator:
            self._open()
        streams = self.client("dynamodbstreams")
        page = streams.get_records(ShardIterator=self._iterator, Limit=self.source.batch_size)
        records = [self._event_record(record) for record in page["Records"]]
        self.deliver([record for record in records if self.matches(record)])
        self._iterator = page["NextShardIterator"]
        return bool(records)

    def deliver(self, records: list[Record]) -> None:
        """Invoke the function until each record is processed or discarded. Bisection does not count as a retry."""
        retries = 0
        while records and not self.closed.is_set():
            invocation = self.invoke(records)
            remaining = self._after_checkpoint(invocation, records)
            if len(remaining) < len(records):
                records, retries = remaining, 0
            elif self.source.bisects and len(records) > 1:
                self._back_off(retries)
                middle = len(records) // 2
                self.deliver(records[:middle])
                records = records[middle:]
            elif retries == self.source.retries:
                self._discard(records, invocation, retries + 1)
                return
            else:
                self._back_off(retries)
                retries += 1

    def _after_checkpoint(self, invocation: Invocation, records: list[Record]) -> list[Record]:
        """The records from the first failure on: the order of a shard is kept."""
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        failed = self.failures(invocation, numbers)
        first = next((index for index, number in enumerate(numbers) if number in failed), len(records))
        return records[first:]

    def _back_off(self, retries: int) -> None:
        self.closed.wait(min(INITIAL_BACKOFF * 2**retries, MAX_BACKOFF))

    def _open(self) -> None:
        streams = self.client("dynamodbstreams")
        (shard,) = streams.describe_stream(StreamArn=self.source.source_arn)["StreamDescription"]["Shards"]
        self._shard = shard["ShardId"]
        self._iterator = streams.get_shard_iterator(
            StreamArn=self.source.source_arn, ShardId=self._shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]

    def _event_record(self, record: dict[str, Any]) -> Record:
        """The record in the event's JSON form, with the ARN of its source."""
        converted: Record = json.loads(json.dumps(record, default=_json_value))
        return {**converted, "eventSourceARN": self.source.source_arn}

    def _discard(self, records: list[Record], invocation: Invocation, invocations: int) -> None:
        """Send the records to the failure destination, a bucket: the only type that keeps the records themselves."""
        if self.source.failure_destination is None:
            return
        bucket = self.source.failure_destination.rpartition(":")[2]
        now = datetime.now(UTC)
        mapping = uuid5(NAMESPACE_URL, self.source.name)
        key = f"aws/lambda/{mapping}/{self._shard}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid4()}"
        body = json.dumps(self._invocation_record(records, invocation, invocations, now))
        s3 = self.client("s3")
        try:
            s3.head_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), ContentType="application/json")
        except ClientError as error:
            self.log_error(error)  # the records are lost; AWS counts them in DestinationDeliveryFailures

    def _invocation_record(
        self, records: list[Record], invocation: Invocation, invocations: int, now: datetime
    ) -> dict[str, Any]:
        """The invocation record, see https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        arrivals = [_timestamp(record["dynamodb"]["ApproximateCreationDateTime"]) for record in records]
        return {
            "requestContext": {
                "requestId": invocation.request_id,
                "functionArn": self.source.function_arn,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": invocations,
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


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value))


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
