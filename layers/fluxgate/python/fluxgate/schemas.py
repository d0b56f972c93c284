"""The wire: requests as clients send them, views as they get them, and the job on the archive queue."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fluxgate.catalogue import DEFAULT_MODEL, MAX_COUNT, MODELS, Action, Model, Pixels, SizeRule
from fluxgate.errors import InvalidRequest
from fluxgate.outbound import is_public_host
from fluxgate.settings import url_settings
from fluxgate.tasks import Delivery, DeliveryState, Image, Status, Task, TaskError

MAX_PROMPT = 4000
MAX_URL = 2048
MAX_METADATA = 16
MAX_BATCH = 50
VISIBLE = r"^[\x21-\x7e]{1,255}$"


def _refuse(code: str, message: str) -> PydanticCustomError:
    # The message goes through str.format: a client's own braces must not.
    return PydanticCustomError(code, "{message}", {"message": message})


def named_faults(error: ValidationError) -> list[tuple[str, str]]:
    """(field, message) pairs, as InvalidRequest has them."""
    return [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors(include_input=False)]


_http_url = TypeAdapter(HttpUrl)


def _public_url(text: str) -> str:
    """The URL in its normal form, in which other spellings of an address (decimal, octal, hexadecimal) have become the
    usual one."""
    allow_local = url_settings().allow_local_urls
    try:
        url = _http_url.validate_python(text)
    except ValidationError as error:
        raise _refuse("url_invalid", "Give a URL that begins with https://.") from error
    if url.scheme != "https" and not allow_local:
        raise _refuse("url_not_https", "Give a URL that begins with https://.")
    if url.username or url.password:
        raise _refuse("url_credentials", "Give a URL without a user name or password.")
    if not allow_local and not is_public_host(url.host or ""):
        raise _refuse("url_not_public", "Give a URL whose host is on the public internet.")
    return str(url)


def _visible(key: str) -> str:
    if not re.fullmatch(VISIBLE, key):
        raise _refuse("key_invalid", "Give 1 to 255 visible ASCII characters without spaces.")
    return key


def _known_model(name: str) -> str:
    if name not in MODELS:
        raise _refuse("model_unknown", f"Unknown model. Use one of: {', '.join(MODELS)}.")
    return name


Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT),
    Field(description="What to show: subject, style, lighting, composition"),
]
PublicUrl = Annotated[
    str,
    StringConstraints(max_length=MAX_URL),
    AfterValidator(_public_url),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": MAX_URL, "pattern": "^https://"}),
]
ModelName = Annotated[str, AfterValidator(_known_model), WithJsonSchema({"type": "string", "enum": list(MODELS)})]
IdempotencyKey = Annotated[
    str, AfterValidator(_visible), WithJsonSchema({"type": "string", "pattern": VISIBLE, "maxLength": 255})
]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=256)]


class ImageRequest(BaseModel):
    """What both requests share. A null counts as an absent field; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    prompt: Prompt
    model: ModelName = Field(validate_default=True)
    size: str = Field(
        default="",
        validate_default=True,
        description="Pixels or an aspect ratio, as the model takes it: see GET /v1/models. By default 1024x1024 or 1:1",
    )
    callback_url: PublicUrl | None = Field(default=None, description="Is told of the outcome, by a Standard Webhook")
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default={}, max_length=MAX_METADATA, description="Yours; comes back with the task"
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None or name not in cls.model_fields}

    @field_validator("size")
    @classmethod
    def _size_of_the_model(cls, size: str, info: ValidationInfo) -> str:
        model = MODELS.get(info.data.get("model", ""))
        if model is None:  # the model is refused; a size that no model takes is refused beside it
            if size and not any(model.sizes.accepts(size) for model in MODELS.values()):
                raise _refuse("size_invalid", "No model takes this size.")
            return size
        if not size:
            return model.sizes.default
        if not model.sizes.accepts(size):
            nearest = model.sizes.nearest(size)
            raise _refuse("size_invalid", f"{model.name} takes {model.sizes.description}. The nearest is {nearest}.")
        return size


class GenerateRequest(ImageRequest):
    """`POST /v1/images/generations`"""

    model: ModelName = Field(default=DEFAULT_MODEL["generate"], validate_default=True)
    count: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] = Field(
        default=1, validation_alias=AliasChoices("count", "n"), description="Or `n`, as OpenAI's clients call it"
    )

    @property
    def action(self) -> Action:
        return "generate"


class EditRequest(ImageRequest):
    """`POST /v1/images/edits`"""

    image_url: PublicUrl = Field(description="The picture to edit")
    model: ModelName = Field(default=DEFAULT_MODEL["edit"], validate_default=True)

    @property
    def action(self) -> Action:
        return "edit"


class BatchRequest(BaseModel):
    """`POST /v1/tasks/batch`"""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    task_ids: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=MAX_BATCH
    )


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


class ImageView(BaseModel):
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


class ErrorView(BaseModel):
    code: str
    message: str

    @classmethod
    def of(cls, error: TaskError | None) -> ErrorView | None:
        return cls(code=error.code, message=error.message) if error else None


class WebhookView(BaseModel):
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


class TaskView(BaseModel):
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


class ImageUrl(BaseModel):
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


class TaskPage(BaseModel):
    tasks: list[TaskView]
    cursor: str | None = Field(description="For the next page; null on the last")


class TaskBatch(BaseModel):
    tasks: list[TaskView] = Field(description="In the order of the request")
    missing: list[str] = Field(description="Ids that are no tasks of yours")


class PixelsView(BaseModel):
    """What each side of a picture may measure."""

    minimum: int
    maximum: int
    multiple_of: int

    @classmethod
    def of(cls, sizes: SizeRule) -> PixelsView | None:
        if not isinstance(sizes, Pixels):
            return None
        return cls(minimum=sizes.minimum, maximum=sizes.maximum, multiple_of=sizes.step)


class ModelView(BaseModel):
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


class ModelList(BaseModel):
    models: list[ModelView]
    max_count: int
    max_prompt: int


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


class _Envelope(BaseModel):
    """What an order has besides the request."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    action: Action
    owner: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    idempotency_key: IdempotencyKey | None = None


@dataclass(frozen=True)
class Order:
    """A request that another system has put on the submission queue or on the bus."""

    owner: str
    idempotency_key: str
    request: GenerateRequest | EditRequest

    @classmethod
    def parse(cls, body: object, default_key: str) -> Order:
        """From `{action, owner, idempotency_key?, …}`, the rest as over HTTP. Raises InvalidRequest."""
        if not isinstance(body, dict):
            raise InvalidRequest([("", "An order is a JSON object.")])
        rest = {name: value for name, value in body.items() if name not in _Envelope.model_fields}
        kind = EditRequest if body.get("action") == "edit" else GenerateRequest
        found: list[Any] = []
        faults: list[tuple[str, str]] = []
        for model, content in ((_Envelope, body), (kind, rest)):
            try:
                found.append(model.model_validate(content))
            except ValidationError as error:
                faults += named_faults(error)
        if faults:
            raise InvalidRequest(faults)
        envelope, request = found
        return cls(envelope.owner, envelope.idempotency_key or default_key, request)


class WebhookSecret(BaseModel):
    secret: str = Field(description="Verifies webhooks: the official libraries of Standard Webhooks take it as it is")


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
