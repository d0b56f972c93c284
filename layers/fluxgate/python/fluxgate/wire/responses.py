"""Responses other than a single task."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from fluxgate.catalogue import DEFAULT_MODEL, Action, Model, Pixels, SizeRule
from fluxgate.wire.task import TaskView, View


class TaskPage(View):
    tasks: list[TaskView]
    cursor: str | None = Field(description="For the next page; null on the last one")


class TaskBatch(View):
    tasks: list[TaskView] = Field(description="In the order of the request")
    missing: list[str] = Field(description="Ids without a task of yours")


class PixelsView(View):
    """The permitted length of each side, in pixels."""

    minimum: int
    maximum: int
    multiple_of: int

    @classmethod
    def of(cls, sizes: SizeRule) -> PixelsView | None:
        if not isinstance(sizes, Pixels):
            return None
        return cls(minimum=sizes.minimum, maximum=sizes.maximum, multiple_of=sizes.step)


class ModelView(View):
    name: str
    description: str
    actions: list[Action]
    size: str = Field(description="The accepted sizes, in words")
    sizes: list[str] = Field(description="All accepted aspect ratios, or common sizes in pixels")
    pixels: PixelsView | None = Field(description="Null if the model accepts aspect ratios")
    default_size: str
    default_for: list[Action]

    @classmethod
    def of(cls, model: Model) -> Self:
        return cls(
            name=model.name,
            description=model.description,
            actions=["generate", "edit"],
            size=model.sizes.description,
            sizes=list(model.sizes.choices),
            pixels=PixelsView.of(model.sizes),
            default_size=model.sizes.default,
            default_for=[action for action, name in DEFAULT_MODEL.items() if name == model.name],
        )


class ModelList(View):
    models: list[ModelView]
    max_count: int = Field(description="Images per request")
    max_prompt: int = Field(description="Characters per prompt")


class WebhookSecret(View):
    secret: str = Field(description="Verifies webhooks. Pass it unchanged to a Standard Webhooks library.")
