"""Submit what waits on the submission queue: deferred tasks, and requests that other systems put there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fluxgate.errors import IdempotencyMismatch, InvalidRequest, InvalidTransition, TaskDeleted, TaskNotFound
from fluxgate.submission.orders import Order
from fluxgate.tasks.model import Attempt, Status
from fluxgate.telemetry import about_task, count, logger

if TYPE_CHECKING:
    from fluxgate.aws.messaging import EventBus
    from fluxgate.submission.intake import Intake
    from fluxgate.submission.submitter import Submitter


def submit_message(
    parse: Callable[[], str | Order], *, message_id: str, intake: Intake, submitter: Submitter, bus: EventBus
) -> None:
    """Do what a message asks for. An order that cannot be accepted is rejected on the bus and never comes again."""
    try:
        wanted = parse()
        if isinstance(wanted, Order):
            submit_order(wanted, intake=intake, submitter=submitter)
        else:
            submit_queued(wanted, submitter=submitter)
    except (InvalidRequest, IdempotencyMismatch, TaskDeleted) as error:
        reject(message_id, error, bus=bus)


def submit_queued(task_id: str, *, submitter: Submitter) -> None:
    """Claim a queued task and submit it. One that is no longer queued has been claimed, cancelled or settled.

    Raises StorageUnavailable before anything is sent: then the message comes again.
    """
    about_task(task_id)
    attempt = Attempt()
    try:
        task = submitter.tasks.claim(task_id, attempt)
    except (InvalidTransition, TaskNotFound) as refused:
        logger.info("Nothing to submit", extra={"reason": str(refused)})
        return
    submitter.submit(task, attempt)


def submit_order(order: Order, *, intake: Intake, submitter: Submitter) -> None:
    """Store an order as a queued task, then submit it. The same order again, by a redelivery, is the same task.

    Raises IdempotencyMismatch, TaskDeleted, or StorageUnavailable.
    """
    task, replayed = intake.store(order.request, order.owner, order.idempotency_key, Status.QUEUED, Attempt())
    about_task(task.task_id)
    logger.info("Order replayed" if replayed else "Task created", extra={"model": task.model, "owner": order.owner})
    if task.status is Status.QUEUED:
        submit_queued(task.task_id, submitter=submitter)


def reject(message_id: str, error: InvalidRequest | IdempotencyMismatch | TaskDeleted, *, bus: EventBus) -> None:
    """Tell the bus what is wrong with an order. It blocks no other, and is not tried again."""
    faults = error.errors if isinstance(error, InvalidRequest) else [("idempotency_key", error.MESSAGE)]
    logger.warning("Order rejected", extra={"message_id": message_id, "faults": len(faults)})
    count("OrderRejected")
    errors = [{"field": field, "message": message} for field, message in faults]
    bus.put("Image Request Rejected", {"message_id": message_id, "errors": errors})
