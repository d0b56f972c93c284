"""Deliver an outcome's webhook again because its owner asks for it."""

from __future__ import annotations

from fluxgate.errors import NothingToDeliver
from fluxgate.queues import Queue
from fluxgate.schemas import WebhookJob
from fluxgate.tasks import Delivery, DeliveryState, Task, TaskStore
from fluxgate.telemetry import about_task, logger


def resend_webhook(task_id: str, *, owner: str, tasks: TaskStore, queue: Queue) -> Task:
    """Begin the delivery anew, with the same webhook id and a new schedule of retries.

    Raises TaskNotFound, or NothingToDeliver where the task has no outcome yet or no callback_url.
    """
    about_task(task_id)
    task = tasks.get(task_id, owner)
    if task.webhook is None:
        raise NothingToDeliver
    anew = Delivery(outcome=task.status, state=DeliveryState.PENDING, attempts=0)
    noted = tasks.note(task, delivery=anew)
    queue.send(WebhookJob.of(noted).to_json())
    logger.info("Webhook queued again")
    return noted
