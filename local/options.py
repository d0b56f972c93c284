"""The environment variables that configure the local stack. An empty variable counts as unset."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import TYPE_CHECKING, TypedDict

from local.providers.acedata.flags import add_flags, simulator_from
from local.stack import Ports

if TYPE_CHECKING:
    from local.providers.acedata import Simulator

PROVIDER_URL = "https://api.acedata.cloud"


class OptionError(Exception):
    """An environment variable has an invalid value."""


class ProviderOptions(TypedDict, total=False):
    """Arguments of `Stack`. Without any, the provider is a simulator with default behaviour."""

    simulator: Simulator
    flux_api_url: str
    flux_api_token: str
    callback_base_url: str


def text(name: str) -> str | None:
    """The variable `name` as text."""
    return os.environ.get(name) or None


def number(name: str) -> int | None:
    """The variable `name` as a whole number. Raises OptionError."""
    value = text(name)
    try:
        return int(value) if value else None
    except ValueError:
        raise OptionError(f"{name} must be a whole number, not {value!r}.") from None


def ports(api: int = 0) -> Ports:
    """The stack's ports. CALLBACK_PORT fixes the callback API's port, so that a tunnel can forward to it."""
    return Ports(api=api, callbacks=number("CALLBACK_PORT") or 0)


def provider() -> ProviderOptions:
    """The provider to use.

    FLUX_API_TOKEN selects the real provider, FLUX_API_URL another server with the same API. Without both, SIMULATOR
    holds the simulator's command-line flags.
    """
    url, token, callback_base_url = text("FLUX_API_URL"), text("FLUX_API_TOKEN"), text("CALLBACK_BASE_URL")
    found = ProviderOptions()
    if flags := text("SIMULATOR"):
        found["simulator"] = _simulator(flags)
    if url or token:
        found = ProviderOptions(flux_api_url=(url or PROVIDER_URL).rstrip("/"), flux_api_token=token or "none")
    if callback_base_url:
        found["callback_base_url"] = callback_base_url.rstrip("/")
    return found


def _simulator(text: str) -> Simulator:
    parser = argparse.ArgumentParser(prog="SIMULATOR=", add_help=False)
    add_flags(parser)
    return simulator_from(parser.parse_args(shlex.split(text)))
