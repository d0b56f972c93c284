"""The tasks and the picture that the files in events/ speak of."""

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
SUBMITTED, GENERATED, SUCCEEDED, QUEUED, TOLD, REMOVED = (
    f"00000000-0000-4000-8000-{n:012}" for n in (1, 2, 3, 4, 5, 6)
)
KEY = "a-key-that-was-used"  # for a request that has succeeded

PICTURE = "sample.png"
PROMPT = "A red fox in deep snow, golden hour, photorealistic"
SIZE = "512x512"
SEED = 1234567


def seed(stack: Stack, simulator: Simulator, owner: str) -> None:
    """Put one task into each state that an event needs, whatever became of it before."""
    dynamodb, table = stack.client("dynamodb"), stack.deployment.resources["TasksTable"]
    content = simulator.publish(PICTURE, PROMPT, SIZE, SEED).content
    found = Image(source_url=f"{simulator.public_url}/images/{PICTURE}", seed=SEED)
    archived = replace(
        found, key=f"{owner}/{SUCCEEDED}/0.png", content_type="image/png", width=512, height=512, bytes=len(content)
    )
    stack.client("s3").put_object(
        Bucket=stack.deployment.resources["ImagesBucket"], Key=archived.key, Body=content, ContentType="image/png"
    )
    store = TaskStore(Table(dynamodb, table), Clock())
    overdue = datetime.now(UTC) - timedelta(minutes=5)  # so that the reconciler has something to ask about
    for task in (
        replace(_task(SUBMITTED, owner, Status.SUBMITTED, "p-1"), created_at=overdue),
        _task(GENERATED, owner, Status.GENERATED, "p-2", found),
        _task(SUCCEEDED, owner, Status.SUCCEEDED, "p-3", archived),
        _task(QUEUED, owner, Status.QUEUED, None),
        replace(
            _task(task_id_for(owner, KEY), owner, Status.SUCCEEDED, "p-6", archived),
            request_hash=request_hash(GenerateRequest(prompt=PROMPT, size=SIZE)),
        ),
        _task(REMOVED, owner, Status.FAILED, "p-7", archived),
        replace(_task(TOLD, owner, Status.SUCCEEDED, "p-5", archived), callback_url=f"{simulator.public_url}/hook"),
    ):
        dynamodb.delete_item(TableName=table, Key={"task_id": {"S": task.task_id}})
        store.create(task)
    TaskStore(Table(dynamodb, table), Clock(now=lambda: overdue)).begin_deletion(REMOVED, owner)  # and was interrupted


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
