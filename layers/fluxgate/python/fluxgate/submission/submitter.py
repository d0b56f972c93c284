"""One attempt at the provider: what its result means for the task, and when the next attempt is made."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from fluxgate.errors import InvalidTransition, QueueUnavailable, StorageUnavailable
from fluxgate.providers.port import (
    Accepted,
    Failed,
    Generated,
    NotAccepted,
    Provider,
    Refused,
    SubmitResult,
    Unknown,
)
from fluxgate.tasks.model import Attempt, Status, Task, TaskError
from fluxgate.tasks.results import apply_result
from fluxgate.telemetry import count, logger

if TYPE_CHECKING:
    from fluxgate.aws.messaging import Queue
    from fluxgate.clock import Clock
    from fluxgate.tasks.store import TaskStore

# Exponential backoff with jitter; AceDataCloud recommends 1, 2, 4, 8, 16 seconds.
FIRST_DELAY = timedelta(seconds=1)
MAX_DELAY = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Submitter:
    provider: Provider
    tasks: TaskStore
    queue: Queue
    callback_base_url: str
    max_age: timedelta
    """Age at which a task that was never accepted fails."""
    clock: Clock

    def submit(self, task: Task, attempt: Attempt) -> Task:
        """Submit a task that this attempt has put into `submitting`, and store the result.

        Raises none of our errors: the task is stored, and a client that saw an error would retry and pay twice.
        Whatever could not be stored or queued stays due for the reconciler.
        """
        url = f"{self.callback_base_url}/callbacks/{self.provider.name}/{task.task_id}/{attempt.token}"
        result = self.provider.submit(task, url)
        try:
            return self._apply(task, attempt, result)
        except InvalidTransition:  # the callback arrived first and stored more
            return task
        except (StorageUnavailable, QueueUnavailable) as error:
            logger.error("Submit result not stored", extra={"error": type(error).__name__, "reason": str(error)})
            return task

    def _apply(self, task: Task, attempt: Attempt, result: SubmitResult) -> Task:
        match result:
            case Accepted(handle, images) if images:
                return apply_result(Generated(images, handle), partial(self.tasks.transition, task.task_id))
            case Accepted(handle):
                logger.info("Task submitted", extra={"provider_task_id": handle})
                count("TaskSubmitted")
                return self.tasks.mark_submitted(task, handle)
            case NotAccepted(error):
                return self._defer(task, attempt, error)
            case Refused(error):
                logger.warning("Submission refused", extra={"code": error.code})
                count("ProviderRefused")
                return self._fail(task, error)
            case Unknown(reason):
                logger.warning("Submission result unknown", extra={"reason": reason})
                count("SubmissionUnknown")
                return task

    def _defer(self, task: Task, attempt: Attempt, error: TaskError) -> Task:
        """Back to `queued`, then send a message. After a crash in between, the task is still due."""
        count("SubmissionDeferred")
        if self.clock.now() - task.created_at > self.max_age:
            logger.warning("Submission given up", extra={"code": error.code, "attempts": task.attempts})
            return self._fail(task, error)
        delay = self.clock.scaled(backoff(task.attempts))
        queued = self.tasks.transition(
            task.task_id, Status.QUEUED, attempt_id=attempt.attempt_id, delay=delay, refusal=error
        )
        seconds = delay.total_seconds()
        logger.info("Submission deferred", extra={"code": error.code, "attempts": task.attempts, "seconds": seconds})
        enqueue(self.queue, queued, seconds)
        return queued

    def _fail(self, task: Task, error: TaskError) -> Task:
        return apply_result(Failed(error), partial(self.tasks.transition, task.task_id))


def enqueue(queue: Queue, task: Task, delay: float = 0) -> None:
    """Send the message that submits a queued task, after `delay` seconds. Raises QueueUnavailable."""
    queue.send(json.dumps({"type": "submit", "task_id": task.task_id, "attempt": task.attempts + 1}), delay)


def backoff(attempts: int) -> timedelta:
    """The delay after this many attempts: doubled each time up to MAX_DELAY, with jitter of up to half of it."""
    doublings = min(max(attempts - 1, 0), 16)  # exceeds MAX_DELAY; timedelta overflows after 46
    longest: timedelta = min(FIRST_DELAY * 2**doublings, MAX_DELAY)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - not a secret
