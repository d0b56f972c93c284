"""Applies a provider's result to a task: transition, log and metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fluxgate.providers.port import Failed, Generated
from fluxgate.tasks.model import Status
from fluxgate.telemetry import count, logger

T = TypeVar("T")


def apply_result(result: Generated | Failed, transition: Callable[..., T]) -> T:
    """Call `transition`, one of the store's transitions bound to the task, and return what it returns.

    Raises what `transition` raises.
    """
    handle: dict[str, Any] = {"provider_task_id": result.handle} if result.handle else {}
    match result:
        case Generated(images):
            written = transition(Status.GENERATED, images=images, **handle)
            logger.info("Task generated", extra={"images": len(images)})
        case Failed(error):
            written = transition(Status.FAILED, error=error, **handle)
            count("TaskFailed")
            logger.warning("Task failed", extra={"code": error.code})
    return written
