"""Repair whatever is due."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from fluxgate.reconciliation.isolation import Isolation
from fluxgate.reconciliation.polling import Polling, is_pollable
from fluxgate.tasks.deletion import finish_deletion
from fluxgate.tasks.model import Deletion, Task
from fluxgate.tasks.store import DUE_SHARDS, TaskStore
from fluxgate.telemetry import logger, milliseconds

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.images.store import ImageStore
    from fluxgate.reconciliation.repairs import Repairs

PER_SHARD = 200  # tasks per shard and pass; the rest waits for the next minute


def reconcile_tasks(
    *,
    tasks: TaskStore,
    repairs: Repairs,
    polling: Polling,
    images: Callable[[], ImageStore],
    clock: Clock,
    has_time: Callable[[], bool],
) -> None:
    """Look at every due task once: finish deletions, repeat lost steps, poll the provider. Each task is changed or
    postponed, so that it does not stay due and block others; a crash repeats only what is harmless to repeat.

    Stops when no time is left; the rest stays due. Raises the first error of a single task at the end.
    """
    # Random orders, so that no shard and no step is always the one for which no time is left.
    shards = random.sample(range(DUE_SHARDS), DUE_SHARDS)
    found = [entry for shard in shards for entry in tasks.due(shard, PER_SHARD)]
    deletions = [entry for entry in found if isinstance(entry, Deletion)]
    due = [entry for entry in found if isinstance(entry, Task)]
    _measure(found, clock)
    isolation = Isolation()
    steps: list[Callable[[], None]] = [
        lambda: isolation.each(
            (deletion for deletion in deletions if has_time()),
            lambda deletion: finish_deletion(deletion, tasks=tasks, images=images()),
        ),
        lambda: isolation.each((task for task in due if has_time()), repairs.repair),
        lambda: polling.poll([task for task in due if is_pollable(task)], isolation),
    ]
    for step in random.sample(steps, len(steps)):
        step()
    isolation.raise_first()


def _measure(found: list[Task | Deletion], clock: Clock) -> None:
    if not found:
        return
    oldest = min(entry.due_at for entry in found if entry.due_at)
    milliseconds("OldestDue", (clock.now() - oldest).total_seconds() * 1000)
    logger.info("Reconciling", extra={"due": len(found)})
