"""Image downloads from URLs of others: the deadline, and connections to public addresses only."""

import io
import socket
import time

import pytest

from fluxgate.errors import ImageUnavailable
from fluxgate.images.download import download
from tests.functional.network import FakeNetwork, ScriptedServer, receive_request, send_slowly

HOST = "cdn.fluxgate.dev"
URL = f"https://{HOST}/1.png"

# Each takes 60 seconds without a deadline.
SLOW_RESPONSES = {
    "body": [b"HTTP/1.1 200 OK\r\nContent-Length: 1200\r\n\r\n", *[b"x"] * 1200],
    "body without a length": [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 1200],
    "headers": [b"HTTP/1.1 200 OK\r\nx-some: ", *[b"x"] * 1200],
}


@pytest.mark.parametrize("part", SLOW_RESPONSES)
def test_slow_download_ends_at_its_deadline(part: str) -> None:
    def respond(connection: socket.socket) -> None:
        receive_request(connection)
        send_slowly(connection, SLOW_RESPONSES[part], pause=0.05)

    started = time.monotonic()
    with ScriptedServer(respond) as server, pytest.raises(ImageUnavailable, match="too_slow") as error:
        download(server.url, io.BytesIO(), max_bytes=10_000, seconds=0.3, allow_local=True)
    assert time.monotonic() - started < 30
    assert error.value.final is False


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1", "fd00::1", "64:ff9b::7f00:1"],
)
def test_host_that_resolves_to_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    network = FakeNetwork(monkeypatch, HOST, address)
    with pytest.raises(ImageUnavailable, match="address_not_public"):
        download(URL, io.BytesIO(), max_bytes=100, seconds=1, allow_local=False)
    assert network.connections == []


def test_connection_goes_to_the_checked_address_even_if_the_host_resolves_to_another_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = FakeNetwork(monkeypatch, HOST, "203.0.113.1", "127.0.0.1")
    with pytest.raises(ImageUnavailable):
        download(URL, io.BytesIO(), max_bytes=100, seconds=1, allow_local=False)
    assert network.lookups == [HOST]
    assert set(network.connections) == {"203.0.113.1"}
