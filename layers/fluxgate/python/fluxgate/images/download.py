"""Downloads of images from URLs that others control."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import IO
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests_hardened.ip_filter import InvalidIPAddress

from fluxgate.errors import ImageUnavailable
from fluxgate.http.limits import TooLarge, TooSlow, chunks
from fluxgate.http.untrusted import UntrustedSession, untrusted

STALL_SECONDS = 5.0
# After any other status, above all 403, 404 and 410, the URL will not serve the image again.
RETRYABLE_STATUSES = frozenset({408, 425, 429, *range(500, 600)})


def download(url: str, into: IO[bytes], *, max_bytes: int, seconds: float, allow_local: bool) -> None:
    """Write the body of `url` to `into`. Only https and public addresses, without redirects; `allow_local` lifts the
    first two.

    Raises ImageUnavailable.
    """
    if not allow_local and urlsplit(url).scheme != "https":
        raise ImageUnavailable("not_https", final=True)
    deadline = time.monotonic() + seconds
    stall_seconds = min(seconds, STALL_SECONDS)
    with untrusted(url, seconds, stall_seconds=stall_seconds, allow_local=allow_local) as (session, expired):
        try:
            _save(session, url, into, max_bytes, deadline)
        except TooLarge as error:
            raise ImageUnavailable(error.reason, final=True) from None
        except TooSlow as error:
            raise ImageUnavailable(error.reason, final=False) from None
        except InvalidIPAddress:
            raise ImageUnavailable("address_not_public", final=True) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # ValueError: an invalid URL or a host name that cannot be encoded
            reason = TooSlow.reason if expired.is_set() else type(error).__name__
            final = isinstance(error, ValueError) and not expired.is_set()
            raise ImageUnavailable(reason, final=final) from None
        if expired.is_set():  # the body may have been cut off
            raise ImageUnavailable(TooSlow.reason, final=False)


def _save(session: UntrustedSession, url: str, into: IO[bytes], max_bytes: int, deadline: float) -> None:
    with session.get(url, stream=True, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code != HTTPStatus.OK:
            raise ImageUnavailable(f"http_{response.status_code}", final=response.status_code not in RETRYABLE_STATUSES)
        for chunk in chunks(response, max_bytes, deadline):
            into.write(chunk)
