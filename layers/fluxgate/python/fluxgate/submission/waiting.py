"""Waiting for a task's outcome within one request: what `Prefer: wait` and the MCP tools are made of."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from fluxgate.errors import StorageUnavailable, TaskNotFound
from fluxgate.tasks.model import OUTCOMES, Task
from fluxgate.telemetry import logger

if TYPE_CHECKING:
    from fluxgate.tasks.store import TaskStore

LONGEST_WAIT = 25  # seconds; the gateway ends after 29
LOOK_EVERY = 0.5  # seconds

_PREFERENCE = r"(?:^|,)\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])"


@dataclass(frozen=True)
class Wait:
    """So many seconds from now, LONGEST_WAIT at most; None: the client did not ask for it."""

    seconds: float | None
    _began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, seconds: float) -> Self:
        return cls(min(seconds, LONGEST_WAIT))

    @classmethod
    def preferred(cls, header: str) -> Self:
        """By a `Prefer` header (RFC 7240). What is no preference is passed over."""
        found = re.search(_PREFERENCE, header, re.IGNORECASE) if header else None
        return cls.of(int(found[1])) if found else cls(None)

    def for_outcome(self, task: Task, tasks: TaskStore) -> Task:
        """The task as it is when it has its outcome, or when the time is up. Raises nothing of ours: the task is
        stored, and a client that saw an error would ask, and pay, again."""
        until = self._began + (self.seconds or 0)
        while task.status not in OUTCOMES and (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK_EVERY, left))
            try:
                task = tasks.get(task.task_id, task.owner)
            except StorageUnavailable as error:
                logger.warning("Outcome not read", extra={"reason": str(error)})
            except TaskNotFound:  # deleted meanwhile
                break
        return task
