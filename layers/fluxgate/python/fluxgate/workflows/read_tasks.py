"""Read an owner's tasks, the models and the webhook secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fluxgate.catalogue import MAX_COUNT, MODELS
from fluxgate.errors import InvalidRequest
from fluxgate.telemetry import annotate_task
from fluxgate.wire.requests import MAX_PROMPT
from fluxgate.wire.responses import ModelList, ModelView, TaskBatch, TaskPage, WebhookSecret
from fluxgate.wire.task import PublicStatus, TaskView

if TYPE_CHECKING:
    from fluxgate.aws.dynamodb import Item
    from fluxgate.images.store import ImageStore
    from fluxgate.outcomes.signing import SigningKeys
    from fluxgate.tasks.store import TaskStore


def read_task(task_id: str, *, owner: str, tasks: TaskStore, images: ImageStore) -> TaskView:
    """Raises TaskNotFound."""
    annotate_task(task_id)
    return TaskView.of(tasks.get(task_id, owner), images.url)


def list_tasks(
    *, owner: str, status: PublicStatus | None, limit: int, cursor: str | None, tasks: TaskStore, images: ImageStore
) -> TaskPage:
    """Newest first. Raises InvalidRequest for an invalid cursor or that of another owner."""
    after = _position(cursor, owner) if cursor else None
    found, more = tasks.list(owner, status.statuses if status else None, limit, after)
    return TaskPage(tasks=[TaskView.of(task, images.url) for task in found], cursor=_cursor(more) if more else None)


def read_tasks(task_ids: Sequence[str], *, owner: str, tasks: TaskStore, images: ImageStore) -> TaskBatch:
    """The owner's tasks and the remaining ids, in the order of `task_ids`."""
    found, missing = tasks.get_many(task_ids, owner)
    return TaskBatch(tasks=[TaskView.of(task, images.url) for task in found], missing=missing)


def list_models() -> ModelList:
    return ModelList(
        models=[ModelView.of(model) for model in MODELS.values()], max_count=MAX_COUNT, max_prompt=MAX_PROMPT
    )


def webhook_secret(*, owner: str, keys: SigningKeys) -> WebhookSecret:
    """The secret with which the owner's receivers verify webhooks."""
    return WebhookSecret(secret=keys.secrets(owner)[0].get_secret_value())


def _cursor(position: Item) -> str:
    """Where a list continues. Contains a hash of the owner, so that another owner's cursor is rejected."""
    parts = [_owner_hash(position["owner"]), position["created_at"], position["task_id"]]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _position(cursor: str, owner: str) -> Item:
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        owner_hash, created_at, task_id = (str(part) for part in parts)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        owner_hash = ""
    if owner_hash != _owner_hash(owner):
        raise InvalidRequest([("cursor", "Invalid cursor. Use the one from the previous page, or none.")])
    return {"owner": owner, "created_at": created_at, "task_id": task_id}


def _owner_hash(owner: str) -> str:
    return hashlib.sha256(owner.encode()).hexdigest()[:16]
