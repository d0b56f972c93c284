"""What tests may ask of the simulator and tell it, safe between threads."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, RLock
from typing import Any

from local.providers.acedata.behaviour import Behaviour
from local.providers.acedata.records import Callback, Image, Submission, Task

IMAGES = "/flux/images"
TASKS = "/flux/tasks"


@dataclass
class _Order:
    """A behaviour for the next requests that it fits."""

    behaviour: Behaviour
    path: str
    times: int | None
    when: Callable[[Any], bool] | None

    def fits(self, path: str, body: object) -> bool:
        return self.times != 0 and path == self.path and (self.when is None or self.when(body))


class Ledger:
    """Everything that came and went, in order, and the behaviours in force."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour  # of submissions for which nothing else was ordered
        self._changed = Condition(RLock())
        self._orders: list[_Order] = []
        self._submissions: list[Submission] = []
        self._retrievals: list[Any] = []
        self._callbacks: list[Callback] = []
        self._tasks: dict[str, Task] = {}
        self._images: dict[str, Image] = {}

    @property
    def submissions(self) -> list[Submission]:
        """All requests to /flux/images."""
        with self._changed:
            return list(self._submissions)

    @property
    def retrievals(self) -> list[Any]:
        """The bodies of all requests to /flux/tasks."""
        with self._changed:
            return list(self._retrievals)

    @property
    def callbacks(self) -> list[Callback]:
        """All callbacks, each recorded when it has been answered or has failed."""
        with self._changed:
            return list(self._callbacks)

    @property
    def tasks(self) -> list[Task]:
        """All accepted submissions."""
        with self._changed:
            return list(self._tasks.values())

    def behave(
        self,
        behaviour: Behaviour,
        *,
        times: int | None = 1,
        when: Callable[[Any], bool] | None = None,
        path: str = IMAGES,
    ) -> None:
        """Order a behaviour for the next requests (None: all) whose parsed body satisfies `when`.

        Orders are used up in the order in which they were given. At /flux/tasks only the fields about refusing
        and answering count.
        """
        with self._changed:
            self._orders.append(_Order(behaviour, path, times, when))

    def release(self, task_id: str | None = None) -> None:
        """End the generation of one task, or of all, now."""
        for task in self.tasks:
            if task_id in {None, task.id}:
                task.released.set()

    def publish(self, name: str, prompt: str, size: str, seed: int) -> Image:
        """Serve a picture at /images/{name} that belongs to no submission."""
        image = Image(Task({"prompt": prompt, "size": size}, Behaviour()), seed, name)
        with self._changed:
            self._images[name] = image
        return image

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10) -> None:
        """Return as soon as the condition holds, which is looked at after each record; TimeoutError after `timeout`."""
        deadline = time.monotonic() + timeout
        while not condition():  # without the lock, for it may ask the simulator
            if time.monotonic() > deadline:
                raise TimeoutError
            with self._changed:
                self._changed.wait(0.05)

    def _ordered(self, path: str, body: object) -> Behaviour:
        with self._changed:
            for order in self._orders:
                if order.fits(path, body):
                    order.times = order.times and order.times - 1
                    return order.behaviour
        return self.behaviour if path == IMAGES else Behaviour()

    def _record(self, entry: Submission | Callback | Task) -> None:
        with self._changed:
            match entry:
                case Submission():
                    self._submissions.append(entry)
                case Callback():
                    self._callbacks.append(entry)
                case Task():
                    self._tasks[entry.id] = entry
                    self._images |= {image.name: image for image in entry.images}
            self._changed.notify_all()

    def _record_retrieval(self, body: object) -> None:
        with self._changed:
            self._retrievals.append(body)
            self._changed.notify_all()

    def _image(self, name: str) -> Image | None:
        with self._changed:
            return self._images.get(name)
