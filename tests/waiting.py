"""Waiting for a condition in tests."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], limit: float = 120) -> T:
    """Return the first truthy value of `condition`. Fails after `limit` seconds, generous for slow machines."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {limit} s"
        time.sleep(0.02)
    return value
