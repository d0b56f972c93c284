"""The wire, inwards: requests as clients send them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fluxgate.catalogue import DEFAULT_MODEL, MAX_COUNT, MODELS, Action
from fluxgate.http.public_hosts import is_public_host
from fluxgate.settings import url_settings

MAX_PROMPT = 4000
MAX_URL = 2048
MAX_METADATA = 16
MAX_BATCH = 50
VISIBLE = r"^[\x21-\x7e]{1,255}$"


def _refuse(code: str, message: str) -> PydanticCustomError:
    # The message goes through str.format: a client's own braces must not.
    return PydanticCustomError(code, "{message}", {"message": message})


def violations_of(error: ValidationError) -> list[tuple[str, str]]:
    """(field, message) pairs, as InvalidRequest has them."""
    return [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors(include_input=False)]


def _public_url(text: str) -> str:
    """The URL in its normal form, in which other spellings of an address (decimal, octal, hexadecimal) have become the
    usual one."""
    allow_local = url_settings().allow_local_urls
    try:
        url = HttpUrl(text)
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

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

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

    # What nearly every cold start needs; the others are built when they are.
    model_config = ConfigDict(defer_build=False)

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

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    task_ids: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=MAX_BATCH
    )
