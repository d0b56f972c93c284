"""POST requests to webhook receivers, whose URLs clients control."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests_hardened.ip_filter import InvalidIPAddress

from fluxgate.http.limits import TooSlow
from fluxgate.http.untrusted import untrusted

RECEIVER_SECONDS = 15.0  # in total, as Standard Webhooks recommends
MAX_RESPONSE_BYTES = 4096


@dataclass(frozen=True)
class ReceiverResponse:
    status: int | None
    """None: no response."""
    summary: str
    """A short code that is safe to store and log."""
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """The receiver will never accept this webhook."""
        return self.status == HTTPStatus.GONE


class Receivers:
    """Posts to https URLs on public addresses, without redirects. `allow_local` permits http and private addresses."""

    def __init__(self, *, allow_local: bool) -> None:
        self._allow_local = allow_local

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> ReceiverResponse:
        """Post once, within RECEIVER_SECONDS. Never raises. The status counts even if the body does not arrive."""
        if not self._allow_local and urlsplit(url).scheme != "https":
            return ReceiverResponse(None, "not_https")
        with untrusted(url, RECEIVER_SECONDS, stall_seconds=RECEIVER_SECONDS, allow_local=self._allow_local) as (
            session,
            expired,
        ):
            try:
                with session.post(url, data=body, headers=headers, stream=True) as response:
                    if expired.is_set():  # the headers may have been cut off
                        return ReceiverResponse(None, TooSlow.reason)
                    # Reading a little lets the receiver finish its response.
                    with suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
                        response.raw.read1(MAX_RESPONSE_BYTES)
                    status = response.status_code
                    return ReceiverResponse(status, f"http_{status}", response.headers.get("Retry-After"))
            except InvalidIPAddress:
                return ReceiverResponse(None, "address_not_public")
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                slow = expired.is_set() or isinstance(error, requests.ReadTimeout)
                return ReceiverResponse(None, TooSlow.reason if slow else type(error).__name__)
