"""Tasks as clients see them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from fluxgate.catalogue import Action
from fluxgate.tasks.model import DeliveryState, Image, Status, Task

Presign = Callable[[str], str]
"""A presigned URL for the key of a stored image."""


class View(BaseModel):
    # No function uses all of them, so each is built on first use.
    model_config = ConfigDict(defer_build=True, from_attributes=True)


_PROCESSING = frozenset({Status.SUBMITTING, Status.SUBMITTED, Status.GENERATED})


class PublicStatus(StrEnum):
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
        """The stored statuses that it stands for."""
        return _PROCESSING if self is PublicStatus.PROCESSING else frozenset({Status(self.value)})


class ImageView(View):
    url: str = Field(
        description="Presigned and valid for at most an hour. If archived is false: the provider's URL, which expires."
    )
    seed: int | None = Field(description="The seed that the provider reported")
    content_type: str | None = Field(description="image/png, image/jpeg or image/webp")
    width: int | None = Field(description="In pixels")
    height: int | None = Field(description="In pixels")
    bytes: int | None = Field(description="File size")
    archived: bool = Field(description="Whether the image is in the bucket")

    @classmethod
    def of(cls, image: Image, presign: Presign) -> Self:
        url = presign(image.key) if image.key else image.source_url
        return cls.model_validate(vars(image) | {"url": url, "archived": image.key is not None})


class ErrorView(View):
    code: str = Field(description="The provider's error code, or one of fluxgate's")
    message: str


class WebhookView(View):
    """The delivery of the webhook."""

    state: DeliveryState
    attempts: int = Field(description="Delivery tries so far")
    next_at: datetime | None = Field(description="When the next try is due")
    last_answer: str | None = Field(description="The receiver's last response, as a short code such as http_500")


class TaskView(View):
    """A task as its owner sees it."""

    task_id: str
    status: PublicStatus
    action: Action
    model: str
    prompt: str
    size: str
    count: int
    images: list[ImageView] = Field(description="Empty until the task has succeeded")
    error: ErrorView | None = Field(description="Why the task failed")
    metadata: dict[str, str] = Field(description="As sent with the request")
    webhook: WebhookView | None = Field(description="Null without an outcome or a callback_url")
    created_at: datetime
    updated_at: datetime = Field(description="When the status last changed")
    expires_at: datetime = Field(description="When the task and its images are deleted")

    @classmethod
    def of(cls, task: Task, presign: Presign | None = None) -> Self:
        """Images appear once the task has succeeded. Before that their URLs are the provider's and may expire."""
        visible = task.images if task.status is Status.SUCCEEDED else ()
        images = [ImageView.of(image, presign) for image in visible] if presign else []
        return cls.model_validate(
            vars(task) | {"status": PublicStatus.of(task.status), "images": images, "webhook": task.webhook}
        )


class ImageUrl(View):
    url: str


class SettledTaskView(TaskView):
    """A task that the client waited for, with the fields that OpenAI clients read."""

    created: int = Field(description="created_at in seconds since 1970")
    data: list[ImageUrl] = Field(description="The URLs of the images")

    @classmethod
    def of(cls, task: Task, presign: Presign | None = None) -> Self:
        view = TaskView.of(task, presign)
        data = [ImageUrl(url=image.url) for image in view.images]
        return cls(**dict(view), created=int(task.created_at.timestamp()), data=data)
