"""Every HTTP request that leaves fluxgate: deadlines, limits, addresses, and what an error proves about sending."""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Lock, Timer
from typing import IO, Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from fluxgate.errors import ImageUnavailable
from fluxgate.telemetry import tracer

# Their warnings show whole URLs (of an answer whose headers are malformed) and the names of hosts.
for _library in ("urllib3", "requests_hardened"):
    logging.getLogger(_library).setLevel(logging.ERROR)

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

RECEIVER_SECONDS = 15.0  # in all, as Standard Webhooks proposes
RECEIVER_ANSWER_BYTES = 4096
DOWNLOAD_STALL_SECONDS = 5.0
# Answers after which the same URL may give its picture yet. Any other, first of all 403, 404 and 410, is its end.
PASSING = frozenset({408, 425, 429, *range(500, 600)})

# Names that no public server has (RFC 6761, RFC 6762, RFC 8375, and ICANN's reservation of .internal).
NEVER_PUBLIC = (".localhost", ".local", ".internal", ".home.arpa", ".invalid", ".test", ".onion")


class NotSent(Exception):
    """The connection could not be made: nothing has left this machine."""


class AnswerLost(Exception):
    """The request may have arrived; what became of it is unknown. The message is safe to log."""


class ProviderSession:
    """Posts JSON to one provider, once, over a connection that is kept alive only while it is surely alive."""

    def __init__(self) -> None:
        self._session = requests.Session()  # noqa: TID251 - the one place
        self._session.trust_env = False  # a .netrc or a proxy variable must not meet the provider's token
        self._session.get_redirect_target = lambda _: None  # type: ignore[assignment] # as in guarded_session
        self._used_at = 0.0

    def post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, bytes]:
        """The status and body of the answer. Raises NotSent or AnswerLost; never repeats and follows no redirect."""
        if time.monotonic() - self._used_at > KEEP_ALIVE_SECONDS:
            self._session.close()
        try:
            with _traced(url):
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
                return answer.status_code, b"".join(_chunks(answer, PROVIDER_ANSWER_BYTES, deadline))
        except (_TooLarge, _TooSlow) as error:
            raise AnswerLost(error.reason) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            outcome = NotSent if _before_sending(error) else AnswerLost
            raise outcome(type(error).__name__) from None


def download(url: str, into: IO[bytes], *, max_bytes: int, seconds: float, allow_local: bool) -> None:
    """Write what `url` gives to `into`. Only https and public addresses, checked on the address that is then connected
    to, and no redirects; `allow_local` (on a laptop) lifts the first two.

    Raises ImageUnavailable.
    """
    if not allow_local and urlsplit(url).scheme != "https":
        raise ImageUnavailable("not_https", final=True)
    stall, deadline = min(seconds, DOWNLOAD_STALL_SECONDS), time.monotonic() + seconds
    with (
        _traced(url),
        guarded_session(stall, allow_local=allow_local) as session,
        _ended_after(session, seconds) as ended,
    ):
        try:
            _save(session, url, into, max_bytes, deadline)
        except _TooLarge as error:
            raise ImageUnavailable(error.reason, final=True) from None
        except _TooSlow as error:
            raise ImageUnavailable(error.reason, final=False) from None
        except InvalidIPAddress:
            raise ImageUnavailable("address_not_public", final=True) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            # ValueError: a host name that cannot be encoded, or a URL that is none
            reason = _TooSlow.reason if ended.is_set() else type(error).__name__
            raise ImageUnavailable(reason, final=isinstance(error, ValueError)) from None
        if ended.is_set():  # what looked like the answer's end was ours
            raise ImageUnavailable(_TooSlow.reason, final=False)


def _save(session: HTTPSession, url: str, into: IO[bytes], max_bytes: int, deadline: float) -> None:
    with session.get(url, stream=True, headers={"Accept-Encoding": "identity"}) as answer:
        if answer.status_code != HTTPStatus.OK:
            raise ImageUnavailable(f"http_{answer.status_code}", final=answer.status_code not in PASSING)
        for chunk in _chunks(answer, max_bytes, deadline):
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
            _traced(url),
            guarded_session(RECEIVER_SECONDS, allow_local=self._allow_local) as session,
            _ended_after(session, RECEIVER_SECONDS) as ended,
        ):
            try:
                with session.post(url, data=body, headers=headers, stream=True) as answer:
                    if ended.is_set():  # within the headers, whose end was then ours
                        return Answer(None, _TooSlow.reason)
                    with suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
                        answer.raw.read1(RECEIVER_ANSWER_BYTES)
                    return Answer(answer.status_code, f"http_{answer.status_code}", answer.headers.get("Retry-After"))
            except InvalidIPAddress:
                return Answer(None, "address_not_public")
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                slow = ended.is_set() or isinstance(error, requests.ReadTimeout)
                return Answer(None, _TooSlow.reason if slow else type(error).__name__)


def guarded_session(stall_seconds: float, *, allow_local: bool) -> HTTPSession:
    """For URLs that are not ours: the address is checked, and the checked one is connected to."""
    config = Config(
        ip_filter_enable=not allow_local,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=(CONNECT_SECONDS, stall_seconds),
        user_agent_override="fluxgate",
    )
    session = HTTPSession(config)
    session.trust_env = False
    # Not following a redirect, requests would still read its whole body, unpack it and look where it points.
    session.get_redirect_target = lambda _: None
    return session


@contextmanager
def _ended_after(session: HTTPSession, seconds: float) -> Iterator[Event]:
    """End the session's connections when the time is up, and set the event. Timeouts alone do not: each read has its
    own, so that a handshake or headers that come byte by byte take as long as they like. What is left is the time in
    which a name is looked up; the resolver ends that."""
    ended, lock = Event(), Lock()
    watched: list[socket.socket] = []

    def watch(connection: socket.socket) -> socket.socket:
        with lock:  # TLS takes the original over, and hides it until after the handshake
            watched.append(connection.dup())
        if ended.is_set():
            connection.close()
            raise TimeoutError
        return connection

    def end() -> None:
        ended.set()
        with lock:
            for connection in watched:
                with suppress(OSError):  # it has ended by itself
                    connection.shutdown(socket.SHUT_RDWR)

    for adapter in session.adapters.values():
        adapter.poolmanager.pool_classes_by_scheme = _watched_pools(watch)
    timer = Timer(seconds, end)
    timer.start()
    try:
        yield ended
    finally:
        timer.cancel()
        timer.join()
        for connection in watched:
            connection.close()


def _watched_pools(watch: Callable[[socket.socket], socket.socket]) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's own, by scheme, but every new connection is shown to `watch`."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return watch(super()._new_conn())

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return watch(super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def is_public_host(host: str) -> bool:
    """Whether a host name or address looks like one on the internet. The address itself is checked when connecting."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        last = name.rpartition(".")[2]
        return "." in name and not last.isdigit() and not name.endswith(NEVER_PUBLIC)


class _TooLarge(Exception):
    reason = "too_large"


class _TooSlow(Exception):
    reason = "too_slow"


def _chunks(answer: requests.Response, max_bytes: int, deadline: float) -> Iterator[bytes]:
    """What has arrived, as it arrives: waiting for whole chunks would let a trickle outlast any deadline."""
    received = 0
    while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
        received += len(chunk)
        if received > max_bytes:
            raise _TooLarge
        if time.monotonic() > deadline:
            raise _TooSlow
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
def _traced(url: str) -> Iterator[None]:
    """A subsegment with the host alone: paths and queries of such URLs carry tokens."""
    with tracer.provider.in_subsegment(name=urlsplit(url).hostname or "invalid-host", namespace="remote"):
        yield
