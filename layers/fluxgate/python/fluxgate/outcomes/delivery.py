"""Webhook payloads and the schedule of delivery tries (Standard Webhooks)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel

from fluxgate.tasks.model import Delivery, DeliveryState, Task
from fluxgate.wire.task import PublicStatus, TaskView

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.outcomes.receivers import ReceiverResponse

# Delays after the first, second, … failed try, as the specification recommends: about a day and a half in total.
RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000))
MAX_RETRY_AFTER = timedelta(hours=24)  # the longest delay that a receiver may ask for


class WebhookPayload(BaseModel):
    type: str
    timestamp: datetime
    data: TaskView

    @classmethod
    def of(cls, task: Task, view: TaskView) -> Self:
        return cls(type=f"task.{PublicStatus.of(task.status)}", timestamp=task.updated_at, data=view)


def after_try(delivery: Delivery, response: ReceiverResponse, clock: Clock) -> Delivery:
    """The delivery after one more try: delivered, given up, or pending until the next try."""
    tried = replace(delivery, attempts=delivery.attempts + 1, next_at=None, last_answer=response.summary)
    if response.is_success:
        return replace(tried, state=DeliveryState.DELIVERED)
    next_at = None if response.is_gone else next_try(tried.attempts, response.retry_after, clock)
    return replace(tried, next_at=next_at) if next_at else replace(tried, state=DeliveryState.GIVEN_UP)


def next_try(tries: int, retry_after: str | None, clock: Clock) -> datetime | None:
    """When to try again after this many failed tries, not before the receiver's Retry-After. None: never."""
    if tries > len(RETRY_AFTER):
        return None
    return clock.after(max(RETRY_AFTER[tries - 1], min(_requested_delay(retry_after, clock), MAX_RETRY_AFTER)))


def _requested_delay(retry_after: str | None, clock: Clock) -> timedelta:
    """Seconds or a date (RFC 9110, 10.2.3). Anything else counts as no delay: the header is untrusted."""
    text = retry_after or ""
    try:
        if text.isascii() and text.isdigit():
            return timedelta(seconds=int(text))
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return timedelta(0)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - clock.now()
