"""Messages on our own queues."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from fluxgate.tasks.model import Image, Status, Task


class Job(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)


class WebhookJob(Job):
    """Deliver the webhook of one outcome."""

    type: Literal["webhook"] = "webhook"
    task_id: str
    status: Status

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls(task_id=task.task_id, status=task.status)

    @classmethod
    def parse(cls, body: Any) -> Self:
        """From a message sent by fluxgate or by the event bus."""
        return cls.model_validate(body["detail"] if isinstance(body, dict) and "detail" in body else body)


class ArchiveJob(Job):
    """Archive the images of one task. Contains all that is needed, so that nothing is read."""

    type: Literal["archive"] = "archive"
    task_id: str
    owner: str
    generated_at: datetime
    images: tuple[Image, ...]

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls.model_validate(vars(task) | {"generated_at": task.generated_at or task.updated_at})
