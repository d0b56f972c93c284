"""Which hosts look like ones on the internet, before anybody connects."""

from __future__ import annotations

import ipaddress

# Names that no public server has (RFC 6761, RFC 6762, RFC 8375, and ICANN's reservation of .internal).
RESERVED_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".invalid", ".test", ".onion")


def is_public_host(host: str) -> bool:
    """Whether a host name or address looks like one on the internet. The address itself is checked when connecting."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        last = name.rpartition(".")[2]
        return "." in name and not last.isdigit() and not name.endswith(RESERVED_SUFFIXES)
