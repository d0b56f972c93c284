"""Public hosts by name and address. tests/functional covers resolved addresses."""

import pytest

from fluxgate.http.public_hosts import is_public_host


@pytest.mark.parametrize(
    "host",
    ["fluxgate.dev", "cdn.fluxgate.dev.", "xn--bcher-kva.example", "8.8.8.8", "[2606:4700::1111]", "2606:4700::1111"],
)
def test_host_is_public(host: str) -> None:
    assert is_public_host(host)


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "LOCALHOST", "a.localhost", "printer", "nas.local", "x.internal", "x.home.arpa", "x.onion",
     "127.0.0.1", "127.1", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "192.168.0.1", "224.0.0.1.5",
     "[::1]", "::", "fe80::1", "fd12::1", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_host_is_not_public(host: str) -> None:
    assert not is_public_host(host)
