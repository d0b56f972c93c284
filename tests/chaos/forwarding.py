"""The request handler of a forwarding proxy."""

from __future__ import annotations

import contextlib
import http.client

from tests.chaos.http_server import SilentHandler

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "expect", "keep-alive"}
Address = tuple[str, int]
Response = tuple[int, list[tuple[str, str]], bytes]  # status, headers, body


class ForwardingHandler(SilentHandler):
    """Subclasses handle all methods in `do_GET` and respond with `send`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self._connections: dict[Address, http.client.HTTPConnection] = {}

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        self.do_GET()

    do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815 - names of the base class

    def do_GET(self) -> None:  # noqa: N802
        raise NotImplementedError

    def handle_expect_100(self) -> bool:
        """Respond immediately: the SDK waits up to one second for it."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def forward(self, upstream: Address, body: bytes) -> Response:
        """Repeat once on a connection that the upstream has closed."""
        for last in (False, True):
            if upstream not in self._connections:
                self._connections[upstream] = http.client.HTTPConnection(*upstream, timeout=60)
                self._connections[upstream].connect()
            with contextlib.suppress(*(() if last else (ConnectionError, http.client.HTTPException))):
                return self._exchange(self._connections[upstream], body)
            self._connections.pop(upstream).close()
        raise AssertionError

    def send(self, response: Response) -> None:
        status, headers, body = response
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self) -> None:
        for connection in self._connections.values():
            connection.close()
        super().finish()

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes) -> Response:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        with connection.getresponse() as response:
            headers = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
            return response.status, headers, response.read()
