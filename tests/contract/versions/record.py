"""Records what this checkout stores and sends: `python -m tests.contract.versions.record 1.0.0` writes that folder.

The real handlers run in this process, against moto, the simulated provider and a webhook receiver.
"""

from __future__ import annotations

import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

import tests.conftest  # noqa: F401  (the environment that Powertools reads when it is imported)
from local.providers.acedata import Refusal, ResponseKind
from local.stack import Stack
from tests.contract.versions.normalize import distinct, normalized, written
from tests.contract.versions.recorder import (
    AT_ONCE,
    CALLBACK_URL,
    GOOD,
    IMAGE,
    METADATA,
    MISSING_IMAGE,
    PROMPT,
    SIZE,
    Recorder,
)
from tests.contract.versions.responses import responses
from tests.contract.versions.surroundings import OneProcess, Receiver
from tests.harness import OWNER, Functions

VERSIONS = Path(__file__).parent
BUSY = GOOD.but(refusal=Refusal.of("too_many_requests"))
REFUSED = GOOD.but(refusal=Refusal.of("forbidden"))
LOST = GOOD.but(response=ResponseKind.DROPPED)  # accepted, but its response never arrives
RUNNING = GOOD.but(latency=float("inf"))
ORDER = {"action": "generate", "owner": OWNER, "prompt": PROMPT, "size": SIZE}
EDIT = {"action": "edit", "owner": OWNER, "prompt": "Make it night", "image_url": "https://cdn.example.com/input.png"}
ATTEMPTS = 4  # ARCHIVE_ATTEMPTS: after the last one a task succeeds without images that are gone

Recording = dict[str, Any]  # by file name without its suffix


def open_tasks(r: Recorder) -> None:
    r.submit("queued", BUSY, at_once=True, metadata=METADATA)
    r.keep("queued", "queued")
    r.reconcile()  # sends the message again

    with r.throttled("UpdateItem"):  # stored, then not claimed
        r.order("queued_order", {**ORDER, "idempotency_key": "queued_order"}, "client", fails=True)
    r.keep("queued_order", "queued")

    r.submit("submitting", LOST, metadata=METADATA, callback_url=CALLBACK_URL)
    r.keep("submitting", "submitting")

    r.submit("submitted", metadata=METADATA, callback_url=CALLBACK_URL, count=2)
    r.keep("submitted", "submitted")

    r.submit("submitted_again", BUSY)  # two attempts, each with its token
    r.submit_again("submitted_again")
    r.keep("submitted_again", "submitted")

    r.order("submitted_order", {**ORDER, "metadata": METADATA}, "client")  # its key is the message's id
    r.keep("submitted_order", "submitted")

    r.order("submitted_event", r.requested(EDIT), "ImageRequestedRule")  # an edit; its key is the event's id
    r.keep("submitted_event", "submitted")


def generated_tasks(r: Recorder) -> None:
    r.submit("generated", metadata=METADATA)
    r.callback("generated", IMAGE)
    r.publish("generated", "submitted")
    r.keep("generated", "generated")

    r.submit("generated_archived_in_part", count=2)
    r.callback("generated_archived_in_part", IMAGE, MISSING_IMAGE, at_once=True)
    r.publish("generated_archived_in_part", "submitted")
    r.archive("generated_archived_in_part", fails=True)
    r.keep("generated_archived_in_part", "generated")
    r.reconcile()  # sends the job again, with the archived image


def succeed(r: Recorder, name: str, *images: str, receive_count: int = 1, **fields: Any) -> None:
    """Until the images are in the bucket."""
    r.submit(name, **fields)
    r.callback(name, *images)
    r.publish(name, "submitted")
    r.archive(name, receive_count)


def outcomes(r: Recorder) -> None:
    succeed(r, "succeeded", IMAGE)  # not announced
    r.keep("succeeded", "succeeded")

    succeed(r, "succeeded_announced", IMAGE, metadata=METADATA)
    r.publish("succeeded_announced", "generated")
    r.keep("succeeded_announced", "succeeded")

    succeed(r, "succeeded_in_part", IMAGE, MISSING_IMAGE, receive_count=ATTEMPTS, count=2)
    r.keep("succeeded_in_part", "succeeded")

    r.submit("failed", metadata=METADATA)
    r.callback("failed")
    r.publish("failed", "submitted")
    r.keep("failed", "failed")

    r.submit("failed_refused", REFUSED)  # not announced
    r.keep("failed_refused", "failed")


def refused(r: Recorder, name: str, *, at_once: bool = False) -> None:
    """Announced, so that its webhook is due."""
    r.submit(name, REFUSED, callback_url=CALLBACK_URL)
    r.publish(name, "submitting", at_once=at_once)


def webhooks(r: Recorder) -> None:
    succeed(r, "webhook_succeeded", IMAGE, callback_url=CALLBACK_URL, metadata=METADATA)
    r.publish("webhook_succeeded", "generated")
    r.keep("webhook_succeeded", "succeeded")  # pending: nothing has been sent
    r.deliver("webhook_succeeded", 204)

    refused(r, "webhook_failed")
    r.keep("webhook_failed", "failed")
    r.deliver("webhook_failed", 204)

    refused(r, "webhook_retried")
    r.deliver("webhook_retried", 500)
    r.keep("webhook_retried", "failed")

    refused(r, "webhook_delivered")
    r.deliver("webhook_delivered", 204)
    r.keep("webhook_delivered", "failed")

    refused(r, "webhook_given_up")
    r.deliver("webhook_given_up", 410)
    r.keep("webhook_given_up", "failed")

    refused(r, "webhook_resent")
    r.deliver("webhook_resent", 410)
    r.resend("webhook_resent")
    r.keep("webhook_resent", "failed")

    refused(r, "webhook_overdue", at_once=True)  # its message is lost
    r.reconcile()
    r.keep("webhook_overdue", "failed")


def too_old(r: Recorder) -> None:
    """What the reconciler gives up, and a result that comes after that."""
    r.submit("failed_never_accepted", BUSY, at_once=True)
    r.submit("expired", RUNNING, at_once=True, metadata=METADATA)
    r.submit("webhook_expired", RUNNING, at_once=True, callback_url=CALLBACK_URL)
    r.submit("generated_late", RUNNING, at_once=True, callback_url=CALLBACK_URL)
    time.sleep(1.1)
    r.reconcile(SUBMISSION_MAX_AGE_SECONDS="1", RESULT_MAX_AGE_SECONDS="1", **AT_ONCE)
    r.keep("failed_never_accepted", "failed")

    for name in ("expired", "webhook_expired", "generated_late"):
        r.publish(name, "submitted")
    r.keep("expired", "expired")
    r.keep("webhook_expired", "expired")
    r.deliver("webhook_expired", 204)

    r.deliver("generated_late", 204)  # about the expiry
    r.callback("generated_late", IMAGE)
    r.keep("generated_late", "generated")


def deleted_tasks(r: Recorder) -> None:
    succeed(r, "deleting", IMAGE)
    with r.throttled("DeleteObject"):
        r.delete("deleting", fails=True)
    r.keep("deleting", "deleting")

    succeed(r, "deleted", IMAGE)
    r.delete("deleted")
    r.keep("deleted", "deleted")


def rejected_orders(r: Recorder) -> None:
    r.receive("submit_queued", {**ORDER, "size": "1x1", "style": "cubist"})
    r.receive("submit_queued", {**ORDER, "idempotency_key": "queued_order", "prompt": "Another prompt"})
    r.receive("submit_queued", {**ORDER, "idempotency_key": "deleted"})


SCENARIOS = (open_tasks, generated_tasks, outcomes, webhooks, too_old, deleted_tasks, rejected_orders)


def record(functions: Functions) -> Recording:
    """Every file but the responses, by name."""
    with Receiver() as receiver:
        recorder = Recorder(functions, receiver)
        recorder.table.clear()
        for scenario in SCENARIOS:
            scenario(recorder)
        recorder.table.clear()
    return _recording(recorder)


def _recording(recorder: Recorder) -> Recording:
    """Normalized for each task by itself. Its number follows from its name, so that a new scenario moves no other."""
    files: Recording = {"items": {}, "messages": {}, "events": [], "webhooks": []}
    numbers = {name: zlib.crc32(name.encode()) % 10_000 for name in recorder.kept}
    assert len(set(numbers.values())) == len(numbers), "two names have one number: choose another name"
    for name, item in recorder.kept.items():
        lists = (recorder.messages, recorder.events, recorder.webhooks)
        found = [item, *(recorder.sent(entries, name) for entries in lists)]
        files["items"][name], messages, events, webhooks = normalized(found, numbers[name], recorder.hosts)
        for message in messages:
            files["messages"].setdefault(message["queue"], []).append(_about(name, message))
        files["events"] += [_about(name, event) for event in events]
        files["webhooks"] += [_about(name, webhook) for webhook in webhooks]
    rejections = [event for event in recorder.events if event["task_id"] is None]
    files["events"] += [_about(None, normalized(event, 0, recorder.hosts)) for event in rejections]
    return files


def _about(name: str | None, entry: dict[str, Any]) -> dict[str, Any]:
    return {"about": name} | {key: value for key, value in entry.items() if key not in {"task_id", "queue"}}


def main(version: str) -> None:
    with Stack(functions=False) as stack, pytest.MonkeyPatch.context() as patch:
        functions = OneProcess(stack, patch)
        found = record(functions)
        found["responses"] = responses(functions, found["items"])
    found["messages"] = {queue: distinct(entries) for queue, entries in found["messages"].items()}
    found |= {name: distinct(found[name]) for name in ("events", "webhooks")}
    for name, content in found.items():
        (VERSIONS / version / f"{name}.json").write_text(written(content) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
