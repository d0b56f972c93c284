"""The wire, outwards: what else there is to read than one task."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from fluxgate.catalogue import DEFAULT_MODEL, Action, Model, Pixels, SizeRule
from fluxgate.wire.task import TaskView, View


class TaskPage(View):
    tasks: list[TaskView]
    cursor: str | None = Field(description="For the next page; null on the last")


class TaskBatch(View):
    tasks: list[TaskView] = Field(description="In the order of the request")
    missing: list[str] = Field(description="Ids that are no tasks of yours")


class PixelsView(View):
    """What each side of a picture may measure."""

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
    size: str = Field(description="What the model takes as size, in words")
    sizes: list[str] = Field(description="All that the model takes; where it takes pixels, some usual ones")
    pixels: PixelsView | None = Field(description="Null where the model takes ratios")
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
    max_count: int
    max_prompt: int


class WebhookSecret(View):
    secret: str = Field(description="Verifies webhooks: the official libraries of Standard Webhooks take it as it is")
