"""The wire, sideways: jobs on our own queues, events on the bus, and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from fluxgate.catalogue import Action
from fluxgate.tasks.model import Image, Status, Task
from fluxgate.wire.task import ErrorView, PublicStatus, TaskView


class TaskEvent(BaseModel):
    """The detail of an outcome's event: the task without its prompt and without URLs."""

    id: str = Field(description="The outcome's id: the same for every repetition, and for its webhook")
    task_id: str
    owner: str
    status: PublicStatus
    action: Action
    model: str
    size: str
    count: int
    images: int
    error: ErrorView | None
    metadata: dict[str, str]
    webhook: Literal[True] | None = Field(description="There where a callback_url wants to be told; rules match on it")

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls(
            id=task.outcome_id,
            task_id=task.task_id,
            owner=task.owner,
            status=PublicStatus.of(task.status),
            action=task.action,
            model=task.model,
            size=task.size,
            count=task.count,
            images=len(task.images),
            error=ErrorView.of(task.error),
            metadata=task.metadata,
            webhook=True if task.callback_url else None,
        )


class WebhookMessage(BaseModel):
    """The body of a webhook."""

    type: str
    timestamp: datetime
    data: TaskView

    @classmethod
    def of(cls, task: Task, view: TaskView) -> Self:
        return cls(type=f"task.{PublicStatus.of(task.status)}", timestamp=task.updated_at, data=view)


class Job(BaseModel):
    """A message on one of our queues, as fluxgate itself sends it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)


class WebhookJob(Job):
    """Whose outcome is to be told of."""

    type: Literal["webhook"] = "webhook"
    task_id: str
    status: Status

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls(task_id=task.task_id, status=task.status)

    @classmethod
    def parse(cls, body: Any) -> Self:
        """From a message that fluxgate or the event bus sent to the webhook queue."""
        return cls.model_validate(body["detail"] if isinstance(body, dict) and "detail" in body else body)


class ArchiveJob(Job):
    """All that the archive needs, so that it reads nothing."""

    type: Literal["archive"] = "archive"
    task_id: str
    owner: str
    generated_at: datetime
    images: tuple[Image, ...]

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls(
            task_id=task.task_id,
            owner=task.owner,
            generated_at=task.generated_at or task.updated_at,
            images=task.images,
        )
