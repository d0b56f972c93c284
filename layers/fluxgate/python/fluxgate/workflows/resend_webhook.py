"""Deliver an outcome's webhook again on behalf of the task's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.errors import InvalidTransition, NothingToDeliver
from fluxgate.tasks.model import Delivery, DeliveryState, Task
from fluxgate.telemetry import annotate_task, logger
from fluxgate.wire.jobs import WebhookJob

if TYPE_CHECKING:
    from fluxgate.aws.messaging import Queue
    from fluxgate.tasks.store import TaskStore


def resend_webhook(task_id: str, *, owner: str, tasks: TaskStore, queue: Queue) -> Task:
    """Restart the delivery with the same webhook id and a fresh schedule of tries.

    Raises TaskNotFound, or NothingToDeliver without an outcome or a callback_url.
    """
    annotate_task(task_id)
    task = _restart_delivery(tasks.get(task_id, owner), tasks)
    queue.send(WebhookJob.of(task).to_json())
    logger.info("Webhook queued again")
    return task


def _restart_delivery(task: Task, tasks: TaskStore) -> Task:
    """Repeats with the stored task if a delivery try or a late result came first."""
    while task.webhook:
        restarted = Delivery(outcome=task.status, state=DeliveryState.PENDING, attempts=0)
        try:
            return tasks.update_outcome(task, delivery=restarted)
        except InvalidTransition as refused:
            task = refused.task
    raise NothingToDeliver
