"""A threaded HTTP/1.1 server for simulators and tests. It can break connections, and closing it closes them all."""

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request with its complete body."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    connection: socket.socket

    @property
    def disconnected(self) -> bool:
        """Whether the client has closed the connection."""
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response. A body of chunks is streamed. `length` sets Content-Length, which may be wrong."""

    status: int
    content_type: str
    body: bytes | Iterator[bytes]
    length: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class ConnectionDropped(Exception):
    """Raised by the application to close the connection without a response, optionally with a TCP reset."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


class Listener:
    """Serves an application in the background between `start` and `close`."""

    def __init__(
        self,
        app: Callable[[HttpRequest], HttpResponse],
        host: str,
        port: int,
        *,
        keep_alive: float = 60,
        verbose: bool = False,
    ) -> None:
        """Bind the port immediately; 0 takes a free one.

        Connections close after `keep_alive` idle seconds; 0 closes them after each response. `verbose` logs each
        request.
        """
        self._server = _Server((host, port), app, keep_alive=keep_alive, verbose=verbose)
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="simulator")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop listening, close all connections and wait for their threads. Raises the first error that the application
        raised unexpectedly: clients saw only a broken connection."""
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        if self._server.errors:
            raise self._server.errors[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for the threads
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], app: Callable[[HttpRequest], HttpResponse], **options: Any) -> None:
        super().__init__(address, _Handler)
        self.app = app
        self.keep_alive: float = options["keep_alive"]
        self.verbose: bool = options["verbose"]
        self.errors: list[Exception] = []
        self._connections: set[socket.socket] = set()
        self._lock = Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            request.close()  # a shutdown would send FIN instead of a reset
        else:
            super().shutdown_request(request)

    def close_connections(self) -> None:
        """Close all connections, so that no thread waits for its client."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered, so that headers and body share a packet
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.keep_alive or None)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().finish()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = int(headers.get("content-length", 0))
        body = self.rfile.read(length)
        self.close_connection |= not self.server.keep_alive or len(body) < length
        if len(body) < length:  # the client disconnected before the end of the body
            return
        request = HttpRequest(self.command, parts.path, parts.query, headers, body, self.connection)
        try:
            response = self.server.app(request)
        except ConnectionDropped as drop:
            self._drop(reset=drop.reset)
        except OSError:  # the client disconnected
            raise
        except Exception as error:
            self.server.errors.append(error)
            raise
        else:
            self._send(response)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET  # noqa: N815 - the base class calls these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's parameter name
        if self.server.verbose:
            super().log_message(format, *args)

    def _drop(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send(self, response: HttpResponse) -> None:
        body = response.body
        chunks = iter([body]) if isinstance(body, bytes) else body
        length = len(body) if isinstance(body, bytes) and response.length is None else response.length
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk if length is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        if length is None:
            self.wfile.write(b"0\r\n\r\n")
