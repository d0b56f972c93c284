"""Doubles of the network: a server that scripts drive byte by byte, and a resolver with chosen addresses."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread, get_ident
from typing import Any, Self

import pytest
import trustme

LIMIT_SECONDS = 100.0  # for a peer that never comes; below the time limit of a test
PUBLIC_PREFIX = "203.0.113."  # reserved for documentation, public to a FakeNetwork

Script = Callable[[socket.socket], object]


class ScriptedServer:
    """Runs one script per connection, in order. On exit, `connections` also counts connections without a script."""

    def __init__(self, *scripts: Script) -> None:
        self.connections = 0
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT_SECONDS)
        self.address: tuple[str, int] = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}/flux/images"
        self._thread = Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error:
            self._listener.shutdown(socket.SHUT_RDWR)  # interrupts a pending accept
        self._thread.join()
        self._listener.setblocking(False)
        with suppress(OSError), self._listener:
            while True:
                self._accept().close()

    def _serve(self) -> None:
        for script in self._scripts:
            with suppress(OSError), self._accept() as connection:  # the client may disconnect early
                connection.settimeout(LIMIT_SECONDS)
                script(connection)

    def _accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        self.connections += 1
        return connection


def receive_request(connection: socket.socket) -> bytes:
    """One GET, or one POST of `{}`. Empty if the client disconnected."""
    request = b""
    while not request.endswith(b"{}" if request.startswith(b"POST") else b"\r\n\r\n"):
        if not (part := connection.recv(65536)):
            return b""
        request += part
    return request


def send_slowly(connection: socket.socket, parts: list[bytes], pause: float) -> None:
    """Send the parts `pause` seconds apart. Raises OSError if the client disconnects."""
    for part in parts:
        connection.sendall(part)
        time.sleep(pause)


class TlsReceiver:
    """A script that accepts one POST of `{}` over TLS with a certificate for `name`."""

    def __init__(self, ca: trustme.CA, name: str) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(name).configure_cert(self._context)
        self.received = b""

    def __call__(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as secured:
            while not self.received.endswith(b"{}") and (part := secured.recv(65536)):
                self.received += part
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class FakeNetwork:
    """Resolves `host` to the given addresses, one per lookup. Connections of this thread go to `server`, or fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, host: str, *addresses: str) -> None:
        self.lookups: list[str] = []
        self.connections: list[str] = []
        self.server: tuple[str, int] | None = None
        self._host, self._addresses = host, iter(addresses)
        self._resolve, self._connect = socket.getaddrinfo, socket.socket.connect
        self._thread = get_ident()
        is_private = ipaddress.IPv4Address.__dict__["is_private"].fget

        def connect(connection: socket.socket, address: Any) -> None:
            self.connect(connection, address)

        def is_private_here(address: ipaddress.IPv4Address) -> bool:
            return not str(address).startswith(PUBLIC_PREFIX) and is_private(address)

        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)
        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(ipaddress.IPv4Address, "is_private", property(is_private_here))

    def resolve(self, host: str, *arguments: Any, **options: Any) -> Any:
        if host != self._host:
            return self._resolve(host, *arguments, **options)
        self.lookups.append(host)
        address = next(self._addresses)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        destination = (address, 443, 0, 0) if ":" in address else (address, 443)
        return [(family, socket.SOCK_STREAM, 6, "", destination)]

    def connect(self, connection: socket.socket, address: Any) -> None:
        if get_ident() != self._thread:  # the local stack in this process
            self._connect(connection, address)
            return
        self.connections.append(address[0])
        if self.server is None:
            raise OSError("no server")
        self._connect(connection, self.server)
