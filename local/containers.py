"""Which container engine answers on this machine, and how its containers reach back."""

from __future__ import annotations

import http.client
import json
import os
import platform
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# Where `sam` looks for an engine.
DEFAULT_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Engine:
    """`host` is what containers call this machine once `sam local` has got `options`."""

    name: str
    host: str
    options: tuple[str, ...]


# Docker knows the name on its own only as Docker Desktop; podman always knows it, and not the keyword host-gateway.
DOCKER = Engine("Docker", "host.docker.internal", ("--add-host", "host.docker.internal:host-gateway"))
PODMAN = Engine("Podman", "host.containers.internal", ())


def engine() -> Engine | None:
    """The engine behind DOCKER_HOST, or behind Docker's default socket; None where nothing answers."""
    version = _ask("/version")
    if version is None:
        return None
    components = version.get("Components", [])
    return PODMAN if any("Podman" in component["Name"] for component in components) else DOCKER


def has_image(name: str) -> bool:
    """Whether the engine need not fetch an image."""
    return "Id" in (_ask(f"/images/{name}/json") or {})


def image() -> str:
    """AWS's own, of the functions' runtime, for this machine."""
    return f"public.ecr.aws/lambda/python:3.13-{architecture()}"


def architecture() -> str:
    """This machine's processor, in Lambda's words."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def _ask(path: str) -> dict[str, Any] | None:
    url = urlsplit(os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET)
    connection = _Connection(url.path) if url.scheme == "unix" else http.client.HTTPConnection(url.netloc, timeout=5)
    try:
        connection.request("GET", path)
        answer = json.load(connection.getresponse())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None


class _Connection(http.client.HTTPConnection):
    """HTTP through a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
