"""Typed settings from environment variables. No other module reads the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, get_type_hints

from fluxgate.errors import SettingsInvalid

Settings = TypeVar("Settings", bound=NamedTuple)


@cache
def read(kind: type[Settings]) -> Settings:
    """Read the field `some_name` from the variable `SOME_NAME`, once per process. An empty variable counts as absent,
    because `sam local` passes the variables that the template declares without a value.

    Raises SettingsInvalid.
    """
    values: dict[str, Any] = {}
    violations = []
    for name, type_ in get_type_hints(kind).items():
        text = os.environ.get(name.upper())  # noqa: TID251 - only here
        if text:
            try:
                values[name] = _PARSERS[type_](text)
            except ValueError:
                violations.append(f"{name.upper()}: Invalid value")
        elif name not in kind._field_defaults:
            violations.append(f"{name.upper()}: Field required")
    if violations:
        raise SettingsInvalid("; ".join(violations))
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


# Not pydantic: functions that do not need it otherwise start 60 ms faster.
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

    @property
    def retention(self) -> timedelta:
        return timedelta(days=self.retention_days)


class ProviderSettings(NamedTuple):
    flux_api_url: str
    flux_api_token_secret_arn: str


class CallbackSettings(NamedTuple):
    callback_base_url: str


class SubmissionSettings(NamedTuple):
    submission_queue_url: str
    submission_max_age_seconds: int

    @property
    def max_age(self) -> timedelta:
        """Age at which a task that the provider never accepted fails."""
        return timedelta(seconds=self.submission_max_age_seconds)


class ResultSettings(NamedTuple):
    result_max_age_seconds: int

    @property
    def max_age(self) -> timedelta:
        """Time after an attempt at which a task without a result expires."""
        return timedelta(seconds=self.result_max_age_seconds)


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
    """Receives of an archive message after which missing images are given up or postponed."""
    archive_max_age_seconds: int

    @property
    def max_age(self) -> timedelta:
        """Age at which images that cannot be fetched are given up, whatever the reason."""
        return timedelta(seconds=self.archive_max_age_seconds)


class ArchiveQueueSettings(NamedTuple):
    archive_queue_url: str


class OwnerSettings(NamedTuple):
    owner_aliases: Mapping[str, str] = MappingProxyType({})
    """Owner names by API key id."""
    local_owner: str = ""
    """Owner of requests without an API key id. `sam local` only."""


class McpSettings(NamedTuple):
    mcp_allowed_origins: frozenset[str] = frozenset()
    """Origins of web pages that may call the MCP server. Other clients send no Origin header."""


class UrlSettings(NamedTuple):
    allow_local_urls: bool = False
    """Whether plain http and private addresses are accepted. Local only."""


class UserAgentSettings(NamedTuple):
    aws_sdk_ua_app_id: str = "fluxgate"
    """The application id in the AWS SDK's user agent. Locally it names the process."""


class TimeSettings(NamedTuple):
    time_scale: float = 1.0
    """Divides every delay. Local only."""
