"""Batches from queues and streams: each record on its own, failures reported one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from fluxgate.tasks import Task
from fluxgate.telemetry import count, logger


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
