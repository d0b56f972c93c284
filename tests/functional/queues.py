"""Waiting for messages about one task."""

from typing import Any

from tests.harness import Queue
from tests.waiting import wait_for


def wait_for_messages(queue: Queue, task_id: str) -> list[Any]:
    """The messages about the task, once there are any. Ignores delayed messages of earlier tests."""
    return wait_for(lambda: [message for message in queue() if message["task_id"] == task_id])
