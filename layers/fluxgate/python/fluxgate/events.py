"""Batches from queues and streams: each record on its own, failures reported one by one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from fluxgate.errors import InvalidRequest
from fluxgate.messages import WebhookJob
from fluxgate.tasks import Task
from fluxgate.telemetry import count, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


def each_message(
    event: dict[str, Any], handle: Callable[[SQSRecord], None], context: LambdaContext
) -> PartialItemFailureResponse:
    """Handle every message of a queue; those that raise are received again."""
    return _each(EventType.SQS, "MessageFailed", event, handle, context)


def each_change(
    event: dict[str, Any], handle: Callable[[DynamoDBRecord], None], context: LambdaContext
) -> PartialItemFailureResponse:
    """Handle every record of a table's stream; the stream goes on at the first that raises."""
    return _each(EventType.DynamoDBStreams, "ChangeFailed", event, handle, context)


def attempt(record: SQSRecord) -> int:
    """How often the message has been received, this time included."""
    return int(record.attributes.approximate_receive_count)


def before_and_after(record: DynamoDBRecord) -> tuple[Task | None, Task]:
    """The task as it was (None: it is new) and as it is. Raises ValueError for a removal."""
    change = record.dynamodb
    if change is None or not change.new_image:
        raise ValueError("a change without a new image")
    return Task.from_item(change.old_image) if change.old_image else None, Task.from_item(change.new_image)


def _each(
    kind: EventType, failed: str, event: dict[str, Any], handle: Callable[[Any], None], context: LambdaContext
) -> PartialItemFailureResponse:
    # Powertools' Logger passes for a standard one everywhere but in its type.
    processor = BatchProcessor(kind, raise_on_entire_batch_failure=False, logger=cast(logging.Logger, logger))
    answer = process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
    if failures := answer["batchItemFailures"]:
        count(failed, len(failures))
    return answer


def outcome(record: SQSRecord) -> WebhookJob:
    """Whose outcome a message on the webhook queue is about: from the bus, or from fluxgate itself."""
    body = content(record)
    return WebhookJob.model_validate(body["detail"] if isinstance(body, dict) and "detail" in body else body)


def content(record: SQSRecord) -> Any:
    """Of a message. Raises InvalidRequest where it is not JSON."""
    try:
        return json.loads(record.body)
    except (ValueError, RecursionError):
        raise InvalidRequest([("", "The message is not valid JSON.")]) from None


RESERVE_MILLISECONDS = 29_000  # for what is under way: one call of the provider may take 28 seconds


def time_left(context: LambdaContext) -> Callable[[], bool]:
    """Whether another step may begin."""
    return lambda: context.get_remaining_time_in_millis() > RESERVE_MILLISECONDS
