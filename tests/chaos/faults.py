"""Selects the faults of calls to AWS, and builds AWS's error responses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.calls import Call
from tests.chaos.journal import Journal
from tests.chaos.random_source import RandomSource

SDK_TRIES = 3


class Fault(StrEnum):
    NONE = "none"
    KILLED_BEFORE = "function killed before"
    KILLED_AFTER = "function killed after"
    THROTTLED = "throttled"
    FAILED = "failed"
    APPLIED_WITH_ERROR = "applied, but error returned"
    RESPONSE_LOST = "applied, but connection dropped"


# Probability that the function is killed at a write, half of the time before it. Higher for rare calls.
KILL_RATE = 0.025
KILL_RATES = {
    "submit_task SendMessage submission": 0.1,
    "submit_queued PutItem": 0.06,
    "submit_queued PutEvents": 0.2,
    "submit_queued SendMessage submission": 0.06,
    "reconcile_tasks PutEvents": 0.08,
    "reconcile_tasks SendMessage submission": 0.2,
    "reconcile_tasks SendMessage archive": 0.2,
    "reconcile_tasks SendMessage webhook": 0.2,
}
ERROR_RATE = 0.07  # of all calls
ERRORS = {Fault.THROTTLED: 40, Fault.FAILED: 20, Fault.APPLIED_WITH_ERROR: 20, Fault.RESPONSE_LOST: 20}
PERSISTENT_RATE = 0.35  # of the errors, which then outlast the SDK's retries

_THROTTLED = {
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "amazonsqs": (400, "RequestThrottled"),
    "awsevents": (400, "ThrottlingException"),
    "secretsmanager": (400, "ThrottlingException"),
    "s3": (503, "SlowDown"),
}
_FAILED = {
    "dynamodb": (500, "InternalServerError"),
    "amazonsqs": (503, "ServiceUnavailable"),
    "awsevents": (500, "InternalException"),
    "secretsmanager": (500, "InternalServiceError"),
    "s3": (500, "InternalError"),
}


@dataclass
class FaultSelector:
    rng: RandomSource
    journal: Journal
    active: bool = True

    def __post_init__(self) -> None:
        self._selected: dict[str, tuple[Fault, int]] = {}

    def select(self, call: Call) -> Fault:
        """The fault of one SDK try. Depends only on the seed, the task, the call site and the call's index there."""
        if not self.active:
            return Fault.NONE
        sdk_try = self.journal.next_index("sdk", call.invocation)
        number = self.journal.number_of(call.task_id)
        if sdk_try == 0:
            self._select_for_call(call, self.journal.next_index("call", number, call.call_site))
        fault, tries = self._selected.pop(call.invocation, (Fault.NONE, 0))
        if sdk_try + 1 < tries:
            self._selected[call.invocation] = (fault, tries)
        return fault

    def _select_for_call(self, call: Call, index: int) -> None:
        key = (self.journal.number_of(call.task_id), call.call_site, index)
        if call.is_write and self.rng.chance(KILL_RATES.get(call.call_site, KILL_RATE), *key, "kill"):
            before = self.rng.chance(0.5, *key, "before")
            self._selected[call.invocation] = (Fault.KILLED_BEFORE if before else Fault.KILLED_AFTER, 1)
        elif self.rng.chance(ERROR_RATE, *key, "error"):
            tries = SDK_TRIES if self.rng.chance(PERSISTENT_RATE, *key, "persistent") else 1
            self._selected[call.invocation] = (self.rng.choice(ERRORS, *key, "kind"), tries)


def error_response(call: Call, fault: Fault) -> tuple[int, str, bytes]:
    """Status, content type and body of AWS's error response."""
    status, code = (_THROTTLED if fault is Fault.THROTTLED else _FAILED)[call.service]
    if call.service == "s3":
        text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>Injected.</Message></Error>'
        return status, "application/xml", text.encode()
    body = {"__type": f"com.amazonaws#{code}", "message": "Injected."}
    return status, "application/x-amz-json-1.0", json.dumps(body).encode()
