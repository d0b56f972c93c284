"""Decides in advance how each task is requested, what its provider does and how its webhook receiver behaves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from local.providers.acedata import Behaviour, ErrorShape, ImageFault, Refusal
from local.providers.acedata.behaviour import ResponseKind
from tests.chaos.random_source import RandomSource

OWNERS = {"chaos-key-1": "alice", "chaos-key-2": "bob"}  # API key ids by value
RESULT_MAX_AGE = 20  # seconds; above the longest duration of one attempt, as at AWS
SUBMISSION_MAX_AGE = 45  # seconds
ARCHIVE_MAX_AGE = 600  # seconds; above the duration of the run, so that no available image is given up

CHANNELS = {"http": 72, "http without key": 4, "order": 12, "event": 12}
REQUEST_STYLES = {"single": 60, "replayed": 20, "concurrent": 12, "client timeout": 8}

SUBMISSIONS = {
    "accepted": 46,
    "429, then accepted": 11,
    "always 429": 1,
    "500 with JSON body": 4,
    "500 with JSON body, but accepted": 2,
    "500 with HTML body": 2,
    "500 with HTML body, but accepted": 4,
    "truncated response, accepted": 3,
    "response lost, accepted": 7,
    "connection dropped, not accepted": 2,
    "timeout, accepted": 2,
    "timeout, not accepted": 1,
    "slow response": 4,
    "moderated": 2,
}
GENERATIONS = {"succeeds": 90, "fails": 4, "after expiry": 6}
CALLBACKS = {
    "once": 42,
    "lost": 14,
    "repeated concurrently": 14,
    "early": 10,
    "between running updates": 5,
    "before a failure": 5,
    "after a failure": 4,
    "delayed": 6,
}
IMAGES = {
    "good": 70,
    "URL expired": 4,
    "not found": 2,
    "unavailable at first": 8,
    "truncated at first": 8,
    "slow": 6,
    "wrong content type": 2,
}
RECEIVERS = {
    "none": 40,
    "good": 26,
    "fails at first": 12,
    "hangs at first": 3,
    "redirects at first": 5,
    "drops the connection at first": 6,
    "always redirects": 3,
    "always fails": 3,
    "gone": 2,
}
FAILING_RECEIVERS = {"always redirects", "always fails", "gone"}
UNAVAILABLE_IMAGES = {"URL expired", "not found"}
_PROMPT = re.compile(r"chaos (\d+)\b")


class Channel(StrEnum):
    HTTP = "http"
    HTTP_WITHOUT_KEY = "http without key"  # without an Idempotency-Key
    ORDER = "order"
    EVENT = "event"


@dataclass(frozen=True)
class Plan:
    """The choices for one task: keys of the tables above."""

    number: int
    rng: RandomSource

    def _choice(self, weights: Mapping[str, float], key: str) -> str:
        return self.rng.choice(weights, self.number, key)

    @property
    def channel(self) -> Channel:
        return Channel(self._choice(CHANNELS, "channel"))

    @property
    def request_style(self) -> str:
        return self._choice(REQUEST_STYLES, "request")

    @property
    def submission(self) -> str:
        return self._choice(SUBMISSIONS, "submission")

    @property
    def accepted_despite_500(self) -> bool:
        return self.submission.endswith("body, but accepted")

    @property
    def generation(self) -> str:
        return self._choice(GENERATIONS, "generation")

    @property
    def callback(self) -> str:
        """Never lost if the provider accepted with a 500: nothing else reveals the result."""
        chosen = self._choice(CALLBACKS, "callback")
        return "once" if chosen == "lost" and self.accepted_despite_500 else chosen

    @property
    def images(self) -> str:
        return self._choice(IMAGES, "images")

    @property
    def receiver(self) -> str:
        return self._choice(RECEIVERS, "receiver")

    @property
    def api_key(self) -> str:
        return list(OWNERS)[self.number % len(OWNERS)]

    @property
    def owner(self) -> str:
        return OWNERS[self.api_key]

    @property
    def idempotency_key(self) -> str:
        return f"chaos-{self.number}"

    def request(self, receiver_url: str) -> dict[str, Any]:
        """The request's fields; `receiver_url` is the base of the webhook URL."""
        fields: dict[str, Any] = {"prompt": f"chaos {self.number}", "size": "256x256", "model": "flux-dev"}
        fields["count"] = self.rng.randint(1, 2, self.number, "count")
        if self.receiver != "none":
            fields["callback_url"] = f"{receiver_url}/{self.number}"
        return fields

    def behaviour(self, index: int) -> Behaviour:
        """The provider's behaviour at the task's submission number `index`, from 0."""
        fraction = self.rng.random(self.number, "latency")
        late = self.generation == "after expiry"
        failure = Refusal.of("api_error") if self.generation == "fails" else None
        generation = Behaviour(
            callbacks=0,  # CallbackSender sends them
            callback_early=self.callback == "early",
            latency=RESULT_MAX_AGE + 3 + 4 * fraction if late else 0.1 + fraction,
            failure=failure,
            running_response=self.rng.chance(0.5, self.number, "running response"),
            timings="number" if self.rng.chance(0.5, self.number, "timings") else "object",
            response_success=self.rng.chance(0.5, self.number, "success flag"),
            **self._image_faults(),
        )
        return generation.but(**self._submission_faults(index))

    def _submission_faults(self, index: int) -> dict[str, Any]:
        shape = list(ErrorShape)[self.rng.randint(0, 3, self.number, "form")]
        dropped = ResponseKind.RESET if self.rng.chance(0.5, self.number, "reset") else ResponseKind.DROPPED
        throttled = {"refusal": Refusal.of("too_many_requests", shape=shape)}
        throttled_times = self.rng.randint(1, 4, self.number, "429")
        faults: dict[str, dict[str, Any]] = {
            "429, then accepted": throttled if index < throttled_times else {},
            "always 429": throttled,
            "500 with JSON body": {"refusal": Refusal.of("api_error", shape=shape)},
            "moderated": {"refusal": Refusal.of("forbidden")},
            "500 with HTML body": {"accepted": False, "response": ResponseKind.HTML, "response_status": 500},
            "500 with HTML body, but accepted": {"response": ResponseKind.HTML, "response_status": 502},
            "truncated response, accepted": {"response": ResponseKind.GARBLED, "response_status": 200},
            "response lost, accepted": {"response": dropped},
            "connection dropped, not accepted": {"accepted": False, "response": dropped},
            "timeout, accepted": {"response": ResponseKind.HANGING},
            "timeout, not accepted": {"accepted": False, "response": ResponseKind.HANGING},
            "slow response": {"response_delay": 0.3 + self.rng.random(self.number, "delay")},
        }
        return faults.get(self.submission, {})

    def _image_faults(self) -> dict[str, Any]:
        times = self.rng.randint(1, 2, self.number, "downloads")
        faults: dict[str, dict[str, Any]] = {
            "URL expired": {"image_fault": ImageFault.EXPIRED},
            "not found": {"image_fault": ImageFault.MISSING},
            "unavailable at first": {"image_fault": ImageFault.UNAVAILABLE, "image_fault_times": times},
            "truncated at first": {"image_fault": ImageFault.TRUNCATED, "image_fault_times": times},
            "slow": {"image_fault": ImageFault.SLOW, "image_delay": 0.3, "image_chunk": 16384},
            "wrong content type": {"image_fault": ImageFault.WRONG_TYPE},
        }
        return faults.get(self.images, {})


def number_in(prompt: object) -> int | None:
    """The task number in a prompt; None if the prompt is not from this run."""
    found = _PROMPT.search(prompt) if isinstance(prompt, str) else None
    return int(found[1]) if found else None
