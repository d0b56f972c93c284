"""HTTP requests to the provider: deadlines, limits, and whether a failed request may have been sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import requests
import urllib3.exceptions

from fluxgate.errors import NotSent, ResponseLost
from fluxgate.http.limits import CONNECT_SECONDS, SessionWithoutRedirects, TooLarge, TooSlow, chunks, traced

# Limits for each read and, checked after each read, for the whole request. The worst case is their sum, which leaves
# time for two writes before API Gateway's 29 s.
PROVIDER_STALL_SECONDS = 10.0
PROVIDER_SECONDS = 15.0
MAX_RESPONSE_BYTES = 1024 * 1024
# Lambda freezes the process between events. An older connection may be dead, and a reset of a dead connection looks
# like a reset after sending.
KEEP_ALIVE_SECONDS = 5.0


class ProviderSession:
    """Posts JSON to one provider and never repeats a request. Reuses a connection for KEEP_ALIVE_SECONDS."""

    def __init__(self) -> None:
        self._session = SessionWithoutRedirects()
        self._session.trust_env = False  # no .netrc or proxy may see the provider's token
        self._used_at = 0.0

    def post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body. Raises NotSent or ResponseLost."""
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
            ) as response:
                return response.status_code, b"".join(chunks(response, MAX_RESPONSE_BYTES, deadline))
        except (TooLarge, TooSlow) as error:
            raise ResponseLost(error.reason) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            kind = NotSent if _is_before_sending(error) else ResponseLost
            raise kind(type(error).__name__) from None


def _is_before_sending(error: Exception) -> bool:
    """Whether the error belongs to the connect phase. requests.ConnectionError also covers connections that broke after
    sending."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.InvalidURL):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return True
    return isinstance(reason, urllib3.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason)
