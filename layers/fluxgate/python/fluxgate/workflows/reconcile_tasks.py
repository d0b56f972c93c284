"""Whatever is due: the one repairer of everything that was lost on the way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fluxgate.errors import CredentialsUnavailable, InvalidTransition, ProviderUnavailable, TaskNotFound
from fluxgate.outcomes.events import announce
from fluxgate.providers.port import Failed, Generated, Outcome, Provider
from fluxgate.submission.submitter import enqueue
from fluxgate.tasks.deletion import remove
from fluxgate.tasks.model import (
    DELIVERED_WITHIN,
    DUE_AFTER,
    OUTCOMES,
    Deletion,
    Status,
    Task,
    TaskError,
    scaled,
)
from fluxgate.tasks.store import DUE_SHARDS, TaskStore
from fluxgate.telemetry import about_task, count, logger, milliseconds
from fluxgate.wire.messages import ArchiveJob, WebhookJob

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus, Queue
    from fluxgate.images.store import ImageStore

PER_SHARD = 200  # tasks of one shard in one pass; the rest is for the next minute
PROVIDER_PAUSE = timedelta(seconds=1.1)  # the provider wants less than one request per second
NEVER_SUBMITTED = TaskError(code="not_submitted", message="The provider could not be reached in time.")

T = TypeVar("T")
Entry = TypeVar("Entry", Task, Deletion)


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Looks at every due task once. Each is moved, or postponed, so that it does not stay due and in the way of others;
    a crash repeats at most what is harmless to repeat.

    What the index says may be old, and older when its turn comes. So every write has its condition, and what is sent
    somewhere is the task as the write before has found it.
    """

    tasks: TaskStore
    provider: Callable[[], Provider]
    """Raises CredentialsUnavailable. What needs no provider does not wait for its token."""
    submissions: Queue
    archive: Queue
    webhooks: Queue
    bus: EventBus
    images: Callable[[], ImageStore]
    submission_max_age: timedelta
    result_max_age: timedelta
    has_time: Callable[[], bool]
    pause: Callable[[float], None] = time.sleep
    failures: list[Exception] = field(default_factory=list)

    def run(self) -> None:
        """Stops by itself when there is no time left; what remains due is the next minute's.

        Raises, in the end, the first error of those that single tasks met; they are still due.
        """
        shards = random.sample(range(DUE_SHARDS), DUE_SHARDS)  # none is always the last, for which no time is left
        found = [entry for shard in shards for entry in self.tasks.due(shard, PER_SHARD)]
        removals = [entry for entry in found if isinstance(entry, Deletion)]
        due = [entry for entry in found if isinstance(entry, Task)]
        if found:
            oldest = min(entry.due_at for entry in found if entry.due_at)
            milliseconds("OldestDue", (datetime.now(UTC) - oldest).total_seconds() * 1000)
            logger.info("Reconciling", extra={"due": len(found)})
        steps: list[Callable[[], None]] = [
            lambda: self._each((removal for removal in removals if self.has_time()), self._remove),
            lambda: self._each((task for task in due if self.has_time()), self._repair),
            lambda: self._ask([task for task in due if _is_at_the_provider(task)]),
        ]
        for step in random.sample(steps, len(steps)):  # as with the shards
            step()
        if self.failures:
            raise self.failures[0]

    def _remove(self, removal: Deletion) -> None:
        remove(removal, tasks=self.tasks, images=self.images())

    def _repair(self, task: Task) -> None:
        """What can be done about a task without asking the provider."""
        if task.status is Status.QUEUED:
            self._submit_again(task)
        elif task.status is Status.GENERATED:
            self.archive.send(ArchiveJob.of(self.tasks.postpone(task)).to_json())
            logger.info("Task queued for archiving again")
        elif task.status in OUTCOMES:
            self._tell(task)

    def _submit_again(self, task: Task) -> None:
        """Ever more rarely: a message that is not lost may only wait for its turn. A task that has been claimed since,
        by another attempt, is not failed."""
        now = datetime.now(UTC)
        left = task.created_at + self.submission_max_age - now
        if left < timedelta(0):
            error = task.refusal or NEVER_SUBMITTED
            self.tasks.advance(task.task_id, Status.FAILED, attempt_id=task.attempt_id, error=error)
            count("TaskFailed")
            logger.warning("Submission given up", extra={"code": error.code, "attempts": task.attempts})
        else:
            wait = max(scaled(DUE_AFTER[Status.QUEUED]), min(now - task.updated_at, left))
            enqueue(self.submissions, self._postpone(task, wait))
            logger.info("Task queued again", extra={"attempts": task.attempts})

    def _tell(self, task: Task) -> None:
        webhook = task.webhook
        if task.announced is not task.status:
            announce(task, bus=self.bus, tasks=self.tasks)
        elif webhook and webhook.is_due(datetime.now(UTC)):
            current = self._postpone(task, scaled(DELIVERED_WITHIN))
            self.webhooks.send(WebhookJob.of(current).to_json())
        elif task.status is not Status.EXPIRED:
            self.tasks.note(task)  # nothing is left, or not yet: another note had been overtaken

    def _ask(self, tasks: Sequence[Task]) -> None:
        """What the provider knows. Only after it was asked does a task expire; what it could not be asked about stands
        back behind the other tasks."""
        if not tasks:
            return
        waiting = {task.task_id: task for task in tasks}
        try:
            provider = self.provider()
            self._fetch(provider, waiting)
            self._find(provider, waiting)
            self._fetch(provider, waiting)  # what has just been found
        except (CredentialsUnavailable, ProviderUnavailable) as error:
            logger.warning("Provider cannot be asked", extra={"reason": str(error), "tasks": len(waiting)})
            count("ProviderNotAsked")
            self._each(
                (task for task in waiting.values() if self.has_time()),
                lambda task: self._postpone(task, scaled(DUE_AFTER[Status.SUBMITTED])),
            )

    def _fetch(self, provider: Provider, waiting: dict[str, Task]) -> None:
        known = {task.provider_task_id for task in waiting.values() if task.provider_task_id}
        for outcomes in self._paced(provider.fetch(sorted(known))):
            told = [task for task in waiting.values() if task.provider_task_id in outcomes]
            for task in told:
                del waiting[task.task_id]
            self._each(told, partial(self._conclude, outcomes))

    def _find(self, provider: Provider, waiting: dict[str, Task]) -> None:
        lost = [task for task in waiting.values() if not task.provider_task_id]
        for found in self._paced(provider.find(lost)):
            waiting |= {
                task_id: replace(waiting[task_id], provider_task_id=provider_task_id)
                for task_id, provider_task_id in found.items()
                if provider_task_id
            }
            hidden = [waiting.pop(task_id) for task_id, provider_task_id in found.items() if not provider_task_id]
            self._each(hidden, self._wait)

    def _paced(self, answers: Iterator[T]) -> Iterator[T]:
        """The provider's answers, each when it may be asked again, as long as there is time."""
        while self.has_time() and (answer := next(answers, None)) is not None:
            yield answer
            self.pause(scaled(PROVIDER_PAUSE).total_seconds())

    def _conclude(self, outcomes: Mapping[str, Outcome], task: Task) -> None:
        match outcomes[str(task.provider_task_id)]:
            case Generated(images, _):
                self.tasks.advance(
                    task.task_id, Status.GENERATED, images=images, provider_task_id=task.provider_task_id
                )
                logger.info("Task generated", extra={"images": len(images)})
            case Failed(error, _) if task.status is not Status.EXPIRED:
                self.tasks.advance(task.task_id, Status.FAILED, error=error, provider_task_id=task.provider_task_id)
                count("TaskFailed")
                logger.warning("Task failed", extra={"code": error.code})
            case _:
                self._wait(task)

    def _wait(self, task: Task) -> None:
        """The provider has no result. An expired task is asked about again, ever more rarely."""
        found: dict[str, Any] = {"provider_task_id": task.provider_task_id} if task.provider_task_id else {}
        if task.status is Status.EXPIRED:
            self.tasks.note(task, **found)
        elif datetime.now(UTC) - (task.attempted_at or task.created_at) > self.result_max_age:
            self.tasks.advance(task.task_id, Status.EXPIRED, attempt_id=task.attempt_id, **found)
            count("TaskExpired")
            logger.warning("Task expired")
        elif task.status is Status.SUBMITTING and found:
            self.tasks.advance(task.task_id, Status.SUBMITTED, **found)
        else:
            self._postpone(task, scaled(DUE_AFTER[task.status]))

    def _postpone(self, task: Task, wait: timedelta) -> Task:
        return self.tasks.postpone(task, datetime.now(UTC) + wait)

    def _each(self, tasks: Iterable[Entry], repair: Callable[[Entry], object]) -> None:
        """Each on its own: one that cannot be repaired, for whatever reason, would else stop all others, for ever. One
        that has moved on by itself, or is gone, needs no repair."""
        for task in tasks:
            about_task(task.task_id)
            try:
                repair(task)
            except (InvalidTransition, TaskNotFound) as refused:
                logger.info("Nothing to reconcile", extra={"reason": str(refused)})
            except Exception as error:  # noqa: BLE001 - it is raised in the end
                logger.exception("Task not reconciled")
                self.failures.append(error)
        logger.remove_keys(["task_id"])


def _is_at_the_provider(task: Task) -> bool:
    """Or may be. An outcome that has not been announced yet has its turn first."""
    expired = task.status is Status.EXPIRED and task.announced is Status.EXPIRED
    return expired or task.status in {Status.SUBMITTING, Status.SUBMITTED}
