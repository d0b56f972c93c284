"""A session that takes the place of the provider's HTTP API, and responses in the vendor's format."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from pydantic import SecretStr

from fluxgate.clock import Clock
from fluxgate.providers.acedata import AceData
from fluxgate.tasks.model import Image

URL = "https://provider.test"

Respond = Callable[[dict[str, Any]], tuple[int, object]]
"""From a request's body to a status and a body: bytes are sent unchanged, anything else as JSON."""

DATA = [
    {"prompt": "a fox", "image_url": "https://cdn/1.png", "seed": 7, "timings": 3.3},
    {"prompt": "a fox", "image_url": "https://cdn/2.png", "timings": {"inference": 3.3}},
]
IMAGES = (Image(source_url="https://cdn/1.png", seed=7), Image(source_url="https://cdn/2.png"))

NO_REASON = "The provider gave no reason."

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


class Session:
    """Expects POST requests to `path` and records their bodies and headers."""

    def __init__(self, path: str, respond: Respond) -> None:
        self._path = path
        self._respond = respond
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def post(self, url: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, bytes]:
        assert url == URL + self._path
        self.requests.append(body)
        self.headers.append(headers)
        status, content = self._respond(body)
        return status, content if isinstance(content, bytes) else json.dumps(content).encode()


def raising(error: Exception) -> Respond:
    def respond(_: dict[str, Any]) -> tuple[int, object]:
        raise error

    return respond


def provider(session: object, url: str = URL) -> AceData:
    """Does not pause between queries."""
    return AceData(session, url, SecretStr("the-token"), Clock(sleep=lambda _: None))  # type: ignore[arg-type]
