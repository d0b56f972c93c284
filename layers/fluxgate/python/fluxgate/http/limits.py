"""Shared by all outbound HTTP: size limits, deadlines, no redirects, tracing by host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests

from fluxgate.telemetry import tracer

CONNECT_SECONDS = 3.05
CHUNK_BYTES = 64 * 1024


class TooLarge(Exception):
    """The body exceeds the limit."""

    reason = "too_large"


class TooSlow(Exception):
    """The body did not arrive before the deadline."""

    reason = "too_slow"


class SessionWithoutRedirects(requests.Session):  # noqa: TID251 - only here
    """With allow_redirects=False alone, requests still reads the body of a redirect and parses its target."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


def chunks(response: requests.Response, max_bytes: int, deadline: float) -> Iterator[bytes]:
    """Yield the decoded body as it arrives. Reading whole chunks would let a trickle outlast any deadline, which is in
    time.monotonic() seconds.

    Raises TooLarge or TooSlow.
    """
    received = 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        received += len(chunk)
        if received > max_bytes:
            raise TooLarge
        if time.monotonic() > deadline:
            raise TooSlow
        yield chunk


@contextmanager
def traced(url: str) -> Iterator[None]:
    """Record a subsegment that names the host only: paths and queries contain tokens."""
    with tracer.provider.in_subsegment(name=urlsplit(url).hostname or "invalid-host", namespace="remote"):
        yield
