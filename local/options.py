"""The environment variables with which a person steers the local stack. An empty one counts as unset."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import TYPE_CHECKING, TypedDict

from local.providers.acedata.flags import add_flags, simulator_from

if TYPE_CHECKING:
    from local.providers.acedata import Simulator

PROVIDER = "https://api.acedata.cloud"


class OptionError(Exception):
    """A variable has a value that cannot be used."""


class Provider(TypedDict, total=False):
    """Arguments of `Stack`; none of them means a simulator in good order."""

    simulator: Simulator
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
    """A token means the real provider, unless a URL names another server of its API. Else SIMULATOR holds the
    simulator's flags."""
    url, token, callback_base_url = text("FLUX_API_URL"), text("FLUX_API_TOKEN"), text("CALLBACK_BASE_URL")
    chosen = Provider()
    if flags := text("SIMULATOR"):
        chosen["simulator"] = _simulator(flags)
    if url or token:
        chosen = Provider(flux_api_url=(url or PROVIDER).rstrip("/"), flux_api_token=token or "none")
    if callback_base_url:
        chosen["callback_base_url"] = callback_base_url.rstrip("/")
    return chosen


def _simulator(text: str) -> Simulator:
    parser = argparse.ArgumentParser(prog="SIMULATOR=", add_help=False)
    add_flags(parser)
    return simulator_from(parser.parse_args(shlex.split(text)))
