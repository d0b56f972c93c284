"""Records of the table's stream as tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.tasks.items import from_item

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

    from fluxgate.tasks.model import Task


def before_and_after(record: DynamoDBRecord) -> tuple[Task | None, Task]:
    """The task before the change (None if it is new) and after it. Raises ValueError if the record has no new image."""
    change = record.dynamodb
    if change is None or not change.new_image:
        raise ValueError("stream record without a new image")
    return from_item(change.old_image) if change.old_image else None, from_item(change.new_image)
