"""A client of the API, as a customer would write one."""

import time
from typing import Any, Self

import requests

SETTLED = {"succeeded", "failed", "expired"}


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
        return self._session.request(method, self._url + path, timeout=35, **arguments)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return self.request("GET", path, **arguments)

    def generate(self, **request: Any) -> requests.Response:
        return self.request("POST", "/v1/images/generations", json={"prompt": "A red fox", **request})

    def settled(self, task_id: str, seconds: float = 20) -> dict[str, Any]:
        """The task when nothing more will happen to it."""
        deadline = time.monotonic() + seconds
        while True:
            task: dict[str, Any] = self.get(f"/v1/tasks/{task_id}").json()
            if task["status"] in SETTLED:
                return task
            assert time.monotonic() < deadline, f"still {task['status']}"
            time.sleep(0.1)


def fetch(url: str) -> requests.Response:
    """A presigned URL, without a key."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=10)
