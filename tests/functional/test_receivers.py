"""Where webhooks may be posted to: public addresses, over TLS, under the host's own name."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from fluxgate.http import untrusted
from fluxgate.outcomes import receivers
from fluxgate.outcomes.receivers import ReceiverResponse, Receivers
from fluxgate.tasks.model import DeliveryState
from tests.functional.network import FakeNetwork, ScriptedServer, TlsReceiver, send_slowly
from tests.functional.webhooks import Receiver, deliver, store_outcome
from tests.harness import Functions

HOST = "hooks.fluxgate.dev"
PUBLIC = "203.0.113.1"  # to a FakeNetwork


def post() -> ReceiverResponse:
    return Receivers(allow_local=False).post(f"https://{HOST}/hook", b"{}", {})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def ca(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """A certificate authority that the product trusts."""
    ca = trustme.CA()
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(bundle))
    return ca


PRIVATE_HOSTS = [
    "127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0", "localhost", "10.0.0.1",
    "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "224.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_private_address_is_not_connected_to_at_aws(functions: Functions, host: str) -> None:
    """Validation already rejects such a callback URL. This one is in the table nevertheless."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        task = store_outcome(functions, f"https://{host}:{listener.getsockname()[1]}/hook")
        delivery = deliver(functions, task, ALLOW_LOCAL_URLS="")
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (delivery.state, delivery.attempts, delivery.last_answer) == (DeliveryState.PENDING, 1, "address_not_public")


def test_only_https_is_posted_to_at_aws(functions: Functions, receiver: Receiver) -> None:
    task = store_outcome(functions, receiver.url)
    assert deliver(functions, task, ALLOW_LOCAL_URLS="").last_answer == "not_https"
    assert receiver.requests == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1", "fd00::1", "fe80::1"],
)
def test_host_that_resolves_to_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    network = FakeNetwork(monkeypatch, HOST, address)
    response = post()
    assert (response.status, response.summary, network.connections) == (None, "address_not_public", [])


def test_every_post_checks_the_address_again_and_connects_only_to_the_checked_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = FakeNetwork(monkeypatch, HOST, PUBLIC, "127.0.0.1")
    assert post().summary == "ConnectionError"
    assert (network.lookups, set(network.connections)) == ([HOST], {PUBLIC})
    assert post().summary == "address_not_public"
    assert set(network.connections) == {PUBLIC}


def test_request_to_the_checked_address_carries_the_host_name(monkeypatch: pytest.MonkeyPatch, ca: trustme.CA) -> None:
    network, tls_receiver = FakeNetwork(monkeypatch, HOST, PUBLIC), TlsReceiver(ca, HOST)
    with ScriptedServer(tls_receiver) as server:
        network.server = server.address
        assert post().summary == "http_200"
    assert b"POST /hook HTTP/1.1\r\n" in tls_receiver.received
    assert b"Host: hooks.fluxgate.dev\r\n" in tls_receiver.received


def test_certificate_for_another_name_is_rejected(monkeypatch: pytest.MonkeyPatch, ca: trustme.CA) -> None:
    network, tls_receiver = FakeNetwork(monkeypatch, HOST, PUBLIC), TlsReceiver(ca, "other.fluxgate.dev")
    with ScriptedServer(tls_receiver) as server:
        network.server = server.address
        assert post().summary == "SSLError"
    assert tls_receiver.received == b""


def test_slow_tls_handshake_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def shake_hands_slowly(connection: socket.socket) -> None:
        server_hello = b"\x16\x03\x03\x3f\xff" + b"\x02\x00\x3f\x00" + b"\x03" * 1200
        send_slowly(connection, [bytes([byte]) for byte in server_hello], pause=0.05)  # 60 seconds

    monkeypatch.setattr(receivers, "RECEIVER_SECONDS", 0.6)
    monkeypatch.setattr(untrusted, "CONNECT_SECONDS", 1.0)  # also limits the handshake
    network = FakeNetwork(monkeypatch, HOST, PUBLIC)
    started = time.monotonic()
    with ScriptedServer(shake_hands_slowly) as server:
        network.server = server.address
        assert post().summary == "too_slow"
    assert time.monotonic() - started < 30


def test_nothing_is_posted_after_a_slow_lookup(monkeypatch: pytest.MonkeyPatch, ca: trustme.CA) -> None:
    monkeypatch.setattr(receivers, "RECEIVER_SECONDS", 0.2)
    network, tls_receiver = FakeNetwork(monkeypatch, HOST, PUBLIC), TlsReceiver(ca, HOST)

    def resolve_slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.5)
        return network.resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_slowly)
    with ScriptedServer(tls_receiver) as server:
        network.server = server.address
        assert post().summary == "too_slow"
    assert tls_receiver.received == b""
