"""HTTP requests to URLs that others have given: which addresses are reached, for how long, and for how many bytes."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Lock, Timer
from typing import IO
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from fluxgate.errors import ImageUnavailable
from fluxgate.http.trusted import CONNECT_SECONDS, TooLarge, TooSlow, WithoutRedirects, chunks, traced

# Its warnings show the names of hosts.
logging.getLogger("requests_hardened").setLevel(logging.ERROR)

RECEIVER_SECONDS = 15.0  # in all, as Standard Webhooks proposes
RECEIVER_ANSWER_BYTES = 4096
DOWNLOAD_STALL_SECONDS = 5.0
# Answers after which the same URL may give its picture yet. Any other, first of all 403, 404 and 410, is its end.
PASSING = frozenset({408, 425, 429, *range(500, 600)})


def download(url: str, into: IO[bytes], *, max_bytes: int, seconds: float, allow_local: bool) -> None:
    """Write what `url` gives to `into`. Only https and public addresses, checked on the address that is then connected
    to, and no redirects; `allow_local` (on a laptop) lifts the first two.

    Raises ImageUnavailable.
    """
    if not allow_local and urlsplit(url).scheme != "https":
        raise ImageUnavailable("not_https", final=True)
    stall, deadline = min(seconds, DOWNLOAD_STALL_SECONDS), time.monotonic() + seconds
    with (
        traced(url),
        GuardedSession(stall, allow_local=allow_local) as session,
        _ended_after(session, seconds) as ended,
    ):
        try:
            _save(session, url, into, max_bytes, deadline)
        except TooLarge as error:
            raise ImageUnavailable(error.reason, final=True) from None
        except TooSlow as error:
            raise ImageUnavailable(error.reason, final=False) from None
        except InvalidIPAddress:
            raise ImageUnavailable("address_not_public", final=True) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # ValueError: a host name that cannot be encoded, or a URL that is none
            reason = TooSlow.reason if ended.is_set() else type(error).__name__
            final = isinstance(error, ValueError) and not ended.is_set()
            raise ImageUnavailable(reason, final=final) from None
        if ended.is_set():  # what looked like the answer's end was ours
            raise ImageUnavailable(TooSlow.reason, final=False)


def _save(session: GuardedSession, url: str, into: IO[bytes], max_bytes: int, deadline: float) -> None:
    with session.get(url, stream=True, headers={"Accept-Encoding": "identity"}) as answer:
        if answer.status_code != HTTPStatus.OK:
            raise ImageUnavailable(f"http_{answer.status_code}", final=answer.status_code not in PASSING)
        for chunk in chunks(answer, max_bytes, deadline):
            into.write(chunk)


@dataclass(frozen=True)
class Answer:
    """What a receiver answered; no status: it did not. `summary` is a short code that is safe to store and log."""

    status: int | None
    summary: str
    retry_after: str | None = None

    @property
    def accepted(self) -> bool:
        """Only 2xx counts."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Nobody will ever want it."""
        return self.status == HTTPStatus.GONE


class Receivers:
    """Posts to URLs that clients have given: like a download, only to https and public addresses, without redirects."""

    def __init__(self, *, allow_local: bool) -> None:
        self._allow_local = allow_local

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Post once, in RECEIVER_SECONDS at most. Of the answer's body a little is read, nothing kept. Raises nothing.

        The status decides, whatever becomes of the body after it.
        """
        if not self._allow_local and urlsplit(url).scheme != "https":
            return Answer(None, "not_https")
        with (
            traced(url),
            GuardedSession(RECEIVER_SECONDS, allow_local=self._allow_local) as session,
            _ended_after(session, RECEIVER_SECONDS) as ended,
        ):
            try:
                with session.post(url, data=body, headers=headers, stream=True) as answer:
                    if ended.is_set():  # within the headers, whose end was then ours
                        return Answer(None, TooSlow.reason)
                    with suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
                        answer.raw.read1(RECEIVER_ANSWER_BYTES)
                    return Answer(answer.status_code, f"http_{answer.status_code}", answer.headers.get("Retry-After"))
            except InvalidIPAddress:
                return Answer(None, "address_not_public")
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                slow = ended.is_set() or isinstance(error, requests.ReadTimeout)
                return Answer(None, TooSlow.reason if slow else type(error).__name__)


class GuardedSession(HTTPSession, WithoutRedirects):  # type: ignore[misc] # the former comes without types
    """For URLs that are not ours: the address is checked, and the checked one is connected to."""

    def __init__(self, stall_seconds: float, *, allow_local: bool) -> None:
        super().__init__(  # type: ignore[call-arg]
            Config(
                ip_filter_enable=not allow_local,
                ip_filter_allow_loopback_ips=False,
                never_redirect=True,
                default_timeout=(CONNECT_SECONDS, stall_seconds),
                user_agent_override="fluxgate",
            )
        )
        self.trust_env = False


@contextmanager
def _ended_after(session: GuardedSession, seconds: float) -> Iterator[Event]:
    """End the session's connections when the time is up, and set the event. Timeouts alone do not: each read has its
    own, so that headers that come byte by byte take as long as they like. What is left is the time in which a name is
    looked up, which the resolver ends, and that of connecting and of the handshake, CONNECT_SECONDS each."""
    ended, lock = Event(), Lock()
    watched: list[socket.socket] = []

    def watch(connection: socket.socket) -> None:
        with lock:
            watched.append(connection)
        if ended.is_set():
            raise TimeoutError

    def end() -> None:
        ended.set()
        with lock:
            for connection in watched:
                with suppress(OSError):  # it has ended by itself
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # TLS' own would first forget its keys

    for adapter in session.adapters.values():
        adapter.poolmanager.pool_classes_by_scheme = _watched_pools(watch)  # type: ignore[attr-defined] # of all kinds here
    timer = Timer(seconds, end)
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()
        timer.join()


def _watched_pools(watch: Callable[[socket.socket], None]) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's own, by scheme, but every connection that has been made is shown to `watch`."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watch(self.sock)

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            watch(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
