"""Accept a request and hand it to the provider, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.tasks.model import Attempt, Status, Task
from fluxgate.telemetry import about_model, about_task, logger

if TYPE_CHECKING:
    from fluxgate.submission.intake import Intake, Request
    from fluxgate.submission.submitter import Submitter


def submit_task(
    request: Request, *, owner: str, key: str | None, intake: Intake, submitter: Submitter
) -> tuple[Task, bool]:
    """Store, submit, store the answer: in this order, so that no submission is without a task. The task, and whether an
    earlier request with the same key had created it: then nothing is submitted.

    Once the task is stored nothing raises. Before that: IdempotencyMismatch, StorageUnavailable.
    """
    attempt = Attempt()
    task, replayed = intake.store(request, owner, key, Status.SUBMITTING, attempt)
    about_task(task.task_id)
    about_model(task.model)
    if replayed:
        logger.info("Request replayed", extra={"owner": owner})
        return task, True
    logger.info("Task created", extra={"model": task.model, "action": task.action, "owner": owner})
    return submitter.submit(task, attempt), False
