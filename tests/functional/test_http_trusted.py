"""What leaves fluxgate, against a server that misbehaves on the wire."""

import gzip
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from fluxgate.errors import ImageUnavailable, NotSent, ResponseLost
from fluxgate.http import trusted
from fluxgate.http.trusted import ProviderSession
from fluxgate.images.download import download

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def server(*answers: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[int]]]:
    """Gives each connection to the next of `answers`; the list counts the requests of each connection."""
    requests: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                requests.append(0)
                with connection, suppress(OSError):  # the client may leave in the middle
                    connection.settimeout(5)
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/flux/images", requests
        thread.join()


def saying(
    *answers: bytes, pause: float = 0, then: Callable[[socket.socket], object] = lambda _: None
) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        for part in answers:
            if not _request(connection):
                return
            for byte in part.split(b"|"):
                connection.sendall(byte)
                time.sleep(pause)
        then(connection)

    return answer


def _request(connection: socket.socket) -> bytes:
    """One whole request: a GET, or a POST of `{}`. Empty when the client has left."""
    request = b""
    while not request.endswith(b"{}" if request.startswith(b"POST") else b"\r\n\r\n"):
        if not (part := connection.recv(65536)):
            return b""
        request += part
    return request


def test_a_connection_is_kept_while_it_is_fresh() -> None:
    session = ProviderSession()
    with server(saying(OK, OK)) as (url, connections):
        assert session.post(url, {}, {}) == (200, b"{}")
        assert session.post(url, {}, {}) == (200, b"{}")
        assert len(connections) == 1


def test_a_connection_that_has_been_idle_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other side has closed while a Lambda was frozen must not turn a submission into an unknown."""
    monkeypatch.setattr(trusted, "KEEP_ALIVE_SECONDS", 0.05)
    session = ProviderSession()
    still_open = saying(OK, then=lambda connection: connection.recv(1))  # until the client closes it
    with server(still_open, saying(OK)) as (url, connections):
        session.post(url, {}, {})
        time.sleep(0.1)
        assert session.post(url, {}, {}) == (200, b"{}")
        assert len(connections) == 2


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "https://nowhere.invalid/", "https://"]
)
def test_no_connection_proves_that_nothing_was_sent(url: str) -> None:
    with pytest.raises(NotSent):
        ProviderSession().post(url, {}, {})


def test_a_connection_that_is_not_answered_proves_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "CONNECT_SECONDS", 0.2)
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):  # its queue is full
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        with pytest.raises(NotSent, match="ConnectTimeout"):
            ProviderSession().post(f"http://127.0.0.1:{address[1]}/", {}, {})


def test_a_certificate_that_is_not_trusted_proves_that_nothing_was_sent() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def handshake(connection: socket.socket) -> None:
        with pytest.raises(OSError):
            context.wrap_socket(connection, server_side=True).recv(1)

    with server(handshake) as (url, _), pytest.raises(NotSent):
        ProviderSession().post(url.replace("http://127.0.0.1", "https://localhost"), {}, {})


LOST = {
    "closed after sending": saying(b""),
    "half an answer": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{}"),
    "not HTTP": saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "too large": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1200000\r\n\r\n" + b"x" * 1_200_000),
    "a bad chunk": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "bad gzip": saying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "silence": saying(b"", then=lambda connection: connection.recv(1)),
    "a trickle": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + b"|".join([b"x"] * 9), pause=0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", LOST)
def test_whatever_happens_after_sending_is_unknown_and_not_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "PROVIDER_STALL_SECONDS", 0.4)
    monkeypatch.setattr(trusted, "PROVIDER_SECONDS", 0.4)
    with server(LOST[name]) as (url, connections):
        with pytest.raises(ResponseLost) as lost:
            ProviderSession().post(url, {}, {"Authorization": "Bearer secret"})
        assert len(connections) == 1
    assert "127.0.0.1" not in str(lost.value)


def test_an_answer_in_chunks_and_gzip_is_read() -> None:
    packed = gzip.compress(b'{"task_id": "1"}' * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (packed[:11], packed[11:])) + b"0\r\n\r\n"
    with server(saying(head + chunks)) as (url, _):
        assert ProviderSession().post(url, {}, {}) == (200, b'{"task_id": "1"}' * 100)


def test_a_redirect_is_an_answer() -> None:
    with server(saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")) as (
        url,
        _,
    ):
        assert ProviderSession().post(url, {}, {}) == (302, b"")


def test_the_environments_netrc_and_proxies_stay_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    heard: list[bytes] = []

    def hear(connection: socket.socket) -> None:
        heard.append(_request(connection))
        connection.sendall(OK)

    with server(hear) as (url, _):
        ProviderSession().post(url, {}, {"Authorization": "Bearer token"})
    assert b"Authorization: Bearer token\r\n" in heard[0]


TRICKLES = {
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + b"|".join([b"x"] * 50),
    "body without a length": b"HTTP/1.1 200 OK\r\n\r\n" + b"|".join([b"x"] * 50),
    "headers": b"HTTP/1.1 200 OK\r\n" + b"|".join([b"x-some: header\r\n"] * 50) + b"Content-Length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("part", TRICKLES)
def test_a_slow_download_is_left_at_its_deadline(part: str) -> None:
    begun = time.monotonic()
    with (
        server(saying(TRICKLES[part], pause=0.05)) as (url, _),
        pytest.raises(ImageUnavailable, match="too_slow") as slow,
    ):
        download(url, io.BytesIO(), max_bytes=10_000, seconds=0.3, allow_local=True)
    assert time.monotonic() - begun < 2  # of the 2.5 that it takes
    assert slow.value.final is False


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1", "fd00::1", "64:ff9b::7f00:1"],
)
def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    place = (address, 443, 0, 0) if ":" in address else (address, 443)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(family, socket.SOCK_STREAM, 6, "", place)])
    with pytest.raises(ImageUnavailable, match="address_not_public"):
        download("https://cdn.fluxgate.dev/1.png", io.BytesIO(), max_bytes=100, seconds=1, allow_local=False)


def test_a_name_that_changes_its_address_after_the_check_is_connected_to_at_the_checked_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([("203.0.113.1", 443), ("127.0.0.1", 443)])
    asked: list[str] = []
    connected: list[object] = []

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        place = next(answers) if host == "cdn.fluxgate.dev" else (host, 443)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]

    really_connect, this_thread = socket.socket.connect, threading.get_ident()

    def connect(connection: socket.socket, address: Any) -> None:
        if threading.get_ident() != this_thread:  # a local stack that lives in this process
            really_connect(connection, address)
            return
        connected.append(address)
        raise OSError("not in this test")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    # 203.0.113.0/24 is for documentation: for this test it is public.
    monkeypatch.setattr("requests_hardened.ip_filter.ipaddress.IPv4Address.is_private", False)
    with pytest.raises(ImageUnavailable):
        download("https://cdn.fluxgate.dev/1.png", io.BytesIO(), max_bytes=100, seconds=1, allow_local=False)
    assert asked.count("cdn.fluxgate.dev") == 1
    assert {address[0] for address in connected} == {"203.0.113.1"}  # type: ignore[index]
