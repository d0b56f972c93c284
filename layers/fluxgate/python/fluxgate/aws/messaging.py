"""SQS queues and the EventBridge bus."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from fluxgate.errors import QueueUnavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_sqs import SQSClient

MAX_DELAY_SECONDS = 900  # SQS limit; longer waits are the due_at of a task
SOURCE = "fluxgate"


class Queue:
    def __init__(self, sqs: Callable[[], SQSClient], url: str) -> None:
        """`sqs` returns the client, created on first use: not every event sends a message."""
        self._sqs = sqs
        self._url = url

    def send(self, body: str, delay: float = 0) -> None:
        """`delay` is in seconds. Raises QueueUnavailable; whether the message was sent is then unknown."""
        try:
            self._sqs().send_message(
                QueueUrl=self._url, MessageBody=body, DelaySeconds=min(round(delay), MAX_DELAY_SECONDS)
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(type(error).__name__) from error


class EventBus:
    def __init__(self, events: EventBridgeClient, name: str) -> None:
        self._events = events
        self._name = name

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Raises QueueUnavailable; whether the event was accepted is then unknown."""
        entry: PutEventsRequestEntryTypeDef = {
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "EventBusName": self._name,
        }
        try:
            response = self._events.put_events(Entries=[entry])
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(type(error).__name__) from error
        if response["FailedEntryCount"]:
            raise QueueUnavailable(response["Entries"][0].get("ErrorCode", "unknown"))
