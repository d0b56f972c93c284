"""Creates the tasks and the image that the files in events/ refer to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.submission.intake import request_hash
from fluxgate.tasks.model import Image, Status, Task, task_id_for, token_hash
from fluxgate.tasks.store import TaskStore
from fluxgate.wire.requests import GenerateRequest

if TYPE_CHECKING:
    from local.providers.acedata import Simulator
    from local.stack import Stack

TOKEN = "the-token-of-the-seeded-attempt"  # in the path of the callback events
# Task ids. The first four are named by their status; the fifth has a webhook, the sixth is being deleted.
SUBMITTED, GENERATED, SUCCEEDED, QUEUED, WITH_WEBHOOK, DELETING = (
    f"00000000-0000-4000-8000-{n:012}" for n in (1, 2, 3, 4, 5, 6)
)
USED_KEY = "a-key-that-was-used"  # idempotency key of a request that succeeded

IMAGE_NAME = "sample.png"
PROMPT = "A red fox in deep snow, golden hour, photorealistic"
SIZE = "512x512"
SEED = 1234567


def seed(stack: Stack, simulator: Simulator, owner: str) -> None:
    """Create or reset one task in each state that an event needs."""
    dynamodb, table = stack.client("dynamodb"), stack.deployment.resources["TasksTable"]
    content = simulator.publish(IMAGE_NAME, PROMPT, SIZE, SEED).content
    generated = Image(source_url=f"{simulator.public_url}/images/{IMAGE_NAME}", seed=SEED)
    archived = replace(
        generated, key=f"{owner}/{SUCCEEDED}/0.png", content_type="image/png", width=512, height=512, bytes=len(content)
    )
    stack.client("s3").put_object(
        Bucket=stack.deployment.resources["ImagesBucket"], Key=archived.key, Body=content, ContentType="image/png"
    )
    store = TaskStore(Table(dynamodb, table), Clock())
    overdue = datetime.now(UTC) - timedelta(minutes=5)  # old enough for the reconciler to poll the provider
    for task in (
        replace(_task(SUBMITTED, owner, Status.SUBMITTED, "p-1"), created_at=overdue),
        _task(GENERATED, owner, Status.GENERATED, "p-2", generated),
        _task(SUCCEEDED, owner, Status.SUCCEEDED, "p-3", archived),
        _task(QUEUED, owner, Status.QUEUED, None),
        replace(
            _task(task_id_for(owner, USED_KEY), owner, Status.SUCCEEDED, "p-6", archived),
            request_hash=request_hash(GenerateRequest(prompt=PROMPT, size=SIZE)),
        ),
        _task(DELETING, owner, Status.FAILED, "p-7", archived),
        replace(
            _task(WITH_WEBHOOK, owner, Status.SUCCEEDED, "p-5", archived), callback_url=f"{simulator.public_url}/hook"
        ),
    ):
        dynamodb.delete_item(TableName=table, Key={"task_id": {"S": task.task_id}})
        store.create(task)
    # Begun but not finished: the reconciler completes the deletion.
    TaskStore(Table(dynamodb, table), Clock(now=lambda: overdue)).begin_deletion(DELETING, owner)


def _task(task_id: str, owner: str, status: Status, provider_task_id: str | None, *images: Image) -> Task:
    now = datetime.now(UTC)
    return Task(
        task_id=task_id,
        owner=owner,
        status=status,
        action="generate",
        model="flux-dev",
        prompt=PROMPT,
        size=SIZE,
        count=1,
        provider="acedata",
        provider_task_id=provider_task_id,
        attempt_id="0123456789abcdef",
        callback_tokens=frozenset({token_hash(TOKEN)}),
        attempted_at=now,
        generated_at=now if images else None,
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(days=1),
        images=images,
    )
