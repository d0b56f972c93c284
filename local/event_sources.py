"""Lambda's event source mappings: pollers that use the role of the function they invoke, as on AWS."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore, Event, Thread
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.events.models import EventPattern

from local.aws import REGION

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.deployment import EventSource
    from local.worker import Invocation

    Record = dict[str, Any]
    Invoke = Callable[[str, object], Invocation]
    Client = Callable[[str], Any]  # a client of a service, with the function's role

POLL_INTERVAL = 0.15  # seconds


class Poller(ABC):
    """A thread that polls for records until it is stopped. Errors of AWS calls are logged, and polling continues."""

    def __init__(self, source: EventSource, client: Client, invoke: Invoke, log: Callable[[str, str], None]) -> None:
        self.source = source
        self.client = client
        self._invoke = invoke
        self._log = log
        self._patterns = [EventPattern.load(pattern) for pattern in source.filters]
        self.closed = Event()
        self._thread = Thread(target=self._run, name=source.name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Poll no more; records in process are completed."""
        self.closed.set()

    def join(self) -> None:
        self._thread.join()

    @abstractmethod
    def poll(self) -> bool:
        """Process the available records. Returns False if there were none."""

    def invoke(self, records: list[Record]) -> Invocation:
        return self._invoke(self.source.function, {"Records": records})

    def matches(self, record: Record) -> bool:
        """Whether a record passes the filters."""
        return not self._patterns or any(
            pattern.matches_event(record)  # type: ignore[arg-type]  # moto's annotation is too narrow: any JSON works
            for pattern in self._patterns
        )

    def failures(self, invocation: Invocation, ids: list[str]) -> set[str]:
        """The ids of the records that failed: all after an error, else those that the function reports."""
        if invocation.is_error:
            return set(ids)
        if not self.source.reports_failures:
            return set()
        reported = [
            failure.get("itemIdentifier") for failure in (invocation.payload or {}).get("batchItemFailures") or []
        ]
        # An id that is not in the batch fails the whole batch, as on AWS.
        return set(reported) if set(reported) <= set(ids) else set(ids)

    def log_error(self, error: Exception) -> None:
        self._log(self.source.name, json.dumps({"level": "ERROR", "message": str(error), "service": "event_source"}))

    def _run(self) -> None:
        while not self.closed.is_set():
            try:
                found = self.poll()
            except (ClientError, BotoCoreError) as error:
                self.log_error(error)
                found = False
            if not found:
                self.closed.wait(POLL_INTERVAL)


class QueuePoller(Poller):
    """Polls an SQS queue and deletes successful messages. The queue itself retries or dead-letters the others."""

    def __init__(self, source: EventSource, client: Client, invoke: Invoke, log: Callable[[str, str], None]) -> None:
        super().__init__(source, client, invoke, log)
        self._free = BoundedSemaphore(source.concurrency)
        self._threads = ThreadPoolExecutor(source.concurrency, thread_name_prefix=source.name)

    def join(self) -> None:
        super().join()
        self._threads.shutdown()

    def poll(self) -> bool:
        if not self._free.acquire(timeout=POLL_INTERVAL):
            return True
        messages = self._receive()
        if messages:
            self._threads.submit(self._handle, messages)
        else:
            self._free.release()
        return bool(messages)

    def _receive(self) -> list[dict[str, Any]]:
        try:
            response = self.client("sqs").receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=min(self.source.batch_size, 10),
                WaitTimeSeconds=0,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (ClientError, BotoCoreError):
            self._free.release()
            raise
        return list(response.get("Messages", []))

    def _handle(self, messages: list[dict[str, Any]]) -> None:
        try:
            self._deliver(messages)
        except (ClientError, BotoCoreError) as error:
            self.log_error(error)
        finally:
            self._free.release()

    def _deliver(self, messages: list[dict[str, Any]]) -> None:
        records = {message["MessageId"]: self._record(message) for message in messages}
        matching = [record for record in records.values() if self.matches(_with_parsed_body(record))]
        failed = self.failures(self.invoke(matching), [it["messageId"] for it in matching]) if matching else set()
        for message_id, record in records.items():
            if message_id not in failed:
                self.client("sqs").delete_message(QueueUrl=self._queue_url, ReceiptHandle=record["receiptHandle"])

    @property
    def _queue_url(self) -> str:
        account, name = self.source.source_arn.split(":")[-2:]
        return f"https://sqs.{REGION}.amazonaws.com/{account}/{name}"

    def _record(self, message: dict[str, Any]) -> Record:
        attributes = {
            name: {
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in message.get("MessageAttributes", {}).items()
        }
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": attributes,
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self.source.source_arn,
            "awsRegion": REGION,
        }


def _with_parsed_body(record: Record) -> Record:
    """The record with its JSON body parsed, because filters match inside it."""
    try:
        return {**record, "body": json.loads(record["body"])}
    except ValueError:
        return record
