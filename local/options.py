"""The environment variables with which a person steers the local stack. An empty one counts as unset."""

from __future__ import annotations

import os
from typing import TypedDict

PROVIDER = "https://api.acedata.cloud"


class OptionError(Exception):
    """A variable has a value that cannot be used."""


class Provider(TypedDict, total=False):
    """Arguments of `Stack`; none of them means the simulator."""

    flux_api_url: str
    flux_api_token: str
    callback_base_url: str


def text(name: str) -> str | None:
    return os.environ.get(name) or None


def number(name: str) -> int | None:
    value = text(name)
    try:
        return int(value) if value else None
    except ValueError:
        raise OptionError(f"{name} must be a whole number, not {value!r}.") from None


def provider() -> Provider:
    """A token means the real provider, unless a URL names another server of its API."""
    url, token, callback_base_url = text("FLUX_API_URL"), text("FLUX_API_TOKEN"), text("CALLBACK_BASE_URL")
    chosen = Provider()
    if url or token:
        chosen = Provider(flux_api_url=(url or PROVIDER).rstrip("/"), flux_api_token=token or "none")
    if callback_base_url:
        chosen["callback_base_url"] = callback_base_url.rstrip("/")
    return chosen
