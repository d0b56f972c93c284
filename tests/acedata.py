"""Requests to the AceDataCloud simulator, and a receiver of its callbacks."""

import json
import math
from typing import Any

import requests

from local.providers.acedata import Behaviour, Simulator
from local.providers.acedata.state import TASKS
from local.providers.listener import HttpRequest, HttpResponse, Listener

AUTHORIZED = {"authorization": "Bearer some-token"}
GENERATE = {"action": "generate", "prompt": "a white siamese cat", "model": "flux-dev", "size": "256x256"}
EDIT = {
    "action": "edit",
    "prompt": "with a hat",
    "model": "flux-kontext-pro",
    "size": "1:1",
    "image_url": "https://example.com/cat.png",
}
QUICK = Behaviour(latency=0)
HELD = Behaviour(latency=math.inf)


class Receiver:
    """Receives callbacks. `statuses` are the statuses of its responses in order; the last one repeats."""

    def __init__(self, *statuses: int) -> None:
        self.bodies: list[Any] = []
        self._statuses = list(statuses) or [200]
        self._listener = Listener(self._receive, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.port}/callbacks/acedata/some-task/some-token"

    def _receive(self, request: HttpRequest) -> HttpResponse:
        self.bodies.append(json.loads(request.body))
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return HttpResponse(status, "application/json", b"{}")

    def __enter__(self) -> "Receiver":
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


def post(simulator: Simulator, body: object, path: str = "/flux/images", **options: Any) -> requests.Response:
    return requests.post(simulator.url + path, json=body, **{"headers": AUTHORIZED, "timeout": 120, **options})


def submit(simulator: Simulator, **fields: Any) -> Any:
    """The JSON of the response to a successful submission of GENERATE with further fields."""
    response = post(simulator, GENERATE | fields)
    assert response.status_code == 200, response.text
    return response.json()


def retrieve(simulator: Simulator, task_id: str) -> Any:
    """The JSON of a task."""
    return post(simulator, {"action": "retrieve", "id": task_id}, TASKS).json()
