"""Everything that will happen to one task, decided beforehand: who asks, what the provider does, who is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from local.providers.acedata import Behaviour, ErrorShape, ImageFault, Refusal
from local.providers.acedata.behaviour import ResponseKind
from tests.chaos.dice import Dice

OWNERS = {"chaos-key-1": "alice", "chaos-key-2": "bob"}  # value of an API key: its id
RESULT_MAX_AGE = 20  # seconds; above what one attempt may take, as at AWS
SUBMISSION_MAX_AGE = 45
ARCHIVE_MAX_AGE = 600  # above the whole run: no URL that lives is given up

WAYS = {"http": 72, "http without key": 4, "order": 12, "event": 12}
REQUESTS = {"one": 60, "replayed": 20, "two at once": 12, "impatient": 8}

SUBMISSIONS = {
    "accepted": 46,
    "429, then accepted": 11,
    "429 for ever": 1,
    "500 with the vendor's body": 4,
    "500 with the vendor's body, but accepted": 2,
    "500 without the vendor's body": 2,
    "500 without the vendor's body, but accepted": 4,
    "half an answer, accepted": 3,
    "answer lost after acceptance": 7,
    "connection broken before acceptance": 2,
    "time-out after acceptance": 2,
    "time-out before acceptance": 1,
    "slow answer": 4,
    "moderated": 2,
}
GENERATIONS = {"pictures": 90, "fails": 4, "after expiry": 6}
CALLBACKS = {
    "one": 42,
    "lost": 14,
    "repeated at once": 14,
    "early": 10,
    "after news of running": 5,
    "before a late failure": 5,
    "after a failure": 4,
    "slow": 6,
}
PICTURES = {
    "good": 70,
    "URL expired": 4,
    "gone": 2,
    "unavailable at first": 8,
    "truncated at first": 8,
    "slow": 6,
    "called text": 2,
}
RECEIVERS = {
    "none": 40,
    "good": 26,
    "fails at first": 12,
    "hangs at first": 3,
    "redirects at first": 5,
    "breaks at first": 6,
    "redirects for ever": 3,
    "fails for ever": 3,
    "gone": 2,
}
DEAD_RECEIVERS = {"redirects for ever", "fails for ever", "gone"}
DEAD_PICTURES = {"URL expired", "gone"}
_MARK = re.compile(r"chaos (\d+)\b")


class Way(StrEnum):
    HTTP = "http"
    KEYLESS = "http without key"
    ORDER = "order"
    EVENT = "event"


@dataclass(frozen=True)
class Plan:
    """The choices for one task, by the names of the tables above."""

    number: int
    dice: Dice

    def _pick(self, weights: Mapping[str, float], name: str) -> str:
        return self.dice.pick(weights, self.number, name)

    @property
    def way(self) -> Way:
        return Way(self._pick(WAYS, "way"))

    @property
    def request_style(self) -> str:
        return self._pick(REQUESTS, "request")

    @property
    def submission(self) -> str:
        return self._pick(SUBMISSIONS, "submission")

    @property
    def generation(self) -> str:
        return self._pick(GENERATIONS, "generation")

    @property
    def callback(self) -> str:
        """A vendor that has said no and yet works can only tell by calling back: that it does."""
        chosen = self._pick(CALLBACKS, "callback")
        return "one" if chosen == "lost" and self.submission.endswith("body, but accepted") else chosen

    @property
    def pictures(self) -> str:
        return self._pick(PICTURES, "pictures")

    @property
    def receiver(self) -> str:
        return self._pick(RECEIVERS, "receiver")

    @property
    def api_key(self) -> str:
        return list(OWNERS)[self.number % len(OWNERS)]

    @property
    def owner(self) -> str:
        return OWNERS[self.api_key]

    @property
    def key(self) -> str:
        return f"chaos-{self.number}"

    def request(self, receivers: str) -> dict[str, Any]:
        """The request's fields; `receivers` is where webhooks are taken."""
        fields: dict[str, Any] = {"prompt": f"chaos {self.number}", "size": "256x256", "model": "flux-dev"}
        fields["count"] = self.dice.number(1, 2, self.number, "count")
        if self.receiver != "none":
            fields["callback_url"] = f"{receivers}/{self.number}"
        return fields

    def behaviour(self, attempt: int) -> Behaviour:
        """Of the provider at the submission that is the `attempt`th, from 0, of this task."""
        roll = self.dice.roll(self.number, "latency")
        late = self.generation == "after expiry"
        failure = Refusal.of("api_error") if self.generation == "fails" else None
        life = Behaviour(
            callbacks=0,  # they are the messenger's
            callback_early=self.callback == "early",
            latency=RESULT_MAX_AGE + 3 + 4 * roll if late else 0.1 + roll,
            failure=failure,
            running_response=self.dice.chance(0.5, self.number, "running response"),
            timings="number" if self.dice.chance(0.5, self.number, "timings") else "object",
            response_success=self.dice.chance(0.5, self.number, "success flag"),
            **self._image_faults(),
        )
        return life.but(**self._answer(attempt))

    def _answer(self, attempt: int) -> dict[str, Any]:
        shape = list(ErrorShape)[self.dice.number(0, 3, self.number, "form")]
        broken = ResponseKind.RESET if self.dice.chance(0.5, self.number, "reset") else ResponseKind.DROPPED
        throttled = {"refusal": Refusal.of("too_many_requests", shape=shape)}
        bursts = self.dice.number(1, 4, self.number, "429")
        answers: dict[str, dict[str, Any]] = {
            "429, then accepted": throttled if attempt < bursts else {},
            "429 for ever": throttled,
            "500 with the vendor's body": {"refusal": Refusal.of("api_error", shape=shape)},
            "moderated": {"refusal": Refusal.of("forbidden")},
            "500 without the vendor's body": {"accepted": False, "response": ResponseKind.HTML, "response_status": 500},
            "500 without the vendor's body, but accepted": {"response": ResponseKind.HTML, "response_status": 502},
            "half an answer, accepted": {"response": ResponseKind.GARBLED, "response_status": 200},
            "answer lost after acceptance": {"answer": broken},
            "connection broken before acceptance": {"accepted": False, "answer": broken},
            "time-out after acceptance": {"response": ResponseKind.HANGING},
            "time-out before acceptance": {"accepted": False, "response": ResponseKind.HANGING},
            "slow answer": {"response_delay": 0.3 + self.dice.roll(self.number, "delay")},
        }
        return answers.get(self.submission, {})

    def _image_faults(self) -> dict[str, Any]:
        times = self.dice.number(1, 2, self.number, "downloads")
        faults: dict[str, dict[str, Any]] = {
            "URL expired": {"image_fault": ImageFault.EXPIRED},
            "gone": {"image_fault": ImageFault.MISSING},
            "unavailable at first": {"image_fault": ImageFault.UNAVAILABLE, "image_fault_times": times},
            "truncated at first": {"image_fault": ImageFault.TRUNCATED, "image_fault_times": times},
            "slow": {"image_fault": ImageFault.SLOW, "image_delay": 0.3, "image_chunk": 16384},
            "called text": {"image_fault": ImageFault.WRONG_TYPE},
        }
        return faults.get(self.pictures, {})


def number_in(prompt: object) -> int | None:
    """Whose prompt it is; None for none of ours."""
    found = _MARK.search(prompt) if isinstance(prompt, str) else None
    return int(found[1]) if found else None
