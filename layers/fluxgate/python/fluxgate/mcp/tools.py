"""What an agent reads: the tools' names, descriptions and schemas, made from the catalogue, and reports on tasks that
say what to do next."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Annotated, Any, NamedTuple, Self
from uuid import UUID

from pydantic import BaseModel, Field

from fluxgate.catalogue import DEFAULT_MODEL, MAX_COUNT, MODELS, Action, SizeRule
from fluxgate.submission.waiting import LONGEST_WAIT
from fluxgate.tasks.model import Task
from fluxgate.wire.requests import MAX_BATCH, MAX_PROMPT, IdempotencyKey
from fluxgate.wire.responses import ModelList
from fluxgate.wire.task import PublicStatus, TaskView

Json = dict[str, Any]

MAX_WAIT = LONGEST_WAIT  # seconds
POLL_AFTER = {PublicStatus.QUEUED: 30, PublicStatus.PROCESSING: 10}  # seconds

GENERATE, EDIT, GET, GET_BATCH = "flux_generate_image", "flux_edit_image", "flux_get_task", "flux_get_tasks_batch"
LIST_MODELS, LIST_ACTIONS = "flux_list_models", "flux_list_actions"

INSTRUCTIONS = (
    f"Generates and edits images with Flux models. {GENERATE} and {EDIT} cost money, and wait up to {MAX_WAIT} seconds "
    "for the image. Every answer about a task has `next_step`: follow it. While `poll_after_seconds` is a number the "
    f"task is under way: ask {GET} about it, and do not generate it again. Where it is null polling is over. Image "
    f"URLs work for an hour at most; {GET} gives fresh ones."
)


WaitSeconds = Annotated[int, Field(strict=True, ge=0, le=MAX_WAIT)]


class SubmitArguments(BaseModel):
    """Beside those of the request."""

    idempotency_key: IdempotencyKey | None = None
    wait_seconds: WaitSeconds = MAX_WAIT


class TaskArguments(BaseModel):
    task_id: UUID
    wait_seconds: WaitSeconds = 0


class BatchArguments(BaseModel):
    task_ids: list[UUID] = Field(min_length=1, max_length=MAX_BATCH)


class TaskReport(TaskView):
    """A task, and what an agent is to do about it."""

    poll_after_seconds: int | None = Field(description="When to ask again; null: polling is over")
    next_step: str

    @classmethod
    def on(cls, task: Task, presign: Callable[[str], str]) -> Self:
        view = TaskView.of(task, presign)
        return cls(**view.model_dump(), poll_after_seconds=POLL_AFTER.get(view.status), next_step=_next_step(view))


class TaskReports(BaseModel):
    tasks: list[TaskReport]
    not_found: list[str] = Field(description="Ids of which there is no task of yours")


class ActionView(BaseModel):
    action: Action
    tool: str
    description: str
    default_model: str
    max_count: int


class ActionList(BaseModel):
    actions: list[ActionView]
    next_step: str


def list_actions() -> ActionList:
    generate = ActionView(
        action="generate",
        tool=GENERATE,
        description="New images from a text prompt",
        default_model=DEFAULT_MODEL["generate"],
        max_count=MAX_COUNT,
    )
    edit = ActionView(
        action="edit",
        tool=EDIT,
        description="A changed image, from an image's URL and a prompt that says what to change",
        default_model=DEFAULT_MODEL["edit"],
        max_count=1,
    )
    return ActionList(actions=[generate, edit], next_step=INSTRUCTIONS)


def _next_step(view: TaskView) -> str:
    match view.status:
        case PublicStatus.SUCCEEDED:
            return f"Done: `images` has the URLs, which work for an hour at most. {GET} gives fresh ones."
        case PublicStatus.FAILED:
            reason = f"{view.error.message} (code {view.error.code})" if view.error else "The provider gave no reason."
            return (
                f"The task has failed: {reason} Polling is over: do not ask about this task again. If the reason "
                "is something that you can change, change it and begin a new one, under a new idempotency_key if any."
            )
        case PublicStatus.EXPIRED:
            return (
                "The provider had no result in time. Polling is over: do not ask about this task every few seconds. "
                f"Should a result come all the same, {GET} will show it, at no further cost."
            )
        case PublicStatus.QUEUED:
            return f"The provider does not take the task now; it is submitted as soon as it does. {_poll(view)}"
        case PublicStatus.PROCESSING:
            return f"Not finished yet. {_poll(view)}"


def _poll(view: TaskView) -> str:
    return (
        f"Call {GET} with task_id {view.task_id} in {POLL_AFTER[view.status]} seconds, or now with wait_seconds "
        f"{MAX_WAIT} if you cannot wait yourself. Do not begin the same again: it would be paid for twice."
    )


def parameters(name: str) -> list[str]:
    return list(_TOOLS[name].properties)


def definition(name: str) -> Json:
    """A tool as `tools/list` tells it."""
    tool = _TOOLS[name]
    changes = name in {GENERATE, EDIT}
    return {
        "name": name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": {
            "type": "object",
            "properties": tool.properties,
            "required": tool.required,
            "additionalProperties": False,
        },
        "outputSchema": _output(tool.result),
        "annotations": {"readOnlyHint": not changes, "destructiveHint": False, "openWorldHint": changes},
    }


def _output(result: type[BaseModel]) -> Json:
    schema = result.model_json_schema(mode="serialization")
    definitions = schema.pop("$defs", {})
    return {"type": "object", "properties": {"result": schema}, "required": ["result"], "$defs": definitions}


def _sizes() -> str:
    """Models side by side that take the same sizes are told together."""

    def rule(name: str) -> SizeRule:
        return MODELS[name].sizes

    groups = ((sizes, ", ".join(names)) for sizes, names in groupby(MODELS, key=rule))
    return " ".join(f"{names}: {sizes.description}; default {sizes.default}." for sizes, names in groups)


def _model(action: Action) -> Json:
    described = "; ".join(f"{model.name}: {model.description}" for model in MODELS.values())
    return {"type": "string", "enum": list(MODELS), "default": DEFAULT_MODEL[action], "description": described}


def _text(description: str, **limits: Any) -> Json:
    return {"type": "string", "description": description, **limits}


def _wait(description: str, default: int) -> Json:
    return {"type": "integer", "minimum": 0, "maximum": MAX_WAIT, "default": default, "description": description}


_TASK_ID = {"format": "uuid"}
_SIZE = _text(f"Default varies by model. {_sizes()}")
_CALLBACK = _text(
    "Webhook for asynchronous notification: a signed POST to this https URL when the image is there, or has failed",
    format="uri",
)
_WAIT = _wait(f"How long to wait for the images. 0 begins several tasks quickly, for {GET_BATCH} to look at", MAX_WAIT)
_KEY = _text(
    "Makes it safe to repeat a call whose answer was lost: the same key with the same arguments is the same task, "
    "bought once. Choose a new one, such as a UUID, for each image that you want.",
    minLength=1,
    maxLength=255,
)

_GENERATE_PROPERTIES: Json = {
    "prompt": _text(
        "Description of the image to generate. Be descriptive about style, subject, lighting, and composition. "
        "Examples: 'A majestic mountain landscape at golden hour, photorealistic', 'Cyberpunk street scene with neon "
        "lights and rain, cinematic', 'Minimalist logo design of a phoenix, vector art style'",
        minLength=1,
        maxLength=MAX_PROMPT,
    ),
    "model": _model("generate"),
    "size": _SIZE,
    "count": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_COUNT,
        "default": 1,
        "description": "Number of images to generate. Only supported for the generate action. Each is paid for",
    },
    "callback_url": _CALLBACK,
    "idempotency_key": _KEY,
    "wait_seconds": _WAIT,
}

_EDIT_PROPERTIES: Json = {
    "prompt": _text(
        "Description of the change to make. Say what is to change and what is to stay. Examples: 'Make it night, keep "
        "the composition', 'Replace the sky with a starry one', 'Turn it into a watercolour painting'",
        minLength=1,
        maxLength=MAX_PROMPT,
    ),
    "image_url": _text("https URL of the image to edit, on the public internet", format="uri"),
    "model": _model("edit"),
    "size": _SIZE,
    "callback_url": _CALLBACK,
    "idempotency_key": _KEY,
    "wait_seconds": _WAIT,
}

_WAITS = "Waits for the images; an answer without images says what to do next."


class _Tool(NamedTuple):
    title: str
    description: str
    properties: Json
    required: list[str]
    result: type[BaseModel]


_TOOLS = {
    GENERATE: _Tool(
        "Generate images",
        "Generate AI images from text prompts using Flux models by Black Forest Labs. Choose from 6 variants. Returns "
        "task IDs and image URLs with support for custom sizes. The newer FLUX.2 models can be chosen as well. Use it "
        f"to create new images; for editing existing ones there is {EDIT}. {_WAITS}",
        _GENERATE_PROPERTIES,
        ["prompt"],
        TaskReport,
    ),
    EDIT: _Tool(
        "Edit an image",
        "Edit an existing image from a text prompt using Flux models by Black Forest Labs, best with the kontext "
        f"models. Returns the task ID and the image URL. For new images there is {GENERATE}. {_WAITS}",
        _EDIT_PROPERTIES,
        ["prompt", "image_url"],
        TaskReport,
    ),
    GET: _Tool(
        "Look at a task",
        f"Look at one task of {GENERATE} or {EDIT}: its status, its images with fresh URLs, or why it failed, and what "
        "to do next.",
        {
            "task_id": _text(f"The task_id that {GENERATE} or {EDIT} has returned", **_TASK_ID),
            "wait_seconds": _wait("How long to wait for the outcome, if there is none yet", 0),
        },
        ["task_id"],
        TaskReport,
    ),
    GET_BATCH: _Tool(
        "Look at several tasks",
        f"Look at up to {MAX_BATCH} tasks at once: for each what {GET} returns. Does not wait.",
        {
            "task_ids": {
                "type": "array",
                "items": {"type": "string", **_TASK_ID},
                "minItems": 1,
                "maxItems": MAX_BATCH,
                "description": f"The task_ids that {GENERATE} or {EDIT} has returned",
            }
        },
        ["task_ids"],
        TaskReports,
    ),
    LIST_MODELS: _Tool(
        "List the models",
        "List the Flux models that can be chosen, what each is good for and which sizes it takes. Costs nothing.",
        {},
        [],
        ModelList,
    ),
    LIST_ACTIONS: _Tool(
        "List the actions",
        "List what can be done with images (generate, edit), by which tool, and how to follow a task. Costs nothing.",
        {},
        [],
        ActionList,
    ),
}
