"""The port to a provider. One module per provider implements it; `registry.py` lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fluxgate.tasks.model import Image, Task, TaskError


@dataclass(frozen=True)
class Accepted:
    """The provider has the submission. `images` are set if the response already contains the result."""

    handle: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True)
class NotAccepted:
    """The provider certainly does not have the submission: no connection, or 429."""

    error: TaskError


@dataclass(frozen=True)
class Refused:
    """The provider rejected the submission."""

    error: TaskError


@dataclass(frozen=True)
class Unknown:
    """The submission may have arrived. `reason` is safe to log."""

    reason: str


SubmitResult = Accepted | NotAccepted | Refused | Unknown


@dataclass(frozen=True)
class Running:
    handle: str | None = None


@dataclass(frozen=True)
class Generated:
    images: tuple[Image, ...]
    handle: str | None = None


@dataclass(frozen=True)
class Failed:
    error: TaskError
    handle: str | None = None


@dataclass(frozen=True)
class NotFound:
    """The provider does not know the submission, or cannot list it."""


ProviderResult = Running | Generated | Failed | NotFound


class Provider(Protocol):
    """A handle is what the provider needs to be asked about a submission again. It is opaque outside its module."""

    @property
    def name(self) -> str:
        """Part of callback URLs and stored with each task."""

    def submit(self, task: Task, callback_url: str) -> SubmitResult:
        """Submit once. Never repeats and never raises."""

    def poll(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, ProviderResult]]:
        """Ask about submitted tasks, and find those whose handle is unknown. Each step makes one request at the
        provider's pace and yields the results it has, by task id, each task at most once; the caller may stop after any
        step.

        A step raises ProviderUnavailable.
        """


class CallbackParser(Protocol):
    def __call__(self, body: bytes, headers: Mapping[str, str]) -> ProviderResult:
        """`headers` have lower-case names. Raises MalformedBody."""
