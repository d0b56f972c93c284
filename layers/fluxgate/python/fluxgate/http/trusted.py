"""HTTP requests to the provider, whose address is ours: deadlines, limits, and what an error proves about sending."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from fluxgate.errors import NotSent, ResponseLost
from fluxgate.telemetry import tracer

# Its warnings show whole URLs, of an answer whose headers are malformed.
logging.getLogger("urllib3").setLevel(logging.ERROR)

CONNECT_SECONDS = 3.05
# A provider that is silent for the first, or not done after the second, is left. Their sum, the worst case, leaves time
# for two writes before the gateway's 29 seconds.
PROVIDER_STALL_SECONDS = 10.0
PROVIDER_SECONDS = 15.0
PROVIDER_ANSWER_BYTES = 1024 * 1024
# A Lambda is frozen between calls: what was kept alive longer than this may be dead, and a reset on a dead connection
# cannot be told from a reset after sending.
KEEP_ALIVE_SECONDS = 5.0
CHUNK_BYTES = 64 * 1024


class WithoutRedirects(requests.Session):  # noqa: TID251 - the one place
    """Not following a redirect, requests would still read its whole body, unpack it and look where it points."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


class ProviderSession:
    """Posts JSON to one provider, once, over a connection that is kept alive only while it is surely alive."""

    def __init__(self) -> None:
        self._session = WithoutRedirects()
        self._session.trust_env = False  # a .netrc or a proxy variable must not meet the provider's token
        self._used_at = 0.0

    def post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, bytes]:
        """The status and body of the answer. Raises NotSent or ResponseLost; never repeats and follows no redirect."""
        if time.monotonic() - self._used_at > KEEP_ALIVE_SECONDS:
            self._session.close()
        try:
            with traced(url):
                return self._post(url, body, headers)
        finally:
            self._used_at = time.monotonic()

    def _post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, bytes]:
        timeout = (CONNECT_SECONDS, PROVIDER_STALL_SECONDS)
        deadline = time.monotonic() + PROVIDER_SECONDS
        try:
            with self._session.post(
                url, json=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True
            ) as answer:
                return answer.status_code, b"".join(chunks(answer, PROVIDER_ANSWER_BYTES, deadline))
        except (TooLarge, TooSlow) as error:
            raise ResponseLost(error.reason) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            outcome = NotSent if _before_sending(error) else ResponseLost
            raise outcome(type(error).__name__) from None


class TooLarge(Exception):
    """More than was allowed for."""

    reason = "too_large"


class TooSlow(Exception):
    """Not all of it had come when its time was up."""

    reason = "too_slow"


def chunks(answer: requests.Response, max_bytes: int, deadline: float) -> Iterator[bytes]:
    """What has arrived, as it arrives: waiting for whole chunks would let a trickle outlast any deadline."""
    received = 0
    while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
        received += len(chunk)
        if received > max_bytes:
            raise TooLarge
        if time.monotonic() > deadline:
            raise TooSlow
        yield chunk


def _before_sending(error: Exception) -> bool:
    """Whether the error belongs to the connect phase. requests.ConnectionError alone does not tell: it also covers
    connections that broke after sending."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.InvalidURL):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return True
    return isinstance(reason, urllib3.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason)


@contextmanager
def traced(url: str) -> Iterator[None]:
    """A subsegment with the host alone: paths and queries of such URLs carry tokens."""
    with tracer.provider.in_subsegment(name=urlsplit(url).hostname or "invalid-host", namespace="remote"):
        yield
