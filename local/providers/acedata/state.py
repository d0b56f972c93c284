"""The simulator's state: recorded requests, tasks and callbacks, and the behaviours that apply to requests."""

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
class _Override:
    """A behaviour for the next matching requests."""

    behaviour: Behaviour
    path: str
    times: int | None  # None: unlimited
    when: Callable[[Any], bool] | None

    def matches(self, path: str, body: object) -> bool:
        return self.times != 0 and path == self.path and (self.when is None or self.when(body))


class SimulatorState:
    """Records in order of arrival, and behaviours. Safe between threads."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour  # of submissions without an override
        self._changed = Condition(RLock())
        self._overrides: list[_Override] = []
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
        """All callbacks, each recorded after its response or failure."""
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
        """Override the behaviour for the next `times` requests (None: all) whose parsed body satisfies `when`.

        Overrides apply in the order of their calls. At /flux/tasks only the fields about refusals and responses apply.
        """
        with self._changed:
            self._overrides.append(_Override(behaviour, path, times, when))

    def release(self, task_id: str | None = None) -> None:
        """Finish the generation of one task, or of all tasks, immediately."""
        for task in self.tasks:
            if task_id in {None, task.id}:
                task.released.set()

    def publish(self, name: str, prompt: str, size: str, seed: int) -> Image:
        """Serve an image at /images/{name} that belongs to no submission."""
        image = Image(Task({"prompt": prompt, "size": size}, Behaviour()), seed, name)
        with self._changed:
            self._images[name] = image
        return image

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10) -> None:
        """Wait until the condition holds. It is checked after each record. Raises TimeoutError after `timeout`."""
        deadline = time.monotonic() + timeout
        while not condition():  # without the lock, because the condition may use the simulator
            if time.monotonic() > deadline:
                raise TimeoutError
            with self._changed:
                self._changed.wait(0.05)

    def _behaviour_for(self, path: str, body: object) -> Behaviour:
        with self._changed:
            for override in self._overrides:
                if override.matches(path, body):
                    override.times = override.times and override.times - 1
                    return override.behaviour
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
