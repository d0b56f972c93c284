"""The providers that fluxgate knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxgate.errors import CallbackRefused
from fluxgate.providers import acedata

if TYPE_CHECKING:
    from pydantic import SecretStr

    from fluxgate.clock import Clock
    from fluxgate.http.trusted import ProviderSession
    from fluxgate.providers.port import CallbackParser, Provider


@dataclass(frozen=True)
class Registration:
    connect: Callable[[ProviderSession, str, SecretStr, Clock], Provider]
    """Takes the session, the API's origin, the token and the clock."""
    parse_callback: CallbackParser


PROVIDERS = {acedata.NAME: Registration(acedata.AceData, acedata.parse_callback)}
DEFAULT_PROVIDER = acedata.NAME


def callback_parser(provider: str) -> CallbackParser:
    """Raises CallbackRefused for an unknown provider."""
    if provider not in PROVIDERS:
        raise CallbackRefused("unknown provider")
    return PROVIDERS[provider].parse_callback
