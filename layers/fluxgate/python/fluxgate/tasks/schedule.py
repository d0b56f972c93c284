"""When the reconciler looks at a task."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fluxgate.tasks.model import OUTCOMES, DeliveryState, Status, Task

if TYPE_CHECKING:
    from fluxgate.clock import Clock

# How long a task may stay in an open status before the reconciler looks at it.
DUE_AFTER: dict[Status, timedelta] = {
    Status.QUEUED: timedelta(minutes=1),  # after the delay of its message
    Status.SUBMITTING: timedelta(minutes=2),
    Status.SUBMITTED: timedelta(minutes=2),
    Status.GENERATED: timedelta(minutes=10),  # after the archive queue's own retries; then at growing intervals
}
ANNOUNCED_WITHIN = timedelta(minutes=1)
DELETED_WITHIN = timedelta(minutes=1)
DELIVERED_WITHIN = timedelta(minutes=2)  # the first delivery try; later ones have `next_at`
POLL_EXPIRED_AFTER = timedelta(minutes=10)  # at first; later polls wait as long as the task has been expired


def due_since(entered: datetime, status: Status, clock: Clock) -> datetime:
    """When a task is due that entered `status` at `entered`."""
    return entered + clock.scaled(DUE_AFTER.get(status, ANNOUNCED_WITHIN))


def next_due(task: Task, clock: Clock) -> datetime | None:
    """When a task is due if nothing happens to it. None if no work is left."""
    now = clock.now()
    if task.status is Status.GENERATED:
        return max(due_since(now, task.status, clock), now + (now - (task.generated_at or now)))
    if task.status not in OUTCOMES or task.announced is not task.status:
        return due_since(now, task.status, clock)
    moments = []
    if (webhook := task.webhook) and webhook.state is DeliveryState.PENDING:
        planned = webhook.next_at or now
        moments.append(planned if planned > now else clock.after(DELIVERED_WITHIN))
    if task.status is Status.EXPIRED:
        moments.append(now + max(clock.scaled(POLL_EXPIRED_AFTER), now - task.updated_at))
    return min((moment for moment in moments if moment < task.expires_at), default=None)
