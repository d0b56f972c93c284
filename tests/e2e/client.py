"""An HTTP client of the API."""

import time
from typing import Any, Self

import requests

from tests.waiting import wait_for

TERMINAL = {"succeeded", "failed", "expired"}


class Client:
    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["x-api-key"] = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self._session.request(method, self._url + path, timeout=120, **arguments)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return self.request("GET", path, **arguments)

    def generate(self, **request: Any) -> requests.Response:
        return self.request("POST", "/v1/images/generations", json={"prompt": "A red fox", **request})

    def outcome(self, task_id: str) -> dict[str, Any]:
        """The task once its status is terminal."""

        def poll() -> dict[str, Any] | None:
            task: dict[str, Any] = self.get(f"/v1/tasks/{task_id}").json()
            if task["status"] in TERMINAL:
                return task
            time.sleep(0.1)  # each poll invokes a function, on the same CPU as the others
            return None

        task = wait_for(poll)
        assert task
        return task


def fetch(url: str) -> requests.Response:
    """Send a GET request without an API key."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=120)
