"""EventBridge schedules: invokes functions at fixed rates."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from local.aws import REGION

if TYPE_CHECKING:
    from local.deployment import Schedule
    from local.event_sources import Invoke

SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


class Scheduler:
    """A thread that invokes a function at the rate of its schedule. Cron expressions are not supported: never due."""

    def __init__(self, schedule: Schedule, invoke: Invoke, time_scale: float = 1) -> None:
        """`time_scale` divides the interval."""
        self._schedule = schedule
        self._invoke = invoke
        self._time_scale = time_scale
        self._closed = Event()
        self._thread = Thread(target=self._run, name=schedule.name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._closed.set()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", self._schedule.expression)
        seconds = int(rate[1]) * SECONDS[rate[2]] / self._time_scale if rate else None
        while not self._closed.wait(seconds):
            event = self._schedule.input
            self._invoke(self._schedule.function, json.loads(event) if event else _scheduled_event(self._schedule))


def _scheduled_event(schedule: Schedule) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [schedule.name],
        "detail": {},
    }
