"""Store the result that a provider's callback reports."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fluxgate.errors import InvalidTransition
from fluxgate.providers.port import Failed, Generated, ProviderResult
from fluxgate.tasks.results import apply_result
from fluxgate.telemetry import annotate_task, logger, milliseconds

if TYPE_CHECKING:
    from fluxgate.clock import Clock
    from fluxgate.tasks.store import TaskStore


def receive_callback(result: ProviderResult, *, task_id: str, token: str, tasks: TaskStore, clock: Clock) -> None:
    """One conditional write checks token and status together. A repeated callback, or a failure of a task that already
    has an outcome, changes nothing and is not an error.

    Raises CallbackRefused, or StorageUnavailable so that the provider sends the callback again.
    """
    annotate_task(task_id)
    if not isinstance(result, Generated | Failed):
        logger.info("Callback without a result")
        return
    try:
        submitted_at = apply_result(result, partial(tasks.transition_by_token, task_id, token=token))
    except InvalidTransition as refused:
        logger.warning("Callback ignored", extra={"status": refused.task.status, "result": refused.to})
        return
    if isinstance(result, Generated):
        milliseconds("SubmitToCallback", (clock.now() - submitted_at).total_seconds() * 1000)
