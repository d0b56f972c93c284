"""SQS and stream batches: one record at a time, with partial batch failures; and the time an invocation has left."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from fluxgate.errors import InvalidRequest
from fluxgate.telemetry import count, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

RESERVE_MILLISECONDS = 29_000  # for one step: a pause of 1.1 s, a provider request of up to 25 s, and its writes


def each_message(
    event: dict[str, Any], handle: Callable[[SQSRecord], None], context: LambdaContext
) -> PartialItemFailureResponse:
    """Handle every message of an SQS batch. Messages whose handler raises are received again."""
    return _each(EventType.SQS, "MessageFailed", event, handle, context)


def each_change(
    event: dict[str, Any], handle: Callable[[DynamoDBRecord], None], context: LambdaContext
) -> PartialItemFailureResponse:
    """Handle every record of a stream batch. The stream resumes at the first record whose handler raises."""
    return _each(EventType.DynamoDBStreams, "ChangeFailed", event, handle, context)


def _each(
    kind: EventType, metric: str, event: dict[str, Any], handle: Callable[[Any], None], context: LambdaContext
) -> PartialItemFailureResponse:
    # Powertools' Logger works as a standard logger but is not typed as one.
    processor = BatchProcessor(kind, raise_on_entire_batch_failure=False, logger=cast(logging.Logger, logger))
    response = process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
    if failures := response["batchItemFailures"]:
        count(metric, len(failures))
    return response


def receive_count(record: SQSRecord) -> int:
    """The number of times the message has been received, including this one."""
    return int(record.attributes.approximate_receive_count)


def json_body(record: SQSRecord) -> Any:
    """Raises InvalidRequest if the message is not JSON."""
    try:
        return json.loads(record.body)
    except (ValueError, RecursionError):
        raise InvalidRequest([("", "The message is not valid JSON.")]) from None


def has_time(context: LambdaContext) -> Callable[[], bool]:
    """Return a check for whether enough time is left to begin another step."""
    return lambda: context.get_remaining_time_in_millis() > RESERVE_MILLISECONDS
