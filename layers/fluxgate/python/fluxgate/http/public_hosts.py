"""Whether a host looks public, before anything connects to it."""

from __future__ import annotations

import ipaddress

# No public server has such a name (RFC 6761, RFC 6762, RFC 8375; ICANN reserves .internal).
RESERVED_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".invalid", ".test", ".onion")


def is_public_host(host: str) -> bool:
    """Whether a host name or address looks public. The resolved address is checked again when connecting."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        last = name.rpartition(".")[2]
        return "." in name and not last.isdigit() and not name.endswith(RESERVED_SUFFIXES)
