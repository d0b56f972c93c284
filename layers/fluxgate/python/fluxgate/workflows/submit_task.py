"""Accept a request and hand it to the provider, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fluxgate.errors import MoveRefused, StorageUnavailable
from fluxgate.providers import Accepted, NotAccepted, Provider, Refused, Submission, Unknown
from fluxgate.schemas import EditRequest, GenerateRequest
from fluxgate.tasks import Attempt, Status, Task, TaskStore, new_task_id, token_hash
from fluxgate.telemetry import about_model, about_task, count, logger


def submit_task(
    request: GenerateRequest | EditRequest,
    *,
    owner: str,
    provider: Provider,
    tasks: TaskStore,
    callback_base_url: str,
    retention: timedelta,
) -> Task:
    """Store, submit, store the answer: in this order, so that no submission is without a task.

    Once the task is stored nothing raises: a client that saw an error would ask, and pay, again. Before that it raises
    StorageUnavailable.
    """
    attempt = Attempt()
    task = tasks.create(_new_task(request, owner, provider.name, attempt, retention))
    about_task(task.task_id)
    about_model(task.model)
    logger.info("Task created", extra={"model": task.model, "action": task.action, "owner": owner})
    callback_url = f"{callback_base_url}/callbacks/{provider.name}/{task.task_id}/{attempt.token}"
    submission = provider.submit(task, callback_url)
    try:
        return _settle(tasks, task, submission)
    except MoveRefused:  # the callback was faster than the provider's own answer, and has stored more
        return task
    except StorageUnavailable:
        logger.exception("Provider's answer not stored")
        return task


def _settle(tasks: TaskStore, task: Task, submission: Submission) -> Task:
    match submission:
        case Accepted(provider_task_id, images) if images:
            logger.info("Task generated", extra={"provider_task_id": provider_task_id})
            return tasks.advance(task.task_id, Status.GENERATED, provider_task_id=provider_task_id, images=images)
        case Accepted(provider_task_id):
            logger.info("Task submitted", extra={"provider_task_id": provider_task_id})
            count("TaskSubmitted")
            return tasks.advance(task.task_id, Status.SUBMITTED, provider_task_id=provider_task_id)
        case NotAccepted(error) | Refused(error):
            logger.warning("Submission refused", extra={"code": error.code})
            count("ProviderRefused")
            failed = tasks.advance(task.task_id, Status.FAILED, error=error)
            count("TaskFailed")
            return failed
        case Unknown(reason):
            logger.warning("Submission outcome unknown", extra={"reason": reason})
            count("SubmissionUnknown")
            return task


def _new_task(
    request: GenerateRequest | EditRequest, owner: str, provider: str, attempt: Attempt, retention: timedelta
) -> Task:
    now = datetime.now(UTC)
    return Task(
        task_id=new_task_id(),
        owner=owner,
        status=Status.SUBMITTING,
        action=request.action,
        model=request.model,
        prompt=request.prompt,
        size=request.size,
        count=request.count if isinstance(request, GenerateRequest) else 1,
        image_url=request.image_url if isinstance(request, EditRequest) else None,
        callback_url=request.callback_url,
        metadata=request.metadata,
        provider=provider,
        attempt_id=attempt.attempt_id,
        callback_tokens=frozenset({token_hash(attempt.token)}),
        attempted_at=now,
        created_at=now,
        updated_at=now,
        expires_at=now + retention,
    )
