"""The environment: the only module that reads it, one small class per adapter."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, get_type_hints

from fluxgate.errors import SettingsInvalid

Settings = TypeVar("Settings", bound=NamedTuple)


def read(kind: type[Settings]) -> Settings:
    """A field `some_name` is read from the variable `SOME_NAME`. An empty variable counts as absent: `sam local` passes
    those that the template declares without a value.

    Raises SettingsInvalid, which names the variables and never their values.
    """
    values: dict[str, Any] = {}
    faults = []
    for name, type_ in get_type_hints(kind).items():
        text = os.environ.get(name.upper())  # noqa: TID251 - the one place
        if text:
            try:
                values[name] = _PARSERS[type_](text)
            except ValueError:
                faults.append(f"{name.upper()}: Not acceptable")
        elif name not in kind._field_defaults:
            faults.append(f"{name.upper()}: Field required")
    if faults:
        raise SettingsInvalid("; ".join(faults))
    return kind._make((kind._field_defaults | values)[name] for name in kind._fields)


Number = TypeVar("Number", int, float)


def _at_least_one(number: Number) -> Number:
    if number >= 1:
        return number
    raise ValueError


def _flag(text: str) -> bool:
    if text in {"true", "false"}:
        return text == "true"
    raise ValueError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(","))


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(","))


# Not pydantic's: the functions that need it for nothing else start 60 ms sooner without it.
_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: lambda text: _at_least_one(int(text)),
    float: lambda text: _at_least_one(float(text)),
    bool: _flag,
    frozenset[str]: _names,
    Mapping[str, str]: _pairs,
}


class TableSettings(NamedTuple):
    tasks_table: str


class RetentionSettings(NamedTuple):
    retention_days: int


class ProviderSettings(NamedTuple):
    flux_api_url: str
    flux_api_token_secret_arn: str


class CallbackSettings(NamedTuple):
    callback_base_url: str


class SubmissionSettings(NamedTuple):
    submission_queue_url: str
    submission_max_age_seconds: int
    """Age at which a task that the provider never accepted fails."""


class ResultSettings(NamedTuple):
    result_max_age_seconds: int
    """Time after an attempt at which a task without a result expires."""


class EventBusSettings(NamedTuple):
    event_bus: str


class WebhookQueueSettings(NamedTuple):
    webhook_queue_url: str


class WebhookSettings(NamedTuple):
    webhook_signing_key_secret_arn: str


class BucketSettings(NamedTuple):
    images_bucket: str


class ArchiveSettings(NamedTuple):
    archive_attempts: int
    """In a row, at a task's images: then those that are gone for good are given up, and others left for later."""
    archive_max_age_seconds: int
    """Age at which images that cannot be fetched are given up, whatever the reason."""


class ArchiveQueueSettings(NamedTuple):
    archive_queue_url: str


class OwnerSettings(NamedTuple):
    owner_aliases: Mapping[str, str] = MappingProxyType({})
    """Owner names by API key id."""
    local_owner: str = ""
    """The owner where no gateway gives an API key id: under `sam local` only."""


class McpSettings(NamedTuple):
    mcp_allowed_origins: frozenset[str] = frozenset()
    """Web pages that may reach the MCP server. Programs send no Origin."""


class UrlSettings(NamedTuple):
    allow_local_urls: bool = False
    """Whether plain http and private addresses are accepted: on a laptop only."""


@cache
def url_settings() -> UrlSettings:
    """Read once: the validation of requests, which has no other way to it, asks for every URL."""
    return read(UrlSettings)


class AgentSettings(NamedTuple):
    aws_sdk_ua_app_id: str = "fluxgate"
    """By which AWS's SDKs tell who calls; on a laptop the process."""


class TimeSettings(NamedTuple):
    time_scale: float = 1.0
    """By how much faster than at AWS the waits pass: on a laptop hours may pass in seconds."""


@cache
def time_scale() -> float:
    """Read once: every wait asks for it."""
    return read(TimeSettings).time_scale
