"""HTTP sessions for URLs from clients and providers: public addresses only, with a hard time limit."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Timer

from requests_hardened import Config, HTTPSession
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from fluxgate.http.limits import CONNECT_SECONDS, SessionWithoutRedirects, traced


class UntrustedSession(HTTPSession, SessionWithoutRedirects):  # type: ignore[misc] # HTTPSession is untyped
    """Checks the resolved address and connects to exactly that address."""

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
def untrusted(
    url: str, seconds: float, *, stall_seconds: float, allow_local: bool
) -> Iterator[tuple[UntrustedSession, Event]]:
    """A traced session whose connections are shut down after `seconds`. The event is set when that happens."""
    with (
        traced(url),
        UntrustedSession(stall_seconds, allow_local=allow_local) as session,
        _shut_down_after(session, seconds) as expired,
    ):
        yield session, expired


@contextmanager
def _shut_down_after(session: UntrustedSession, seconds: float) -> Iterator[Event]:
    """Socket timeouts apply to each read, so headers that arrive byte by byte could take forever. Not covered: the DNS
    lookup, which the resolver limits, and connecting and the TLS handshake, limited to CONNECT_SECONDS each."""
    expired, lock = Event(), Lock()
    sockets: list[socket.socket] = []

    def watch(connection: socket.socket) -> None:
        with lock:
            sockets.append(connection)
        if expired.is_set():
            raise TimeoutError

    def shut_down() -> None:
        expired.set()
        with lock:
            for connection in sockets:
                with suppress(OSError):  # already closed
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # the TLS method would discard its keys first

    for adapter in session.adapters.values():
        adapter.poolmanager.pool_classes_by_scheme = _watched_pools(watch)  # type: ignore[attr-defined] # HTTPAdapter
    timer = Timer(seconds, shut_down)
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()


def _watched_pools(watch: Callable[[socket.socket], None]) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's connection pools by scheme. They pass every new connection to `watch`."""

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
