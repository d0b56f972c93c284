"""One attempt at the provider: what its answer makes of the task, and when the next attempt is made."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fluxgate.errors import InvalidTransition, QueueUnavailable, StorageUnavailable
from fluxgate.providers.port import Accepted, NotAccepted, Provider, Refused, Submission, Unknown
from fluxgate.settings import time_scale
from fluxgate.tasks.model import Attempt, Status, Task, TaskError
from fluxgate.telemetry import count, logger

if TYPE_CHECKING:
    from fluxgate.aws.messaging import Queue
    from fluxgate.tasks.store import TaskStore

FIRST_DELAY = 1.0  # seconds; the vendor advises 1, 2, 4, 8, 16 with jitter
LAST_DELAY = 300.0


@dataclass(frozen=True, kw_only=True)
class Submitter:
    """What an attempt needs beside the task."""

    provider: Provider
    tasks: TaskStore
    queue: Queue
    callback_base_url: str
    max_age: timedelta
    """Beyond it a task that is still not accepted fails."""

    def submit(self, task: Task, attempt: Attempt) -> Task:
        """Submit a task that is `submitting` by this attempt, and store the answer.

        Raises nothing of ours: the task is stored, and a client that saw an error would ask, and pay, again. What could
        not be stored or queued is due, and repaired by the reconciler.
        """
        url = f"{self.callback_base_url}/callbacks/{self.provider.name}/{task.task_id}/{attempt.token}"
        submission = self.provider.submit(task, url)
        try:
            return self._settle(task, attempt, submission)
        except InvalidTransition:  # the callback was faster than the provider's own answer, and has stored more
            return task
        except (StorageUnavailable, QueueUnavailable) as error:
            logger.error("Provider's answer not stored", extra={"error": type(error).__name__, "reason": str(error)})
            return task

    def _settle(self, task: Task, attempt: Attempt, submission: Submission) -> Task:
        match submission:
            case Accepted(provider_task_id, images) if images:
                logger.info("Task generated", extra={"provider_task_id": provider_task_id})
                return self.tasks.advance(
                    task.task_id, Status.GENERATED, provider_task_id=provider_task_id, images=images
                )
            case Accepted(provider_task_id):
                logger.info("Task submitted", extra={"provider_task_id": provider_task_id})
                count("TaskSubmitted")
                return self.tasks.accept(task, provider_task_id)
            case NotAccepted(error):
                return self._defer(task, attempt, error)
            case Refused(error):
                logger.warning("Submission refused", extra={"code": error.code})
                count("ProviderRefused")
                return self._fail(task, error)
            case Unknown(reason):
                logger.warning("Submission outcome unknown", extra={"reason": reason})
                count("SubmissionUnknown")
                return task

    def _defer(self, task: Task, attempt: Attempt, error: TaskError) -> Task:
        """Back to `queued`, then a message: a crash between the two leaves the task due."""
        count("SubmissionDeferred")
        if datetime.now(UTC) - task.created_at > self.max_age:
            logger.warning("Submission given up", extra={"code": error.code, "attempts": task.attempts})
            return self._fail(task, error)
        delay = backoff(task.attempts)
        queued = self.tasks.advance(
            task.task_id,
            Status.QUEUED,
            attempt_id=attempt.attempt_id,
            delay=timedelta(seconds=delay),
            refusal=error,
        )
        logger.info("Submission deferred", extra={"code": error.code, "attempts": task.attempts, "seconds": delay})
        enqueue(self.queue, queued, delay)
        return queued

    def _fail(self, task: Task, error: TaskError) -> Task:
        failed = self.tasks.advance(task.task_id, Status.FAILED, error=error)
        count("TaskFailed")
        return failed


def enqueue(queue: Queue, task: Task, delay: float = 0) -> None:
    """Have a queued task submitted. Raises QueueUnavailable."""
    queue.send(json.dumps({"type": "submit", "task_id": task.task_id, "attempt": task.attempts + 1}), delay)


def backoff(attempts: int) -> float:
    """Seconds until the attempt after so many: doubling, with full jitter above half."""
    longest = min(FIRST_DELAY * 2.0 ** max(attempts - 1, 0), LAST_DELAY)
    return longest * random.uniform(0.5, 1) / time_scale()  # noqa: S311 - no secret
