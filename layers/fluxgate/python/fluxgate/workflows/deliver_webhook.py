"""Tell one receiver of one outcome: one signed POST, and a note of what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from fluxgate.errors import InvalidTransition, TaskNotFound
from fluxgate.outcomes.signing import SigningKeys, next_attempt
from fluxgate.tasks.model import Delivery, DeliveryState, Status, Task
from fluxgate.telemetry import about_task, count, logger, milliseconds
from fluxgate.wire.messages import WebhookMessage
from fluxgate.wire.task import TaskView

if TYPE_CHECKING:
    from fluxgate.http.untrusted import Answer
    from fluxgate.images.store import ImageStore
    from fluxgate.tasks.store import TaskStore


class Post(Protocol):
    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> Answer: ...


def deliver_webhook(
    task_id: str, status: Status, *, tasks: TaskStore, keys: SigningKeys, images: ImageStore, post: Post
) -> None:
    """Deliver the news that a task has come to `status`, unless that has been done, is not due yet, or is news no more.

    Built anew at each attempt, so that its image URLs are fresh. Raises StorageUnavailable: then the message comes
    again, and the receiver may get the same webhook id twice.
    """
    about_task(task_id)
    now = datetime.now(UTC)
    try:
        task = tasks.get(task_id)
    except TaskNotFound:
        logger.info("Webhook of a task that is gone")
        return
    webhook = task.webhook
    if task.callback_url is None or webhook is None or task.status is not status or not webhook.is_due(now):
        logger.info("Webhook not due", extra={"status": task.status})
        return
    body = WebhookMessage.of(task, TaskView.of(task, images.url)).model_dump_json().encode()
    answer = post(task.callback_url, body, keys.headers(task.owner, task.outcome_id, body, now))
    answered = datetime.now(UTC)
    delivery = _judge(webhook, answer, answered)
    try:
        tasks.note(task, delivery=delivery)
    except (InvalidTransition, TaskNotFound):  # a late result, a repeated message, or the end of the task
        logger.info("Delivery not noted", extra={"answer": answer.summary})
        return
    _tell(task, delivery, answered)


def _judge(webhook: Delivery, answer: Answer, now: datetime) -> Delivery:
    tried = replace(webhook, attempts=webhook.attempts + 1, next_at=None, last_answer=answer.summary)
    if answer.accepted:
        return replace(tried, state=DeliveryState.DELIVERED)
    moment = None if answer.gone else next_attempt(tried.attempts, answer.retry_after, now)
    return replace(tried, next_at=moment) if moment else replace(tried, state=DeliveryState.GIVEN_UP)


def _tell(task: Task, delivery: Delivery, now: datetime) -> None:
    facts = {"attempts": delivery.attempts, "answer": delivery.last_answer}
    if delivery.state is DeliveryState.DELIVERED:
        count("WebhookDelivered")
        milliseconds("SettledToDelivered", (now - task.updated_at).total_seconds() * 1000)
        logger.info("Webhook delivered", extra=facts)
    elif delivery.state is DeliveryState.GIVEN_UP:
        count("WebhookGivenUp")
        logger.error("Webhook given up", extra=facts)
    else:
        count("WebhookFailed")
        logger.warning("Webhook failed", extra=facts)
