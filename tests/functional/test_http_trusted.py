"""Requests to the provider, against a server that misbehaves on the wire."""

import gzip
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from fluxgate.errors import NotSent, ResponseLost
from fluxgate.http import trusted
from fluxgate.http.trusted import ProviderSession
from tests.functional.network import Script, ScriptedServer, receive_request, send_slowly

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEAD_200 = b"HTTP/1.1 200 OK\r\n"


def respond(*responses: bytes | list[bytes], pause: float = 0, then: Script = lambda _: None) -> Script:
    """One response per request on the same connection. The parts of a list are sent `pause` seconds apart."""

    def script(connection: socket.socket) -> None:
        for response in responses:
            if not receive_request(connection):
                return
            send_slowly(connection, [response] if isinstance(response, bytes) else response, pause)
        then(connection)

    return script


def wait_for_disconnect(connection: socket.socket) -> None:
    connection.recv(1)


def test_fresh_connection_is_reused() -> None:
    session = ProviderSession()
    with ScriptedServer(respond(OK, OK)) as server:
        assert session.post(server.url, {}, {}) == (200, b"{}")
        assert session.post(server.url, {}, {}) == (200, b"{}")
    assert server.connections == 1


def test_idle_connection_is_not_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that the provider closed while the Lambda was frozen would make the next submission unknown."""
    monkeypatch.setattr(trusted, "KEEP_ALIVE_SECONDS", 0.05)
    session = ProviderSession()
    with ScriptedServer(respond(OK, then=wait_for_disconnect), respond(OK)) as server:
        session.post(server.url, {}, {})
        time.sleep(0.1)
        assert session.post(server.url, {}, {}) == (200, b"{}")
    assert server.connections == 2


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "https://nowhere.invalid/", "https://"]
)
def test_failed_connection_is_not_sent(url: str) -> None:
    with pytest.raises(NotSent):
        ProviderSession().post(url, {}, {})


def test_connect_timeout_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "CONNECT_SECONDS", 0.2)
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):  # fill the accept queue
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        with pytest.raises(NotSent, match="ConnectTimeout"):
            ProviderSession().post(f"http://127.0.0.1:{address[1]}/", {}, {})


def test_untrusted_certificate_is_not_sent() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def handshake(connection: socket.socket) -> None:
        with pytest.raises(OSError):
            context.wrap_socket(connection, server_side=True).recv(1)

    with ScriptedServer(handshake) as server, pytest.raises(NotSent):
        ProviderSession().post(server.url.replace("http://127.0.0.1", "https://localhost"), {}, {})


LOST = {
    "closed after sending": respond(b""),
    "half a response": respond(HEAD_200 + b"Content-Length: 90\r\n\r\n{}"),
    "not HTTP": respond(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "too large": respond(HEAD_200 + b"Content-Length: 1200000\r\n\r\n" + b"x" * 1_200_000),
    "a bad chunk": respond(HEAD_200 + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "bad gzip": respond(HEAD_200 + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "silence": respond(b"", then=wait_for_disconnect),
    "a slow body": respond([HEAD_200 + b"Content-Length: 9\r\n\r\nx", *[b"x"] * 8], pause=0.1),
}


@pytest.mark.parametrize("name", LOST)
def test_failure_after_sending_is_response_lost_and_not_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "PROVIDER_STALL_SECONDS", 0.4)
    monkeypatch.setattr(trusted, "PROVIDER_SECONDS", 0.4)
    with ScriptedServer(LOST[name]) as server, pytest.raises(ResponseLost) as lost:
        ProviderSession().post(server.url, {}, {"Authorization": "Bearer secret"})
    assert server.connections == 1
    assert "127.0.0.1" not in str(lost.value)


def test_chunked_gzip_response_is_decoded() -> None:
    packed = gzip.compress(b'{"task_id": "1"}' * 100)
    head = HEAD_200 + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (packed[:11], packed[11:])) + b"0\r\n\r\n"
    with ScriptedServer(respond(head + chunks)) as server:
        assert ProviderSession().post(server.url, {}, {}) == (200, b'{"task_id": "1"}' * 100)


def test_redirect_is_returned_and_not_followed() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(respond(redirect)) as server:
        assert ProviderSession().post(server.url, {}, {}) == (302, b"")


def test_netrc_and_proxy_settings_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    received: list[bytes] = []

    def record(connection: socket.socket) -> None:
        received.append(receive_request(connection))
        connection.sendall(OK)

    with ScriptedServer(record) as server:
        ProviderSession().post(server.url, {}, {"Authorization": "Bearer token"})
    assert b"Authorization: Bearer token\r\n" in received[0]
