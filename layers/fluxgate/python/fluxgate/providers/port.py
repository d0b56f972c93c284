"""The port to a provider: what fluxgate asks of one, in fluxgate's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fluxgate.tasks.model import Image, Task, TaskError


@dataclass(frozen=True)
class Accepted:
    """The provider has the submission. `images` are there already where it answered with the result."""

    provider_task_id: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True)
class NotAccepted:
    """The provider certainly does not have the submission: no connection, or 429."""

    error: TaskError


@dataclass(frozen=True)
class Refused:
    """The provider said no, in its own format."""

    error: TaskError


@dataclass(frozen=True)
class Unknown:
    """The submission may have arrived. `reason` is safe to log."""

    reason: str


Submission = Accepted | NotAccepted | Refused | Unknown


@dataclass(frozen=True)
class Running:
    """Nothing to tell yet."""


@dataclass(frozen=True)
class Generated:
    images: tuple[Image, ...]
    provider_task_id: str | None


@dataclass(frozen=True)
class Failed:
    error: TaskError
    provider_task_id: str | None


Outcome = Running | Generated | Failed


class Provider(Protocol):
    """`fetch` and `find` ask in steps of one request each: the caller sets the pace, and may leave in between. A step
    tells only of what is answered by then."""

    @property
    def name(self) -> str:
        """As in the callback's path and in the stored task."""

    def submit(self, task: Task, callback_url: str) -> Submission:
        """Submit once; never repeats."""

    def fetch(self, provider_task_ids: Sequence[str]) -> Iterator[Mapping[str, Outcome]]:
        """What became of submissions, by id; Running also where the provider knows nothing.

        A step raises ProviderUnavailable.
        """

    def find(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, str | None]]:
        """The provider's id, by task id, of submissions whose answer was lost; None where the provider shows none.

        A step raises ProviderUnavailable.
        """


class CallbackParser(Protocol):
    def __call__(self, body: bytes) -> Outcome:
        """Raises MalformedBody."""
