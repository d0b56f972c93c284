"""Deliver one webhook: one signed POST, then record its result."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from fluxgate.errors import InvalidTransition, TaskNotFound
from fluxgate.outcomes.delivery import WebhookPayload, after_try
from fluxgate.tasks.model import Delivery, DeliveryState, Status, Task
from fluxgate.telemetry import annotate_task, count, logger, milliseconds
from fluxgate.wire.task import TaskView

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.images.store import ImageStore
    from fluxgate.outcomes.receivers import ReceiverResponse
    from fluxgate.outcomes.signing import SigningKeys
    from fluxgate.tasks.store import TaskStore


class Post(Protocol):
    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> ReceiverResponse: ...


def deliver_webhook(
    task_id: str,
    status: Status,
    *,
    tasks: TaskStore,
    keys: SigningKeys,
    images: ImageStore,
    post: Post,
    clock: Clock,
) -> None:
    """Post the webhook of the outcome `status`, unless it was delivered, is not due yet, or the task has moved on.
    Every try builds the payload again, so that its image URLs are fresh.

    Raises StorageUnavailable. The message is then received again, and the receiver may get the same webhook id twice.
    """
    annotate_task(task_id)
    now = clock.now()
    try:
        task = tasks.get(task_id)
    except TaskNotFound:
        logger.info("Task of the webhook was deleted")
        return
    webhook = task.webhook
    if task.callback_url is None or webhook is None or task.status is not status or not webhook.is_due(now):
        logger.info("Webhook not due", extra={"status": task.status})
        return
    body = WebhookPayload.of(task, TaskView.of(task, images.url)).model_dump_json().encode()
    response = post(task.callback_url, body, keys.headers(task.owner, task.outcome_id, body, now))
    responded_at = clock.now()
    delivery = after_try(webhook, response, clock)
    try:
        tasks.update_outcome(task, delivery=delivery)
    except (InvalidTransition, TaskNotFound):  # a late result, a repeated message or a deletion
        logger.info("Delivery not recorded", extra={"response": response.summary})
        return
    _report(task, delivery, responded_at)


def _report(task: Task, delivery: Delivery, responded_at: datetime) -> None:
    fields = {"tries": delivery.attempts, "response": delivery.last_answer}
    if delivery.state is DeliveryState.DELIVERED:
        count("WebhookDelivered")
        milliseconds("SettledToDelivered", (responded_at - task.updated_at).total_seconds() * 1000)
        logger.info("Webhook delivered", extra=fields)
    elif delivery.state is DeliveryState.GIVEN_UP:
        count("WebhookGivenUp")
        logger.error("Webhook given up", extra=fields)
    else:
        count("WebhookFailed")
        logger.warning("Webhook failed", extra=fields)
