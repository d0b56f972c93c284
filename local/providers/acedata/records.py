"""The simulator's records of tasks, requests and callbacks, and the API's JSON of a task."""

import secrets
import time
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from uuid import uuid4

from local.providers.acedata.behaviour import Behaviour
from local.providers.acedata.images import draw

_SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}


@dataclass(frozen=True)
class Submission:
    """A request to /flux/images, accepted or not."""

    body: Any  # parsed JSON; None if it is not JSON
    headers: dict[str, str]  # names in lower case
    accepted: bool
    task_id: str | None


@dataclass(frozen=True)
class Callback:
    """One POST to a callback URL. `status` is None if there was no response."""

    url: str
    body: dict[str, Any]
    status: int | None


@dataclass(eq=False)
class Image:
    """An image of a task, drawn at its first download."""

    task: "Task"
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))
    name: str = ""
    downloads: int = 0

    def __post_init__(self) -> None:
        self.name = self.name or f"{uuid4().hex}.{_SUFFIXES[self.task.behaviour.image_format]}"

    @property
    def content(self) -> bytes:
        """The bytes of the image file."""
        model, size, prompt = self.task.model, self.task.request["size"], self.task.request["prompt"]
        return draw(prompt, f"simulated {model} {size} seed {self.seed}", size, self.seed, self.content_type[6:])

    @property
    def content_type(self) -> str:
        return f"image/{self.task.behaviour.image_format}"


@dataclass(eq=False)
class Task:
    """An accepted request. `response` is the callback's body, None until the generation ends."""

    request: dict[str, Any]
    behaviour: Behaviour
    id: str = field(default_factory=lambda: str(uuid4()))
    trace_id: str = field(default_factory=lambda: str(uuid4()))
    created_at: float = field(default_factory=time.time)
    finished_at: float | None = None
    response: dict[str, Any] | None = None
    images: list[Image] = field(default_factory=list)
    released: Event = field(default_factory=Event)
    finished: Event = field(default_factory=Event)

    @property
    def model(self) -> str:
        return str(self.request.get("model", "flux-dev"))

    def finish(self, base_url: str) -> None:
        """End the generation, by default with images whose URLs begin with `base_url`."""
        ids = {"task_id": self.id, "trace_id": self.trace_id}
        if failure := self.behaviour.failure:
            self.response = {"success": False, **ids, "error": failure.body()["error"]}
        else:
            requested, override = self.request.get("count") or 1, self.behaviour.image_count
            self.images = [Image(self) for _ in range(requested if override is None else override)]
            data = [self._image_data(image, base_url) for image in self.images]
            self.response = {"success": True, **ids, "data": data}
        self.finished_at = time.time()
        self.finished.set()

    def to_json(self) -> dict[str, Any]:
        """The task as /flux/tasks returns it, including undocumented fields."""
        shown: dict[str, Any] = {"_id": self.id.replace("-", "")[:24], "id": self.id, "api_id": "simulator"}
        shown |= {"created_at": round(self.created_at, 3), "request": self.request, "trace_id": self.trace_id}
        if self.behaviour.timestamps:
            shown["started_at"] = round(self.created_at, 3)
        if self.response is not None:
            shown["response"] = self.response
        elif self.behaviour.running_response:
            shown["response"] = {"success": True, "task_id": self.id}
        if self.finished_at is not None and self.behaviour.timestamps:
            shown["finished_at"] = round(self.finished_at, 3)
            shown["elapsed"] = round(self.finished_at - self.created_at, 3)
        return shown

    def _image_data(self, image: Image, base_url: str) -> dict[str, Any]:
        seed = {"seed": image.seed} if self.behaviour.seeds else {}
        timings = int(time.time()) if self.behaviour.timings == "number" else {"inference": 3.328}
        url = f"{base_url}/images/{image.name}"
        return {"prompt": self.request["prompt"], "image_url": url, **seed, "timings": timings}


def task_page(tasks: list[Task], request: dict[str, Any]) -> dict[str, Any]:
    """A page of tasks, newest first. `count` is the number of all tasks created in the requested time range."""
    low, high = request.get("created_at_min", 0), request.get("created_at_max", float("inf"))
    offset, limit = request.get("offset", 0), request.get("limit", 12)
    found = sorted((task for task in tasks if low <= task.created_at <= high), key=lambda task: -task.created_at)
    return {"items": [task.to_json() for task in found[offset : offset + limit]], "count": len(found)}
