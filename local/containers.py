"""Detects this machine's container engine and how its containers reach the host."""

from __future__ import annotations

import http.client
import json
import os
import platform
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# The default of the SAM CLI.
DEFAULT_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class Engine:
    """A container engine. `host` is this machine's name inside containers that `sam local` starts with `options`."""

    name: str
    host: str
    options: tuple[str, ...]


# Only Docker Desktop defines the name by itself. Podman always does, and does not know the keyword host-gateway.
DOCKER = Engine("Docker", "host.docker.internal", ("--add-host", "host.docker.internal:host-gateway"))
PODMAN = Engine("Podman", "host.containers.internal", ())


def engine() -> Engine | None:
    """The engine at DOCKER_HOST or at Docker's default socket; None if there is no response."""
    version = _get("/version")
    if version is None:
        return None
    components = version.get("Components", [])
    return PODMAN if any("Podman" in component["Name"] for component in components) else DOCKER


def has_image(name: str) -> bool:
    """Whether the engine has a container image, so that no download is needed."""
    return "Id" in (_get(f"/images/{name}/json") or {})


def image() -> str:
    """AWS's container image of the functions' runtime, for this machine's architecture."""
    return f"public.ecr.aws/lambda/python:3.13-{architecture()}"


def architecture() -> str:
    """This machine's architecture by Lambda's name."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def _get(path: str) -> dict[str, Any] | None:
    url = urlsplit(os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET)
    connection = _Connection(url.path) if url.scheme == "unix" else http.client.HTTPConnection(url.netloc, timeout=5)
    try:
        connection.request("GET", path)
        body = json.load(connection.getresponse())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if isinstance(body, dict) else None


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
