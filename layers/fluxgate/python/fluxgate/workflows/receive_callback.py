"""Store what the provider's callback says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fluxgate.errors import InvalidTransition
from fluxgate.providers.port import Failed, Generated, Outcome, Running
from fluxgate.tasks.model import Status
from fluxgate.telemetry import about_task, count, logger, milliseconds

if TYPE_CHECKING:
    from fluxgate.tasks.store import TaskStore


def receive_callback(outcome: Outcome, *, task_id: str, token: str, tasks: TaskStore) -> None:
    """One conditional write, which checks token and state together. A repeat, or a failure that comes after the end,
    changes nothing and is no error of the sender's.

    Raises CallbackRefused, or StorageUnavailable: then the provider should send again.
    """
    about_task(task_id)
    try:
        match outcome:
            case Running():
                logger.info("Callback without a result")
            case Generated(images, provider_task_id):
                _measure(tasks.settle(task_id, Status.GENERATED, token, images=images, **_known(provider_task_id)))
                logger.info("Task generated", extra={"images": len(images)})
            case Failed(error, provider_task_id):
                tasks.settle(task_id, Status.FAILED, token, error=error, **_known(provider_task_id))
                count("TaskFailed")
                logger.warning("Task failed", extra={"code": error.code})
    except InvalidTransition as refused:
        logger.warning("Callback changes nothing", extra={"status": refused.task.status, "would_be": refused.to})


def _known(provider_task_id: str | None) -> dict[str, Any]:
    return {"provider_task_id": provider_task_id} if provider_task_id else {}


def _measure(submitted_at: datetime) -> None:
    milliseconds("SubmitToCallback", (datetime.now(UTC) - submitted_at).total_seconds() * 1000)
