"""The tools that agents see: names, descriptions, schemas, and task reports that state the next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Annotated, Any, Literal, NamedTuple, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from fluxgate.catalogue import DEFAULT_MODEL, MAX_COUNT, MODELS, Action, SizeRule
from fluxgate.submission.waiting import MAX_WAIT
from fluxgate.tasks.model import Task
from fluxgate.wire.requests import MAX_BATCH, EditRequest, GenerateRequest, IdempotencyKey
from fluxgate.wire.responses import ModelList
from fluxgate.wire.task import Presign, PublicStatus, TaskView, View

Json = dict[str, Any]

POLL_AFTER = {PublicStatus.QUEUED: 30, PublicStatus.PROCESSING: 10}  # seconds

GENERATE, EDIT, GET, GET_BATCH = "flux_generate_image", "flux_edit_image", "flux_get_task", "flux_get_tasks_batch"
LIST_MODELS, LIST_ACTIONS = "flux_list_models", "flux_list_actions"

INSTRUCTIONS = (
    f"Generates and edits images with Flux models. {GENERATE} and {EDIT} cost money and wait up to {MAX_WAIT} seconds "
    "for the images. Every task has a `next_step`: follow it. While `poll_after_seconds` is a number, the task is in "
    f"progress: call {GET} and do not submit the same request again. If it is null, stop polling. Image URLs are valid "
    f"for at most an hour; {GET} returns new ones."
)

WaitSeconds = Annotated[int, Field(strict=True, ge=0, le=MAX_WAIT)]


class Arguments(BaseModel):
    """Arguments that only tools have. The others are the fields of API requests."""

    model_config = ConfigDict(defer_build=True)


class SubmitArguments(Arguments):
    idempotency_key: (
        Annotated[IdempotencyKey, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})] | None
    ) = Field(
        default=None,
        description="Makes retries safe: calls with the same key and the same arguments return the same task, which is "
        "charged once. Use a new key, such as a UUID, for each image that you want.",
    )
    wait_seconds: WaitSeconds = Field(
        default=MAX_WAIT,
        description="Seconds to wait for the images. With 0 the call returns at once: use it to start several tasks, "
        f"then read them with {GET_BATCH}",
    )


class TaskArguments(Arguments):
    task_id: UUID = Field(description=f"The task_id that {GENERATE} or {EDIT} returned")
    wait_seconds: WaitSeconds = Field(default=0, description="Seconds to wait if the task has no outcome yet")


class BatchArguments(Arguments):
    task_ids: list[UUID] = Field(
        min_length=1, max_length=MAX_BATCH, description=f"The task_ids that {GENERATE} or {EDIT} returned"
    )


class TaskReport(TaskView):
    """A task and the next step for the agent."""

    poll_after_seconds: int | None = Field(description="Seconds until the next poll; null: stop polling")
    next_step: str

    @classmethod
    def of(cls, task: Task, presign: Presign | None = None) -> Self:
        view = TaskView.of(task, presign)
        return cls(**dict(view), poll_after_seconds=POLL_AFTER.get(view.status), next_step=_next_step(view))


class TaskReports(View):
    tasks: list[TaskReport]
    not_found: list[str] = Field(description="Ids without a task of yours")


class ActionView(View):
    action: Action
    tool: str
    description: str
    default_model: str
    max_count: int


class ActionList(View):
    actions: list[ActionView]
    next_step: str


def list_actions() -> ActionList:
    generate = ActionView(
        action="generate",
        tool=GENERATE,
        description="Creates images from a text prompt",
        default_model=DEFAULT_MODEL["generate"],
        max_count=MAX_COUNT,
    )
    edit = ActionView(
        action="edit",
        tool=EDIT,
        description="Changes an image, given its URL and a prompt that describes the change",
        default_model=DEFAULT_MODEL["edit"],
        max_count=1,
    )
    return ActionList(actions=[generate, edit], next_step=INSTRUCTIONS)


def _next_step(view: TaskView) -> str:
    match view.status:
        case PublicStatus.SUCCEEDED:
            return f"Done. `images` has the URLs, valid for at most an hour. {GET} returns new ones."
        case PublicStatus.FAILED:
            reason = f"{view.error.message} (code {view.error.code})" if view.error else "The provider gave no reason."
            return (
                f"The task failed: {reason} Stop polling it. If you can correct the cause, submit a new task; if you "
                "use an idempotency_key, use a new one."
            )
        case PublicStatus.EXPIRED:
            return (
                "The provider returned no result in time. Stop polling. If a result arrives later, "
                f"{GET} returns it at no extra cost."
            )
        case PublicStatus.QUEUED:
            return f"The provider does not accept the task now. It is submitted automatically later. {_poll(view)}"
        case PublicStatus.PROCESSING:
            return f"In progress. {_poll(view)}"


def _poll(view: TaskView) -> str:
    return (
        f"Call {GET} with task_id {view.task_id} in {POLL_AFTER[view.status]} seconds, or now with wait_seconds "
        f"{MAX_WAIT} if you cannot wait between calls. Do not submit the same request again: you would pay twice."
    )


API_ONLY = {"metadata"}  # fields of API requests that are no arguments of tools


class ToolSpec(NamedTuple):
    title: str
    description: str
    arguments: Sequence[type[BaseModel]]
    """The models that validate the arguments. The input schema is generated from them."""
    result: type[BaseModel]
    overrides: Mapping[str, Json] = {}
    """JSON Schema keywords by argument, where agents need others than clients of the API; None omits a keyword. These
    arguments come first, in this order."""


def parameters(name: str) -> list[str]:
    """The names of a tool's arguments."""
    spec = TOOLS[name]
    fields = [field for model in spec.arguments for field in model.model_fields if field not in API_ONLY]
    return list(dict.fromkeys([*spec.overrides, *fields]))


def definition(name: str) -> Json:
    """A tool as listed by `tools/list`."""
    spec = TOOLS[name]
    costs_money = name in {GENERATE, EDIT}
    return {
        "name": name,
        "title": spec.title,
        "description": spec.description,
        "inputSchema": _input_schema(name),
        "outputSchema": _output_schema(spec.result),
        "annotations": {"readOnlyHint": not costs_money, "destructiveHint": False, "openWorldHint": costs_money},
    }


def _input_schema(name: str) -> Json:
    spec = TOOLS[name]
    properties: Json = {}
    required: set[str] = set()
    definitions: Json = {}
    for model in spec.arguments:
        schema = _schema(model, "validation")
        properties |= schema["properties"]
        required |= set(schema.get("required", []))
        definitions |= schema.get("$defs", {})
    names = parameters(name)
    return {
        "type": "object",
        "properties": {field: _property(properties[field], spec.overrides.get(field, {})) for field in names},
        "required": [field for field in names if field in required],
        "additionalProperties": False,
        **({"$defs": definitions} if definitions else {}),
    }


def _property(schema: Json, override: Json) -> Json:
    """Without null, which counts as an absent argument, and without defaults that depend on other arguments."""
    match schema.get("anyOf"):
        case [value, {"type": "null"}]:
            schema = {**schema, "anyOf": None, **value}
    keywords = {**schema, "title": None, **override}
    return {keyword: value for keyword, value in keywords.items() if value not in (None, "")}


def _output_schema(result: type[BaseModel]) -> Json:
    schema = dict(_schema(result, "serialization"))
    definitions = schema.pop("$defs", {})
    return {"type": "object", "properties": {"result": schema}, "required": ["result"], "$defs": definitions}


@cache
def _schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> Json:
    """Generating one takes about a millisecond. Do not modify it."""
    return model.model_json_schema(by_alias=False, mode=mode)


def _sizes() -> str:
    """Adjacent models with the same sizes are described together."""

    def rule(name: str) -> SizeRule:
        return MODELS[name].sizes

    groups = ((sizes, ", ".join(names)) for sizes, names in groupby(MODELS, key=rule))
    return " ".join(f"{names}: {sizes.description}; default {sizes.default}." for sizes, names in groups)


_MODEL = {"description": "; ".join(f"{model.name}: {model.description}" for model in MODELS.values())}
_SIZE = {"description": f"Default varies by model. {_sizes()}"}
_URL = {"maxLength": None, "pattern": None}  # enforced, but not part of the published schemas
_CALLBACK_URL = {
    "description": "Webhook for asynchronous notification: a signed POST to this https URL when the image is "
    "generated, or has failed",
    **_URL,
}

_WAITS = "Waits for the images. If the result has none, follow its next_step."

TOOLS = {
    # The specification of this tool fixes its name, description and parameters.
    GENERATE: ToolSpec(
        "Generate images",
        "Generate AI images from text prompts using Flux models by Black Forest Labs. Choose from 6 variants. Returns "
        "task IDs and image URLs with support for custom sizes. The newer FLUX.2 models can be chosen as well. Use it "
        f"to create new images; for editing existing ones there is {EDIT}. {_WAITS}",
        (GenerateRequest, SubmitArguments),
        TaskReport,
        {
            "prompt": {
                "description": "Description of the image to generate. Be descriptive about style, subject, lighting, "
                "and composition. Examples: 'A majestic mountain landscape at golden hour, photorealistic', "
                "'Cyberpunk street scene with neon lights and rain, cinematic', 'Minimalist logo design of a phoenix, "
                "vector art style'",
            },
            "model": _MODEL,
            "size": _SIZE,
            "count": {
                "description": "Number of images to generate. Only supported for the generate action. Each image is "
                "charged separately"
            },
            "callback_url": _CALLBACK_URL,
        },
    ),
    EDIT: ToolSpec(
        "Edit an image",
        "Edit an existing image from a text prompt using Flux models by Black Forest Labs, best with the kontext "
        f"models. Returns the task ID and the image URL. To create new images, use {GENERATE}. {_WAITS}",
        (EditRequest, SubmitArguments),
        TaskReport,
        {
            "prompt": {
                "description": "Description of the change to make. Say what to change and what to keep. Examples: "
                "'Make it night, keep the composition', 'Replace the sky with a starry one', 'Turn it into a "
                "watercolour painting'",
            },
            "image_url": {"description": "https URL of the image to edit, on the public internet", **_URL},
            "model": _MODEL,
            "size": _SIZE,
            "callback_url": _CALLBACK_URL,
        },
    ),
    GET: ToolSpec(
        "Look at a task",
        f"Read one task of {GENERATE} or {EDIT}: its status, its images with new URLs or the reason for its failure, "
        "and the next step.",
        (TaskArguments,),
        TaskReport,
    ),
    GET_BATCH: ToolSpec(
        "Look at several tasks",
        f"Read up to {MAX_BATCH} tasks at once. Returns for each what {GET} returns. Does not wait.",
        (BatchArguments,),
        TaskReports,
    ),
    LIST_MODELS: ToolSpec(
        "List the models",
        "List the available Flux models, what each is good for and the sizes it accepts. Free of charge.",
        (),
        ModelList,
    ),
    LIST_ACTIONS: ToolSpec(
        "List the actions",
        "List the actions (generate, edit), the tool for each, and how to follow a task. Free of charge.",
        (),
        ActionList,
    ),
}
