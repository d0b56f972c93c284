"""Whatever is due: the one repairer of everything that was lost on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from fluxgate.announcements import announce
from fluxgate.errors import MoveRefused, ProviderUnavailable
from fluxgate.providers import FETCH_LIMIT, Failed, Generated, Outcome, Provider, Running
from fluxgate.queues import EventBus, Queue
from fluxgate.schemas import ArchiveJob, WebhookJob
from fluxgate.submissions import enqueue
from fluxgate.tasks import (
    DELIVERED_WITHIN,
    DUE_AFTER,
    DUE_SHARDS,
    OUTCOMES,
    DeliveryState,
    Status,
    Task,
    TaskError,
    TaskStore,
    scaled,
)
from fluxgate.telemetry import about_task, count, logger, milliseconds

PER_SHARD = 200  # tasks of one shard in one pass; the rest is for the next minute
PROVIDER_PAUSE = timedelta(seconds=1.1)  # the provider wants less than one request per second
NEVER_SUBMITTED = TaskError(code="not_submitted", message="The provider could not be reached in time.")


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Looks at every due task once. Each is moved, or postponed, so that it does not stay due; a crash repeats at most
    what is harmless to repeat."""

    tasks: TaskStore
    provider: Provider
    submissions: Queue
    archive: Queue
    webhooks: Queue
    bus: EventBus
    submission_max_age: timedelta
    result_max_age: timedelta
    has_time: Callable[[], bool]
    pause: Callable[[float], None] = time.sleep

    def run(self) -> None:
        """Stops by itself when there is no time left; what remains due is the next minute's.

        Raises StorageUnavailable or QueueUnavailable: the next minute tries again.
        """
        due = [task for shard in range(DUE_SHARDS) for task in self.tasks.due(shard, PER_SHARD)]
        if due:
            oldest = min(task.updated_at for task in due)
            milliseconds("OldestDue", (datetime.now(UTC) - oldest).total_seconds() * 1000)
            logger.info("Reconciling", extra={"due": len(due)})
        for task in due:
            if self.has_time():
                self._repair(task)
        self._ask([task for task in due if task.status in {Status.SUBMITTING, Status.SUBMITTED, Status.EXPIRED}])

    def _repair(self, task: Task) -> None:
        """What can be done about a task without asking the provider."""
        with _concerning(task):
            if task.status is Status.QUEUED:
                self._submit_again(task)
            elif task.status is Status.GENERATED:
                self.archive.send(ArchiveJob.of(task).to_json())
                self._postpone(task, DUE_AFTER[Status.GENERATED])
            elif task.status in OUTCOMES:
                self._tell(task)

    def _submit_again(self, task: Task) -> None:
        if datetime.now(UTC) - task.created_at > self.submission_max_age:
            self.tasks.advance(task.task_id, Status.FAILED, error=task.refusal or NEVER_SUBMITTED)
            count("TaskFailed")
        else:
            enqueue(self.submissions, task)
            self._postpone(task, DUE_AFTER[Status.QUEUED])

    def _tell(self, task: Task) -> None:
        if task.announced is not task.status:
            announce(task, bus=self.bus, tasks=self.tasks)
        elif (webhook := task.webhook) and webhook.state is DeliveryState.PENDING:
            self.webhooks.send(WebhookJob.of(task).to_json())
            self._postpone(task, DELIVERED_WITHIN)
        elif task.status is not Status.EXPIRED:
            self.tasks.note(task)  # nothing is left: another note had been overtaken

    def _ask(self, tasks: Sequence[Task]) -> None:
        """What the provider knows. Only after it was asked does a task expire."""
        known = [task for task in tasks if task.provider_task_id]
        try:
            for batch in self._turns([task for task in tasks if not task.provider_task_id]):
                found = self.provider.find(batch)
                for task in batch:
                    if task.task_id in found:
                        known.append(replace(task, provider_task_id=found[task.task_id]))
                    else:
                        self._conclude(task, Running())
            for batch in self._turns(known):
                outcomes = self.provider.fetch([str(task.provider_task_id) for task in batch])
                for task in batch:
                    self._conclude(task, outcomes.get(str(task.provider_task_id), Running()))
        except ProviderUnavailable as error:
            logger.warning("Provider cannot be asked", extra={"reason": str(error)})

    def _turns(self, tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
        """Batches, each when the provider may be asked again, as long as there is time."""
        for start in range(0, len(tasks), FETCH_LIMIT):
            if not self.has_time():
                return
            yield tasks[start : start + FETCH_LIMIT]
            self.pause(scaled(PROVIDER_PAUSE).total_seconds())

    def _conclude(self, task: Task, outcome: Outcome) -> None:
        with _concerning(task):
            match outcome:
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
        if task.status is Status.EXPIRED:
            self.tasks.note(task)
        elif datetime.now(UTC) - (task.attempted_at or task.created_at) > self.result_max_age:
            self.tasks.advance(task.task_id, Status.EXPIRED)
            count("TaskExpired")
            logger.warning("Task expired")
        elif task.status is Status.SUBMITTING and task.provider_task_id:
            self.tasks.advance(task.task_id, Status.SUBMITTED, provider_task_id=task.provider_task_id)
        else:
            self._postpone(task, DUE_AFTER[task.status])

    def _postpone(self, task: Task, wait: timedelta) -> None:
        self.tasks.postpone(task, datetime.now(UTC) + scaled(wait))


@contextmanager
def _concerning(task: Task) -> Iterator[None]:
    """A task that has moved on by itself needs no repair."""
    about_task(task.task_id)
    try:
        yield
    except MoveRefused as refused:
        logger.info("Nothing to reconcile", extra={"status": refused.task.status})
