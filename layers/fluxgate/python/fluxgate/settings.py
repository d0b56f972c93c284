"""The environment: the only module that reads it, one small class per adapter."""

from __future__ import annotations

import os
from functools import cache
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fluxgate.errors import SettingsInvalid


class Settings(BaseModel):
    """A field `some_name` is read from the variable `SOME_NAME`. An empty variable counts as absent: `sam local` passes
    those that the template declares without a value."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Raises SettingsInvalid, which names the variables and never their values."""
        values = {name: value for name in cls.model_fields if (value := os.environ.get(name.upper()))}  # noqa: TID251
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = [f"{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors(include_input=False)]
            raise SettingsInvalid("; ".join(faults)) from None


class TableSettings(Settings):
    tasks_table: str


class RetentionSettings(Settings):
    retention_days: int = Field(ge=1)


class ProviderSettings(Settings):
    flux_api_url: str
    flux_api_token_secret_arn: str


class CallbackSettings(Settings):
    callback_base_url: str


class SubmissionSettings(Settings):
    submission_queue_url: str
    submission_max_age_seconds: int = Field(ge=1)
    """Age at which a task that the provider never accepted fails."""


class ResultSettings(Settings):
    result_max_age_seconds: int = Field(ge=1)
    """Time after an attempt at which a task without a result expires."""


class EventBusSettings(Settings):
    event_bus: str


class WebhookQueueSettings(Settings):
    webhook_queue_url: str


class WebhookSettings(Settings):
    webhook_signing_key_secret_arn: str


class BucketSettings(Settings):
    images_bucket: str


class ArchiveSettings(Settings):
    archive_attempts: int = Field(ge=1)
    """In a row, at a task's images: then those that are gone for good are given up, and others left for later."""
    archive_max_age_seconds: int = Field(ge=1)
    """Age at which images that cannot be fetched are given up, whatever the reason."""


class ArchiveQueueSettings(Settings):
    archive_queue_url: str


def _pairs(text: object) -> object:
    return dict(pair.split("=", 1) for pair in text.split(",")) if isinstance(text, str) else text


class OwnerSettings(Settings):
    owner_aliases: Annotated[dict[str, str], BeforeValidator(_pairs)] = {}
    """Owner names by API key id."""
    local_owner: str | None = None
    """The owner where no gateway gives an API key id: under `sam local` only."""


def _listed(text: object) -> object:
    return text.split(",") if isinstance(text, str) else text


class McpSettings(Settings):
    mcp_allowed_origins: Annotated[frozenset[str], BeforeValidator(_listed)] = frozenset()
    """Web pages that may reach the MCP server. Programs send no Origin."""


class UrlSettings(Settings):
    allow_local_urls: bool = False
    """Whether plain http and private addresses are accepted: on a laptop only."""


@cache
def url_settings() -> UrlSettings:
    """Read once: the validation of requests, which has no other way to it, asks for every URL."""
    return UrlSettings.from_environment()


class TimeSettings(Settings):
    time_scale: float = Field(default=1.0, ge=1)
    """By how much faster than at AWS the waits pass: on a laptop hours may pass in seconds."""


@cache
def time_scale() -> float:
    """Read once: every wait asks for it."""
    return TimeSettings.from_environment().time_scale
