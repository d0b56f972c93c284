"""Stored tasks that no operation touches: enough of them make a scan visible in the counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from boto3.dynamodb.types import TypeSerializer

from fluxgate.tasks.items import timestamp, to_item
from fluxgate.tasks.model import Image, Status, Task, token_hash
from fluxgate.tasks.store import DUE_SHARDS
from local import seeds
from tests.bench.capacity import Item

OTHER_OWNERS = 20
NAMESPACE = UUID("9a1f0c1e-3c53-4a0b-8d3e-0d9b6a6f0a11")


def background_task(number: int, owner: str) -> Item:
    """Every second task belongs to `owner`. Of 50 tasks one has failed, one has expired and is due in a day, one is
    submitted and due in an hour; the rest have succeeded."""
    now = datetime.now(UTC)
    created = now - timedelta(hours=1, minutes=number)
    status = (Status.FAILED, Status.EXPIRED, Status.SUBMITTED)[number % 50] if number % 50 < 3 else Status.SUCCEEDED
    image = Image(
        source_url="https://cdn.example.com/images/sample.png",
        seed=number,
        key=f"{owner}/{task_id(number)}/0.png",
        content_type="image/png",
        width=512,
        height=512,
        bytes=100_000,
    )
    task = Task(
        task_id=task_id(number),
        owner=f"owner-{number % OTHER_OWNERS}" if number % 2 else owner,
        status=status,
        action="generate",
        model="flux-dev",
        prompt=seeds.PROMPT,
        size=seeds.SIZE,
        count=1,
        provider="acedata",
        provider_task_id=f"p-{number}",
        created_at=created,
        updated_at=created,
        expires_at=now + timedelta(days=29),
        attempts=1,
        attempt_id="0123456789abcdef",
        attempted_at=created,
        callback_tokens=frozenset({token_hash(str(number))}),
        announced=status,
        images=(image,) if status is Status.SUCCEEDED else (),
    )
    due_at = {Status.EXPIRED: now + timedelta(days=1), Status.SUBMITTED: now + timedelta(hours=1)}.get(status)
    due = {"due_shard": {"N": str(number % DUE_SHARDS)}, "due_at": {"S": timestamp(due_at)}} if due_at else {}
    return item_of(task) | due


def task_id(number: int) -> str:
    return str(uuid5(NAMESPACE, str(number)))


def item_of(task: Task) -> dict[str, Any]:
    """The task in DynamoDB JSON."""
    serializer = TypeSerializer()
    return {name: serializer.serialize(value) for name, value in to_item(task).items() if value is not None}
