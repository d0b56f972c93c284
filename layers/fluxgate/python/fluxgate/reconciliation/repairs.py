"""Repairs that need no provider: send again what may have been lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fluxgate.outcomes.events import announce
from fluxgate.submission.submitter import enqueue
from fluxgate.tasks.model import OUTCOMES, Status, Task, TaskError
from fluxgate.tasks.schedule import DELIVERED_WITHIN, DUE_AFTER
from fluxgate.telemetry import count, logger
from fluxgate.wire.jobs import ArchiveJob, WebhookJob

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus, Queue
    from fluxgate.clock import Clock
    from fluxgate.tasks.store import TaskStore

NEVER_SUBMITTED = TaskError(code="not_submitted", message="The provider could not be reached in time.")


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """Index entries may be stale, so every write is conditional, and a message is built from the task that the
    preceding write returned."""

    tasks: TaskStore
    submissions: Queue
    archive: Queue
    webhooks: Queue
    bus: EventBus
    submission_max_age: timedelta
    clock: Clock

    def repair(self, task: Task) -> None:
        if task.status is Status.QUEUED:
            self._submit_again(task)
        elif task.status is Status.GENERATED:
            self.archive.send(ArchiveJob.of(self.tasks.postpone(task)).to_json())
            logger.info("Task queued for archiving again")
        elif task.status in OUTCOMES:
            self._announce_or_deliver(task)

    def _submit_again(self, task: Task) -> None:
        """At growing intervals: a message that is not lost may be waiting for its turn. Does not fail a task that
        another attempt has claimed."""
        now = self.clock.now()
        left = task.created_at + self.submission_max_age - now
        if left < timedelta(0):
            error = task.refusal or NEVER_SUBMITTED
            self.tasks.transition(task.task_id, Status.FAILED, attempt_id=task.attempt_id, error=error)
            count("TaskFailed")
            logger.warning("Submission given up", extra={"code": error.code, "attempts": task.attempts})
        else:
            delay = max(self.clock.scaled(DUE_AFTER[Status.QUEUED]), min(now - task.updated_at, left))
            enqueue(self.submissions, self.tasks.postpone(task, now + delay))
            logger.info("Task queued again", extra={"attempts": task.attempts})

    def _announce_or_deliver(self, task: Task) -> None:
        webhook = task.webhook
        if task.announced is not task.status:
            announce(task, bus=self.bus, tasks=self.tasks)
        elif webhook and webhook.is_due(self.clock.now()):
            current = self.tasks.postpone(task, self.clock.after(DELIVERED_WITHIN))
            self.webhooks.send(WebhookJob.of(current).to_json())
        elif task.status is not Status.EXPIRED:
            self.tasks.update_outcome(task)  # nothing to send yet: only correct the due time
