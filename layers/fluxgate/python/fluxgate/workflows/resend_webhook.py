"""Deliver an outcome's webhook again because its owner asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxgate.errors import InvalidTransition, NothingToDeliver
from fluxgate.tasks.model import Delivery, DeliveryState, Task
from fluxgate.telemetry import about_task, logger
from fluxgate.wire.messages import WebhookJob

if TYPE_CHECKING:
    from fluxgate.aws.messaging import Queue
    from fluxgate.tasks.store import TaskStore


def resend_webhook(task_id: str, *, owner: str, tasks: TaskStore, queue: Queue) -> Task:
    """Begin the delivery anew, with the same webhook id and a new schedule of retries.

    Raises TaskNotFound, or NothingToDeliver where the task has no outcome yet or no callback_url.
    """
    about_task(task_id)
    task = _begin_anew(tasks.get(task_id, owner), tasks)
    queue.send(WebhookJob.of(task).model_dump_json())
    logger.info("Webhook queued again")
    return task


def _begin_anew(task: Task, tasks: TaskStore) -> Task:
    """Where an attempt or a late result is noted meanwhile, what is stored then is begun anew."""
    while task.webhook:
        anew = Delivery(outcome=task.status, state=DeliveryState.PENDING, attempts=0)
        try:
            return tasks.note(task, delivery=anew)
        except InvalidTransition as refused:
            task = refused.task
    raise NothingToDeliver
