"""Which calls to AWS go wrong, and how AWS would say so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.calls import Call
from tests.chaos.dice import Dice
from tests.chaos.journal import Journal

SDK_ATTEMPTS = 3


class Fault(StrEnum):
    NONE = "none"
    KILLED_BEFORE = "function killed before"
    KILLED_AFTER = "function killed after"
    THROTTLED = "throttled"
    FAILED = "failed"
    ANSWER_FAILED = "done, but answered with an error"
    ANSWER_LOST = "done, but the connection broke"


# Part of the calls that write or send at which the function is killed, half of them before. Rare ones, more often.
KILLED = 0.025
KILLED_AT = {
    "submit_task SendMessage submission": 0.1,
    "submit_queued PutItem": 0.06,
    "submit_queued PutEvents": 0.2,
    "submit_queued SendMessage submission": 0.06,
    "reconcile_tasks PutEvents": 0.08,
    "reconcile_tasks SendMessage submission": 0.2,
    "reconcile_tasks SendMessage archive": 0.2,
    "reconcile_tasks SendMessage webhook": 0.2,
}
DISTURBED = 0.07  # of all calls
DISTURBANCES = {Fault.THROTTLED: 40, Fault.FAILED: 20, Fault.ANSWER_FAILED: 20, Fault.ANSWER_LOST: 20}
PERSISTENT = 0.35  # of the disturbances outlast the SDK's own attempts

_THROTTLES = {
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "amazonsqs": (400, "RequestThrottled"),
    "awsevents": (400, "ThrottlingException"),
    "secretsmanager": (400, "ThrottlingException"),
    "s3": (503, "SlowDown"),
}
_FAILURES = {
    "dynamodb": (500, "InternalServerError"),
    "amazonsqs": (503, "ServiceUnavailable"),
    "awsevents": (500, "InternalException"),
    "secretsmanager": (500, "InternalServiceError"),
    "s3": (500, "InternalError"),
}


@dataclass
class Chooser:
    dice: Dice
    journal: Journal
    active: bool = True

    def choose(self, call: Call) -> Fault:
        """For one attempt of the SDK's. The nth call of a task at one point always fares alike."""
        if not self.active:
            return Fault.NONE
        attempt = self.journal.next("sdk", call.invocation)
        number = self.journal.number(call.task_id)
        if attempt == 0:
            self._remember(call, self.journal.next("call", number, call.point))
        fault, times = self._chosen.pop(call.invocation, (Fault.NONE, 0))
        if attempt + 1 < times:
            self._chosen[call.invocation] = (fault, times)
        return fault

    def __post_init__(self) -> None:
        self._chosen: dict[str, tuple[Fault, int]] = {}

    def _remember(self, call: Call, nth: int) -> None:
        name = (self.journal.number(call.task_id), call.point, nth)
        if call.changes and self.dice.chance(KILLED_AT.get(call.point, KILLED), *name, "kill"):
            before = self.dice.chance(0.5, *name, "before")
            self._chosen[call.invocation] = (Fault.KILLED_BEFORE if before else Fault.KILLED_AFTER, 1)
        elif self.dice.chance(DISTURBED, *name, "disturb"):
            times = SDK_ATTEMPTS if self.dice.chance(PERSISTENT, *name, "persist") else 1
            self._chosen[call.invocation] = (self.dice.pick(DISTURBANCES, *name, "how"), times)


def error(call: Call, fault: Fault) -> tuple[int, str, bytes]:
    """Status, content type and body of AWS's answer."""
    status, code = (_THROTTLES if fault is Fault.THROTTLED else _FAILURES)[call.service]
    if call.service == "s3":
        text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>Chaos.</Message></Error>'
        return status, "application/xml", text.encode()
    body = {"__type": f"com.amazonaws#{code}", "message": "Chaos."}
    return status, "application/x-amz-json-1.0", json.dumps(body).encode()
