"""Fixtures that run the built functions in real containers.

Without a container engine or `sam`, tests are skipped; in CI they fail.
"""

import os
import socket
from collections.abc import Iterator
from typing import NoReturn

import pytest

from local.build import SamUnavailable, build, find_sam
from local.containers import engine, has_image, image
from local.sam import SamLocal


def unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def sam() -> str:
    """The path of the SAM CLI, after `sam build`."""
    try:
        found = find_sam()
        build(found)
    except SamUnavailable as reason:
        unavailable(str(reason))
    return found


@pytest.fixture(scope="session")
def sam_options() -> list[str]:
    """Options of every `sam local`. Skips the pull if the image is present."""
    if engine() is None:
        unavailable("Start Docker or podman, or set DOCKER_HOST: no container engine responds.")
    return ["--skip-pull-image"] if has_image(image()) else []


@pytest.fixture(scope="session")
def sam_local(sam: str, sam_options: list[str]) -> Iterator[SamLocal]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    try:
        local = SamLocal(sam, port=port, options=sam_options)
    except SamUnavailable as reason:
        unavailable(str(reason))
    with local:
        yield local
