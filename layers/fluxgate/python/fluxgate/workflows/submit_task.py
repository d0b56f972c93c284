"""Store a request as a task and submit it to the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.tasks.model import Attempt, Status, Task
from fluxgate.telemetry import annotate_model, annotate_task, logger

if TYPE_CHECKING:
    from fluxgate.submission.intake import Intake, Request
    from fluxgate.submission.submitter import Submitter


def submit_task(
    request: Request, *, owner: str, key: str | None, intake: Intake, submitter: Submitter
) -> tuple[Task, bool]:
    """Store, submit, store the result: in this order, so that every submission has a task. Returns the task and whether
    an earlier request with the same key had created it; then nothing is submitted.

    Never raises once the task is stored. Before that: IdempotencyMismatch, TaskDeleted or StorageUnavailable.
    """
    attempt = Attempt()
    task, replayed = intake.store(request, owner, key, Status.SUBMITTING, attempt)
    annotate_task(task.task_id)
    annotate_model(task.model)
    if replayed:
        logger.info("Request replayed", extra={"owner": owner})
        return task, True
    logger.info("Task created", extra={"model": task.model, "action": task.action, "owner": owner})
    return submitter.submit(task, attempt), False
