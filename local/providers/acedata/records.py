"""What the simulated provider keeps of tasks, requests and callbacks, and the JSON it shows of a task."""

import secrets
import time
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from uuid import uuid4

from local.providers.acedata.behaviour import Behaviour
from local.providers.acedata.pictures import draw

_SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}


@dataclass(frozen=True)
class Submission:
    """A request to /flux/images as it came, whatever was made of it."""

    body: Any  # parsed JSON; None where it was not JSON
    headers: dict[str, str]  # names in lower case
    accepted: bool
    task_id: str | None


@dataclass(frozen=True)
class Callback:
    """One POST to a callback URL. `status` is None where no answer came."""

    url: str
    body: dict[str, Any]
    status: int | None


@dataclass(eq=False)
class Image:
    """A picture of a task, drawn when it is first downloaded."""

    task: "Task"
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))
    name: str = ""
    downloads: int = 0

    def __post_init__(self) -> None:
        self.name = self.name or f"{uuid4().hex}.{_SUFFIXES[self.task.behaviour.image_format]}"

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        model, size, prompt = self.task.model, self.task.request["size"], self.task.request["prompt"]
        return draw(prompt, f"simulated {model} {size} seed {self.seed}", size, self.seed, self.content_type[6:])

    @property
    def content_type(self) -> str:
        return f"image/{self.task.behaviour.image_format}"


@dataclass(eq=False)
class Task:
    """An accepted request. `response` is the callback's body, once there is one."""

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
        """End the generation: with pictures under `base_url`, or as the behaviour says."""
        ids = {"task_id": self.id, "trace_id": self.trace_id}
        if failure := self.behaviour.failure:
            self.response = {"success": False, **ids, "error": failure.body()["error"]}
        else:
            asked, told = self.request.get("count") or 1, self.behaviour.image_count
            self.images = [Image(self) for _ in range(asked if told is None else told)]
            self.response = {"success": True, **ids, "data": [self._datum(image, base_url) for image in self.images]}
        self.finished_at = time.time()
        self.finished.set()

    def view(self) -> dict[str, Any]:
        """The task as /flux/tasks shows it, also with fields that nobody asked for."""
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

    def _datum(self, image: Image, base_url: str) -> dict[str, Any]:
        seed = {"seed": image.seed} if self.behaviour.seeds else {}
        timings = int(time.time()) if self.behaviour.timings == "number" else {"inference": 3.328}
        url = f"{base_url}/images/{image.name}"
        return {"prompt": self.request["prompt"], "image_url": url, **seed, "timings": timings}


def listing_of(tasks: list[Task], request: dict[str, Any]) -> dict[str, Any]:
    """A page of tasks, newest first; `count` is of all that were created between the given times."""
    low, high = request.get("created_at_min", 0), request.get("created_at_max", float("inf"))
    offset, limit = request.get("offset", 0), request.get("limit", 12)
    found = sorted((task for task in tasks if low <= task.created_at <= high), key=lambda task: -task.created_at)
    return {"items": [task.view() for task in found[offset : offset + limit]], "count": len(found)}
