"""The wire, outwards: what clients get to see of a task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from fluxgate.catalogue import Action
from fluxgate.tasks.model import Delivery, DeliveryState, Image, Status, Task, TaskError


class View(BaseModel):
    # No function shows all of them: each is built when it is first needed.
    model_config = ConfigDict(defer_build=True)


class PublicStatus(StrEnum):
    """The five words that clients see."""

    QUEUED = "queued"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"

    @classmethod
    def of(cls, status: Status) -> PublicStatus:
        return cls.PROCESSING if status in _PROCESSING else cls(status.value)

    @property
    def statuses(self) -> frozenset[Status]:
        """The states behind the word."""
        return _PROCESSING if self is PublicStatus.PROCESSING else frozenset({Status(self.value)})


_PROCESSING = frozenset({Status.SUBMITTING, Status.SUBMITTED, Status.GENERATED})


class ImageView(View):
    url: str = Field(description="Presigned, good for an hour at most; the provider's own where archived is false")
    seed: int | None
    content_type: str | None
    width: int | None
    height: int | None
    bytes: int | None
    archived: bool = Field(description="Whether the image is in our bucket")

    @classmethod
    def of(cls, image: Image, presign: Callable[[str], str]) -> Self:
        return cls(
            url=presign(image.key) if image.key else image.source_url,
            seed=image.seed,
            content_type=image.content_type,
            width=image.width,
            height=image.height,
            bytes=image.bytes,
            archived=image.key is not None,
        )


class ErrorView(View):
    code: str
    message: str

    @classmethod
    def of(cls, error: TaskError | None) -> ErrorView | None:
        return cls(code=error.code, message=error.message) if error else None


class WebhookView(View):
    """How far the webhook about the outcome has come."""

    state: DeliveryState
    attempts: int
    next_at: datetime | None
    last_answer: str | None

    @classmethod
    def of(cls, delivery: Delivery | None) -> WebhookView | None:
        if delivery is None:
            return None
        return cls(
            state=delivery.state,
            attempts=delivery.attempts,
            next_at=delivery.next_at,
            last_answer=delivery.last_answer,
        )


class TaskView(View):
    """A task as its owner sees it."""

    task_id: str
    status: PublicStatus
    action: Action
    model: str
    prompt: str
    size: str
    count: int
    images: list[ImageView]
    error: ErrorView | None
    metadata: dict[str, str]
    webhook: WebhookView | None = Field(description="Where a callback_url is told of the outcome")
    created_at: datetime
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, task: Task, presign: Callable[[str], str] | None = None) -> Self:
        """Images are shown once the task has succeeded: before that their URLs are the provider's and may die."""
        shown = task.images if presign and task.status is Status.SUCCEEDED else ()
        return cls(
            task_id=task.task_id,
            status=PublicStatus.of(task.status),
            action=task.action,
            model=task.model,
            prompt=task.prompt,
            size=task.size,
            count=task.count,
            images=[ImageView.of(image, presign) for image in shown] if presign else [],
            error=ErrorView.of(task.error),
            metadata=task.metadata,
            webhook=WebhookView.of(task.webhook),
            created_at=task.created_at,
            updated_at=task.updated_at,
            expires_at=task.expires_at,
        )


class ImageUrl(View):
    url: str


class SettledTaskView(TaskView):
    """A task that was waited for. What OpenAI's clients look for is there too."""

    created: int = Field(description="created_at in seconds since 1970")
    data: list[ImageUrl] = Field(description="The images' URLs once more")

    @classmethod
    def of(cls, task: Task, presign: Callable[[str], str] | None = None) -> Self:
        view = TaskView.of(task, presign)
        data = [ImageUrl(url=image.url) for image in view.images]
        return cls(**dict(view), created=int(task.created_at.timestamp()), data=data)
