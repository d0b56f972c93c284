"""Requests from clients."""

from __future__ import annotations

import re
from contextvars import ContextVar
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

MAX_PROMPT = 4000
MAX_URL = 2048
MAX_METADATA = 16
MAX_BATCH = 50
VISIBLE_ASCII = r"^[\x21-\x7e]{1,255}$"

# Powertools validates request bodies without a validation context, so this setting cannot be an argument.
allow_local_urls: ContextVar[bool] = ContextVar("allow_local_urls", default=False)
"""Whether plain http and private hosts are accepted. Local only; set by the composition root."""


def _violation(code: str, message: str) -> PydanticCustomError:
    # The message is a template for str.format, so braces in it must not be interpreted.
    return PydanticCustomError(code, "{message}", {"message": message})


def _public_url(text: str) -> str:
    """The normalized URL. Decimal, octal and hexadecimal addresses become ordinary ones."""
    local = allow_local_urls.get()
    try:
        url = HttpUrl(text)
    except ValidationError as error:
        raise _violation("url_invalid", "Use a URL that begins with https://.") from error
    if url.scheme != "https" and not local:
        raise _violation("url_not_https", "Use a URL that begins with https://.")
    if url.username or url.password:
        raise _violation("url_credentials", "Use a URL without a user name or password.")
    if not local and not is_public_host(url.host or ""):
        raise _violation("url_not_public", "Use a URL whose host is on the public internet.")
    return str(url)


def _visible_ascii(key: str) -> str:
    if not re.fullmatch(VISIBLE_ASCII, key):
        raise _violation("key_invalid", "Use 1 to 255 visible ASCII characters without spaces.")
    return key


def _known_model(name: str) -> str:
    if name not in MODELS:
        raise _violation("model_unknown", f"Unknown model. Use one of: {', '.join(MODELS)}.")
    return name


Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT),
    Field(description="Subject, style, lighting and composition of the image"),
]
PublicUrl = Annotated[
    str,
    StringConstraints(max_length=MAX_URL),
    AfterValidator(_public_url),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": MAX_URL, "pattern": "^https://"}),
]
ModelName = Annotated[str, AfterValidator(_known_model), WithJsonSchema({"type": "string", "enum": list(MODELS)})]
IdempotencyKey = Annotated[
    str, AfterValidator(_visible_ascii), WithJsonSchema({"type": "string", "pattern": VISIBLE_ASCII, "maxLength": 255})
]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=256)]


class ImageRequest(BaseModel):
    """Common fields. A null counts as an absent field; unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    prompt: Prompt
    model: ModelName = Field(validate_default=True)
    size: str = Field(
        default="",
        validate_default=True,
        description="In pixels or as an aspect ratio, by model: see GET /v1/models. Default: 1024x1024 or 1:1",
    )
    callback_url: PublicUrl | None = Field(
        default=None, description="Receives a signed webhook (Standard Webhooks) when the task has an outcome"
    )
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default={}, max_length=MAX_METADATA, description="Your own data, returned with the task"
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None or name not in cls.model_fields}

    @field_validator("size")
    @classmethod
    def _size_fits_model(cls, size: str, info: ValidationInfo) -> str:
        model = MODELS.get(info.data.get("model", ""))
        if model is None:  # reported for the model field; the size is reported only if no model accepts it
            if size and not any(model.sizes.accepts(size) for model in MODELS.values()):
                raise _violation("size_invalid", "No model accepts this size.")
            return size
        if not size:
            return model.sizes.default
        if not model.sizes.accepts(size):
            nearest = model.sizes.nearest(size)
            message = f"{model.name} accepts {model.sizes.description}. The nearest is {nearest}."
            raise _violation("size_invalid", message)
        return size


class GenerateRequest(ImageRequest):
    """`POST /v1/images/generations`"""

    # Nearly every cold start needs this model; the others are built on first use.
    model_config = ConfigDict(defer_build=False)

    model: ModelName = Field(default=DEFAULT_MODEL["generate"], validate_default=True)
    count: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] = Field(
        default=1,
        validation_alias=AliasChoices("count", "n"),
        description="Number of images, each charged separately. `n`, as in OpenAI's API, is accepted as well.",
    )

    @property
    def action(self) -> Action:
        return "generate"


class EditRequest(ImageRequest):
    """`POST /v1/images/edits`"""

    image_url: PublicUrl = Field(description="The image to edit")
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
