"""Turns a request into a stored task, once per idempotency key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fluxgate.errors import IdempotencyMismatch, InvalidTransition
from fluxgate.tasks.model import Attempt, Status, Task, task_id_for, token_hash
from fluxgate.wire.requests import EditRequest, GenerateRequest

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.tasks.store import TaskStore

Request = GenerateRequest | EditRequest


@dataclass(frozen=True, kw_only=True)
class Intake:
    tasks: TaskStore
    provider: str
    retention: timedelta
    clock: Clock

    def store(
        self, request: Request, owner: str, key: str | None, status: Status, attempt: Attempt
    ) -> tuple[Task, bool]:
        """Create the task of a request in `status`. Returns the stored task and whether an earlier request with the
        same idempotency key had created it.

        Raises IdempotencyMismatch if that request was a different one, TaskDeleted and StorageUnavailable.
        """
        task = self._new_task(request, owner, key, status, attempt)
        try:
            return self.tasks.create(task), False
        except InvalidTransition as refused:
            if refused.task.request_hash != task.request_hash:
                raise IdempotencyMismatch from None
            return refused.task, True

    def _new_task(self, request: Request, owner: str, key: str | None, status: Status, attempt: Attempt) -> Task:
        now = self.clock.now()
        submitting = status is Status.SUBMITTING
        return Task(
            task_id=task_id_for(owner, key),
            owner=owner,
            status=status,
            action=request.action,
            model=request.model,
            prompt=request.prompt,
            size=request.size,
            count=request.count if isinstance(request, GenerateRequest) else 1,
            image_url=request.image_url if isinstance(request, EditRequest) else None,
            callback_url=request.callback_url,
            metadata=request.metadata,
            provider=self.provider,
            attempt_id=attempt.attempt_id,
            callback_tokens=frozenset({token_hash(attempt.token)} if submitting else ()),
            attempts=1 if submitting else 0,
            attempted_at=now if submitting else None,
            request_hash=request_hash(request),
            created_at=now,
            updated_at=now,
            expires_at=(now + self.retention).replace(microsecond=0),  # stored in whole seconds
        )


def request_hash(request: Request) -> str:
    """Equal for requests that mean the same: defaults are filled in and fields are sorted."""
    content = {"action": request.action, **request.model_dump()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
