"""Submit what waits on the submission queue: deferred tasks and orders from other systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fluxgate.errors import IdempotencyConflict, InvalidRequest, InvalidTransition, TaskNotFound
from fluxgate.outcomes.events import reject_order
from fluxgate.submission.orders import Order
from fluxgate.tasks.model import Attempt, Status
from fluxgate.telemetry import annotate_task, logger

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus
    from fluxgate.submission.intake import Intake
    from fluxgate.submission.submitter import Submitter


def submit_message(
    parse: Callable[[], str | Order], *, message_id: str, intake: Intake, submitter: Submitter, bus: EventBus
) -> None:
    """Submit the task or order of a message. An invalid order is rejected on the bus and not received again."""
    try:
        content = parse()
        if isinstance(content, Order):
            submit_order(content, intake=intake, submitter=submitter)
        else:
            submit_queued(content, submitter=submitter)
    except (InvalidRequest, IdempotencyConflict) as error:
        reject_order(message_id, error, bus=bus)


def submit_queued(task_id: str, *, submitter: Submitter) -> None:
    """Claim a queued task and submit it. Skips a task that is no longer queued.

    Raises StorageUnavailable before anything is sent; the message is then received again.
    """
    annotate_task(task_id)
    attempt = Attempt()
    try:
        task = submitter.tasks.claim(task_id, attempt)
    except (InvalidTransition, TaskNotFound) as refused:
        logger.info("Nothing to submit", extra={"reason": str(refused)})
        return
    submitter.submit(task, attempt)


def submit_order(order: Order, *, intake: Intake, submitter: Submitter) -> None:
    """Store an order as a queued task, then submit it. A redelivered order is the same task.

    Raises IdempotencyConflict or StorageUnavailable.
    """
    task, replayed = intake.store(order.request, order.owner, order.idempotency_key, Status.QUEUED, Attempt())
    annotate_task(task.task_id)
    logger.info("Order replayed" if replayed else "Task created", extra={"model": task.model, "owner": order.owner})
    if task.status is Status.QUEUED:
        submit_queued(task.task_id, submitter=submitter)
