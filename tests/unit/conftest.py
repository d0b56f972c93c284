"""Unit tests open no sockets and see no environment."""

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket

from fluxgate.settings import url_settings


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    disable_socket()
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def _as_at_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("ALLOW_LOCAL_URLS", raising=False)
    url_settings.cache_clear()
    yield
    url_settings.cache_clear()
