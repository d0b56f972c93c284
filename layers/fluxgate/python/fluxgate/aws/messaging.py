"""Queues and the bus: where work and news go, as JSON."""

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

MAX_DELAY_SECONDS = 900  # what SQS can delay; longer waits are a task's due_at
SOURCE = "fluxgate"


class Queue:
    def __init__(self, sqs: Callable[[], SQSClient], url: str) -> None:
        """`sqs` gives the client; not every event that could send a message does."""
        self._sqs = sqs
        self._url = url

    def send(self, body: str, delay: float = 0) -> None:
        """`delay` in seconds. Raises QueueUnavailable: whether the message was sent is then unknown."""
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
        """Raises QueueUnavailable: whether the event was put is then unknown."""
        entry: PutEventsRequestEntryTypeDef = {
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "EventBusName": self._name,
        }
        try:
            answer = self._events.put_events(Entries=[entry])
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(type(error).__name__) from error
        if answer["FailedEntryCount"]:
            raise QueueUnavailable(answer["Entries"][0].get("ErrorCode", "unknown"))
