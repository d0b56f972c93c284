"""The five properties: what is looked at, what may be an exception, what breaks them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from local.providers.acedata import Task
from tests.chaos.clients import Clients
from tests.chaos.evidence import Item, Life
from tests.chaos.journal import Journal
from tests.chaos.plan import DEAD_PICTURES, DEAD_RECEIVERS, Plan, Way, number_in
from tests.chaos.provider import ChaoticProvider
from tests.chaos.receivers import Receivers

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
REPAIRED_WITHIN = timedelta(seconds=8)  # of being due: a few rounds of the reconciler's
LATE = {("expired", "succeeded"), ("failed", "succeeded")}


@dataclass
class Verdict:
    name: str
    looked_at: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[int | None, str]] = field(default_factory=list)

    def demand(self, met: object, number: int | None, what: str) -> None:
        if not met:
            self.breaks(number, what)

    def breaks(self, number: int | None, what: str) -> None:
        self.broken.append((number, what))


@dataclass(frozen=True)
class Evidence:
    plans: dict[int, Plan]
    journal: Journal
    clients: Clients
    provider: ChaoticProvider
    receivers: Receivers
    items: dict[str, Item]
    lives: dict[str, Life]
    bucket: dict[str, bytes]
    waiting: Counter[str]
    moment: datetime  # of looking at items and queues
    dead_letters: list[str]
    set_aside: list[str]
    events: list[dict[str, Any]]
    listing: bool

    def plan(self, task_id: str) -> Plan | None:
        return self.plans.get(self.journal.number(task_id) or -1)


def all_checks(evidence: Evidence) -> list[Verdict]:
    return [check(evidence) for check in (bought_once, nothing_lost, nothing_left, told_once, ended_once)]


def bought_once(found: Evidence) -> Verdict:
    verdict = Verdict("1 accepted submissions per task: at most 1")
    bought = Counter(number_in(task.request.get("prompt")) for task in found.provider.tasks)
    stored: defaultdict[int | None, set[str]] = defaultdict(set)
    for task_id, item in found.items.items():
        stored[number_in(item["prompt"])].add(task_id)
    for number in found.plans:
        verdict.looked_at += 1
        verdict.demand(bought[number] <= 1, number, f"bought {bought[number]} times")
        ids = stored[number] | found.clients.task_ids[number]
        verdict.demand(len(ids) <= 1, number, f"one request became the tasks {sorted(ids)}")
    return verdict


def nothing_lost(found: Evidence) -> Verdict:
    verdict = Verdict("2 every picture made: stored byte for byte, or said not to be")
    for made in found.provider.tasks:
        task_id = str(made.request["callback_url"]).split("/")[-2]
        item = found.items.get(task_id, {"status": "unknown"})
        number = number_in(made.request.get("prompt"))
        verdict.looked_at += len(made.images)
        if item["status"] == "succeeded":
            _stored(found, verdict, made, item)
        elif made.images and _untraceable(found, made, item):
            verdict.exceptions["answer and callback lost, not listed"] += len(made.images)
        else:
            verdict.demand(not made.images, number, f"{len(made.images)} pictures, but the task is {item['status']}")
    return verdict


def _stored(found: Evidence, verdict: Verdict, made: Task, item: Item) -> None:
    number = number_in(made.request.get("prompt"))
    by_url = {str(image["source_url"]): image for image in item.get("images", [])}
    for picture in made.images:
        image = by_url.get(f"{found.provider.public_url}/images/{picture.name}", {})
        if key := image.get("key"):
            verdict.demand(found.bucket.get(key) == picture.content, number, f"{key} is not the picture")
        elif number is not None and found.plans[number].pictures in DEAD_PICTURES and image:
            verdict.exceptions["URL had died"] += 1
        else:
            verdict.breaks(number, f"{picture.name} is not stored, though its URL lives")


def _untraceable(found: Evidence, made: Task, item: Item) -> bool:
    """DESIGN's exception to promise 2."""
    unknown = item["status"] == "expired" and "provider_task_id" not in item
    return unknown and not found.listing and not found.provider.messenger.heard(made.id)


def nothing_left(found: Evidence) -> Verdict:
    verdict = Verdict("3 nothing is open, due or queued that must not be")
    for task_id, item in found.items.items():
        verdict.looked_at += 1
        number, plan = found.journal.number(task_id), found.plan(task_id)
        verdict.demand(item["status"] in {"succeeded", "failed", "expired"}, number, f"still {item['status']}")
        if "due_at" in item:
            reason = _reason_to_be_due(item, plan)
            overdue = found.moment - datetime.fromisoformat(item["due_at"]) > REPAIRED_WITHIN
            verdict.exceptions[f"due: {reason}"] += 1
            verdict.demand(reason is not None, number, f"due at {item['due_at']}, which nobody knows why")
            verdict.demand(not overdue, number, f"due since {item['due_at']}")
    for queue, count in found.waiting.items():
        verdict.breaks(None, f"{count} messages in {queue}")
    for kind, letters in (("dead letter", found.dead_letters), ("change set aside", found.set_aside)):
        for letter in letters:
            _account_for(found, verdict, kind, letter)
    for number, plan in found.plans.items():
        stored = any(known == number for known in found.journal.numbers.values())
        verdict.demand(stored or plan.way is Way.KEYLESS, number, f"no task; {found.clients.refused.get(number)}")
    return verdict


def _reason_to_be_due(item: Item, plan: Plan | None) -> str | None:
    pending = item.get("delivery", {}).get("state") == "pending"
    if pending and plan and plan.receiver in DEAD_RECEIVERS:
        return "its receiver is dead"
    return "an expired task is asked about" if item["status"] == "expired" else None


def _account_for(found: Evidence, verdict: Verdict, kind: str, letter: str) -> None:
    """Its task has come to its end all the same."""
    ids = [task_id for task_id in set(_UUID.findall(letter)) if task_id in found.items]
    verdict.exceptions[f"{kind}, its task has ended"] += 1
    ended = bool(ids) and all(found.lives[task_id].outcomes for task_id in ids)
    verdict.demand(ended, found.journal.number(ids[0]) if ids else None, f"{kind}: {letter[:300]}")


def told_once(found: Evidence) -> Verdict:
    verdict = Verdict("4 one id per outcome; an event; a signed webhook for each that works")
    heard = Counter(str(event["detail"]["id"]) for event in found.events if event["detail-type"].startswith("Task "))
    deliveries = found.receivers.deliveries
    tried = Counter(delivery.webhook_id for delivery in deliveries)
    delivered = Counter(delivery.webhook_id for delivery in deliveries if delivery.status == 204)
    for delivery in deliveries:
        verdict.demand(delivery.fault is None, delivery.number, f"{delivery.webhook_id}: {delivery.fault}")
    expected = {f"{task_id}.{outcome}" for task_id, life in found.lives.items() for outcome in life.outcomes}
    for name in expected:
        verdict.looked_at += 1
        task_id, _, outcome = name.partition(".")
        number, plan = found.journal.number(task_id), found.plan(task_id)
        verdict.demand(heard[name], number, f"no event {name}")
        reached = tried if plan and plan.receiver in DEAD_RECEIVERS else delivered
        if plan is None or plan.receiver == "none" or reached[name]:
            continue
        if outcome != found.lives[task_id].outcomes[-1]:
            verdict.exceptions["webhook overtaken by the late success"] += 1
        else:
            verdict.breaks(number, f"no webhook {name}")
    for name in (heard.keys() | tried.keys()) - expected:
        verdict.breaks(found.journal.number(name.partition(".")[0]), f"news of what never was: {name}")
    verdict.exceptions["repeated events"] += sum(heard.values()) - len(heard)
    verdict.exceptions["repeated deliveries"] += sum(delivered.values()) - len(delivered)
    _others(found, verdict)
    return verdict


def _others(found: Evidence, verdict: Verdict) -> None:
    verdict.demand(not found.receivers.followed, None, f"{found.receivers.followed} redirects were followed")
    rejected = sum(event["detail-type"] == "Image Request Rejected" for event in found.events)
    verdict.exceptions["bad orders rejected"] += rejected
    verdict.demand(
        rejected >= found.clients.nonsense, None, f"{found.clients.nonsense} bad orders, {rejected} rejected"
    )


def ended_once(found: Evidence) -> Verdict:
    verdict = Verdict("5 no outcome changes, but expired or failed by a late success")
    verdict.exceptions["forged callbacks refused"] += len(found.provider.messenger.forgeries)
    verdict.demand(200 not in found.provider.messenger.forgeries, None, "a forged callback was taken")
    for task_id, life in found.lives.items():
        verdict.looked_at += 1
        number, outcomes = found.journal.number(task_id), life.outcomes
        for before, after in pairwise(outcomes):
            verdict.exceptions[f"{before}, then {after}"] += 1
            verdict.demand((before, after) in LATE, number, f"{before} became {after}")
        if life.outcomes and life.outcomes[-1] == "succeeded":
            final = [state for state in life.states if state["status"] == "succeeded"][-1]
            verdict.demand(final["images"] == life.latest.get("images"), number, "images changed after the end")
    return verdict
