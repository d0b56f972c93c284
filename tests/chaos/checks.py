"""Checks fluxgate's five guarantees against the evidence of a run: counts, permitted exceptions, violations."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from local.providers.acedata import Task
from tests.chaos.clients import Clients
from tests.chaos.journal import Journal
from tests.chaos.observer import TERMINAL, Item, TaskHistory
from tests.chaos.plan import FAILING_RECEIVERS, UNAVAILABLE_IMAGES, Channel, Plan, number_in
from tests.chaos.provider import FaultyProvider
from tests.chaos.receivers import Receivers

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
MAX_OVERDUE = timedelta(seconds=8)  # a few passes of the reconciler
LATE_SUCCESSES = {("expired", "succeeded"), ("failed", "succeeded")}


@dataclass
class CheckResult:
    name: str
    checked: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int | None, str]] = field(default_factory=list)  # with the task's number

    def require(self, condition: object, number: int | None, violation: str) -> None:
        if not condition:
            self.violate(number, violation)

    def violate(self, number: int | None, violation: str) -> None:
        self.violations.append((number, violation))


@dataclass(frozen=True)
class Evidence:
    plans: dict[int, Plan]
    journal: Journal
    clients: Clients
    provider: FaultyProvider
    receivers: Receivers
    items: dict[str, Item]
    histories: dict[str, TaskHistory]
    images: dict[str, bytes]  # stored images by key
    queued: Counter[str]
    observed_at: datetime  # of items and queues
    dead_letters: list[str]
    failed_changes: list[str]
    events: list[dict[str, Any]]
    listing: bool

    def plan(self, task_id: str) -> Plan | None:
        return self.plans.get(self.journal.number_of(task_id) or -1)


def all_checks(evidence: Evidence) -> list[CheckResult]:
    checks = (submitted_at_most_once, no_image_lost, no_work_left, outcomes_notified, outcomes_final)
    return [check(evidence) for check in checks]


def submitted_at_most_once(evidence: Evidence) -> CheckResult:
    result = CheckResult("1 each request is submitted at most once")
    accepted = Counter(number_in(task.request.get("prompt")) for task in evidence.provider.tasks)
    stored: defaultdict[int | None, set[str]] = defaultdict(set)
    for task_id, item in evidence.items.items():
        stored[number_in(item["prompt"])].add(task_id)
    for number in evidence.plans:
        result.checked += 1
        result.require(accepted[number] <= 1, number, f"accepted {accepted[number]} times")
        ids = stored[number] | evidence.clients.task_ids[number]
        result.require(len(ids) <= 1, number, f"one request created the tasks {sorted(ids)}")
    return result


def no_image_lost(evidence: Evidence) -> CheckResult:
    result = CheckResult("2 each generated image is stored unchanged, or reported as unavailable")
    for task in evidence.provider.tasks:
        task_id = str(task.request["callback_url"]).split("/")[-2]
        item = evidence.items.get(task_id, {"status": "unknown"})
        number = number_in(task.request.get("prompt"))
        result.checked += len(task.images)
        if item["status"] == "succeeded":
            _check_images(evidence, result, task, item)
        elif task.images and _is_untraceable(evidence, task, item):
            result.exceptions["response and callback lost, not listed"] += len(task.images)
        else:
            result.require(not task.images, number, f"{len(task.images)} images, but the task is {item['status']}")
    return result


def _check_images(evidence: Evidence, result: CheckResult, task: Task, item: Item) -> None:
    number = number_in(task.request.get("prompt"))
    by_url = {str(entry["source_url"]): entry for entry in item.get("images", [])}
    for image in task.images:
        entry = by_url.get(f"{evidence.provider.public_url}/images/{image.name}", {})
        if key := entry.get("key"):
            result.require(evidence.images.get(key) == image.content, number, f"{key} differs from the image")
        elif number is not None and evidence.plans[number].images in UNAVAILABLE_IMAGES and entry:
            result.exceptions["image no longer available"] += 1
        else:
            result.violate(number, f"{image.name} is available but not stored")


def _is_untraceable(evidence: Evidence, task: Task, item: Item) -> bool:
    """The documented exception: response and callback were lost, and the provider cannot list the task."""
    unknown = item["status"] == "expired" and "provider_task_id" not in item
    return unknown and not evidence.listing and not evidence.provider.callback_sender.has_delivered_result(task.id)


def no_work_left(evidence: Evidence) -> CheckResult:
    result = CheckResult("3 no task is open or due without a reason, no queue holds messages")
    for task_id, item in evidence.items.items():
        result.checked += 1
        number, plan = evidence.journal.number_of(task_id), evidence.plan(task_id)
        result.require(item["status"] in TERMINAL, number, f"still {item['status']}")
        if "due_at" in item:
            reason = _reason_to_be_due(item, plan)
            result.exceptions[f"due: {reason}"] += 1
            result.require(reason is not None, number, f"due at {item['due_at']} without a reason")
            result.require(not is_overdue(item, evidence.observed_at), number, f"due since {item['due_at']}")
    for queue, count in evidence.queued.items():
        result.violate(None, f"{count} messages in {queue}")
    for kind, messages in (("dead letter", evidence.dead_letters), ("failed change", evidence.failed_changes)):
        for message in messages:
            _check_abandoned(evidence, result, kind, message)
    for number, plan in evidence.plans.items():
        stored = any(known == number for known in evidence.journal.numbers.values())
        result.require(
            stored or plan.channel is Channel.HTTP_WITHOUT_KEY,
            number,
            f"no task; {evidence.clients.rejected.get(number)}",
        )
    return result


def is_overdue(item: Item, now: datetime) -> bool:
    return "due_at" in item and now - datetime.fromisoformat(item["due_at"]) > MAX_OVERDUE


def _reason_to_be_due(item: Item, plan: Plan | None) -> str | None:
    pending = item.get("delivery", {}).get("state") == "pending"
    if pending and plan and plan.receiver in FAILING_RECEIVERS:
        return "the receiver fails permanently"
    return "an expired task is still polled" if item["status"] == "expired" else None


def _check_abandoned(evidence: Evidence, result: CheckResult, kind: str, message: str) -> None:
    """An abandoned message is harmless if its task reached an outcome nevertheless."""
    ids = [task_id for task_id in set(_UUID.findall(message)) if task_id in evidence.items]
    result.exceptions[f"{kind}, but its task has an outcome"] += 1
    has_outcome = bool(ids) and all(evidence.histories[task_id].outcomes for task_id in ids)
    result.require(has_outcome, evidence.journal.number_of(ids[0]) if ids else None, f"{kind}: {message[:300]}")


def outcomes_notified(evidence: Evidence) -> CheckResult:
    result = CheckResult("4 each outcome has one id, an event and a signed webhook")
    events = Counter(
        str(event["detail"]["id"]) for event in evidence.events if event["detail-type"].startswith("Task ")
    )
    deliveries = evidence.receivers.deliveries
    tried = Counter(delivery.webhook_id for delivery in deliveries)
    delivered = Counter(delivery.webhook_id for delivery in deliveries if delivery.status == 204)
    for delivery in deliveries:
        result.require(delivery.problem is None, delivery.number, f"{delivery.webhook_id}: {delivery.problem}")
    expected = {
        f"{task_id}.{outcome}" for task_id, history in evidence.histories.items() for outcome in history.outcomes
    }
    for outcome_id in expected:
        result.checked += 1
        task_id, _, outcome = outcome_id.partition(".")
        number, plan = evidence.journal.number_of(task_id), evidence.plan(task_id)
        result.require(events[outcome_id], number, f"no event {outcome_id}")
        received = tried if plan and plan.receiver in FAILING_RECEIVERS else delivered
        if plan is None or plan.receiver == "none" or received[outcome_id]:
            continue
        if outcome != evidence.histories[task_id].outcomes[-1]:
            result.exceptions["webhook superseded by the late success"] += 1
        else:
            result.violate(number, f"no webhook {outcome_id}")
    for outcome_id in (events.keys() | tried.keys()) - expected:
        number = evidence.journal.number_of(outcome_id.partition(".")[0])
        result.violate(number, f"notified of an outcome that did not occur: {outcome_id}")
    result.exceptions["repeated events"] += sum(events.values()) - len(events)
    result.exceptions["repeated deliveries"] += sum(delivered.values()) - len(delivered)
    _check_redirects_and_rejections(evidence, result)
    return result


def _check_redirects_and_rejections(evidence: Evidence, result: CheckResult) -> None:
    redirects, invalid = evidence.receivers.followed_redirects, evidence.clients.invalid_orders
    result.require(not redirects, None, f"{redirects} redirects were followed")
    rejected = sum(event["detail-type"] == "Image Request Rejected" for event in evidence.events)
    result.exceptions["invalid orders rejected"] += rejected
    result.require(rejected >= invalid, None, f"{invalid} invalid orders, {rejected} rejected")


def outcomes_final(evidence: Evidence) -> CheckResult:
    result = CheckResult("5 outcomes are final, except for a late success after expired or failed")
    statuses = evidence.provider.callback_sender.forged_statuses
    result.exceptions["forged callbacks rejected"] += len(statuses)
    result.require(200 not in statuses, None, "a forged callback was accepted")
    for task_id, history in evidence.histories.items():
        result.checked += 1
        number, outcomes = evidence.journal.number_of(task_id), history.outcomes
        for before, after in pairwise(outcomes):
            result.exceptions[f"{before}, then {after}"] += 1
            result.require((before, after) in LATE_SUCCESSES, number, f"{before} became {after}")
        if outcomes and outcomes[-1] == "succeeded":
            final = [item for item in history.transitions if item["status"] == "succeeded"][-1]
            unchanged = final["images"] == history.latest.get("images")
            result.require(unchanged, number, "images changed after the outcome")
    return result
