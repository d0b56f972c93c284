"""The clock that domain code receives: the current time, sleeping, and the scale of delays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    scale: float = 1.0
    """Divides every delay. Local only: hours pass in seconds."""
    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def scaled(self, delay: timedelta) -> timedelta:
        return delay / self.scale

    def after(self, delay: timedelta) -> datetime:
        """The current time plus the scaled `delay`."""
        return self.now() + self.scaled(delay)
