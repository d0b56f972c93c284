"""Events about outcomes and rejected orders on the event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, Field

from fluxgate.catalogue import Action
from fluxgate.errors import IdempotencyConflict, InvalidRequest, InvalidTransition, TaskNotFound
from fluxgate.tasks.model import OUTCOMES, Task
from fluxgate.telemetry import count, logger
from fluxgate.wire.task import ErrorView, PublicStatus

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus
    from fluxgate.tasks.store import TaskStore

DETAIL_TYPES = {outcome: f"Task {outcome.value.capitalize()}" for outcome in OUTCOMES}
ORDER_REJECTED = "Image Request Rejected"


class TaskEvent(BaseModel):
    """The detail of an outcome's event: the task without its prompt and without URLs."""

    id: str = Field(description="Identifies the outcome. Repetitions and the webhook have the same id.")
    task_id: str
    owner: str
    status: PublicStatus
    action: Action
    model: str
    size: str
    count: int
    images: int
    error: ErrorView | None
    metadata: dict[str, str]
    webhook: Literal[True] | None = Field(description="Present if the task has a callback_url. Rules match on it.")

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls.model_validate(
            vars(task)
            | {
                "id": task.outcome_id,
                "status": PublicStatus.of(task.status),
                "images": len(task.images),
                "webhook": True if task.callback_url else None,
            }
        )


def announce(task: Task, *, bus: EventBus, tasks: TaskStore) -> None:
    """Publish the event, then record that. A crash in between repeats the event with the same id.

    Raises QueueUnavailable or StorageUnavailable; the outcome then stays due.
    """
    bus.put(DETAIL_TYPES[task.status], TaskEvent.of(task).model_dump(mode="json", exclude_none=True))
    try:
        tasks.update_outcome(task, announced=task.status)
    except InvalidTransition as refused:  # a late result or a delivery came first; the reconciler does the rest
        logger.info("Announcement not recorded", extra={"status": refused.task.status})
    except TaskNotFound:
        logger.info("Announced task was deleted")
    logger.info("Outcome announced", extra={"status": task.status})


def reject_order(message_id: str, error: InvalidRequest | IdempotencyConflict, *, bus: EventBus) -> None:
    """Report an invalid order. Raises QueueUnavailable."""
    violations = error.violations if isinstance(error, InvalidRequest) else [(error.field, error.message)]
    logger.warning("Order rejected", extra={"message_id": message_id, "violations": len(violations)})
    count("OrderRejected")
    errors = [{"field": field, "message": message} for field, message in violations]
    bus.put(ORDER_REJECTED, {"message_id": message_id, "errors": errors})
