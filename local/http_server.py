"""An HTTP server in threads of this process."""

from __future__ import annotations

import errno
import socket
from threading import Thread
from typing import TYPE_CHECKING, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import WSGIApplication


class PortInUseError(Exception):
    """Another process listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} is in use.")
        self.port = port


class HttpServer:
    """A context manager. It binds its port at once, so that its address is known before it serves."""

    def __init__(self, host: str, port: int) -> None:
        """Bind the port; 0 takes a free one. Raises PortInUseError."""
        self._host = host
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUseError(port) from error
        self.port: int = self._listener.getsockname()[1]
        self._server: BaseWSGIServer | None = None

    def serve(self, application: WSGIApplication) -> None:
        """Serve in the background until exit."""
        self._server = make_server(
            self._host,
            self.port,
            application,
            threaded=True,
            request_handler=_QuietRequestHandler,
            fd=self._listener.fileno(),
        )
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._listener.close()


class _QuietRequestHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No access log: the functions log what happens."""
