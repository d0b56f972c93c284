"""One run: start, send under faults, wait until quiet, look, judge."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread

import requests

from local.stack import Stack
from local.telemetry import LogLine
from local.template import Template
from tests.chaos import report
from tests.chaos.checks import Evidence, all_checks
from tests.chaos.clients import Clients
from tests.chaos.dice import Dice
from tests.chaos.evidence import OUTCOMES, Item, Observer, lives
from tests.chaos.faults import Chooser
from tests.chaos.journal import Journal
from tests.chaos.plan import ARCHIVE_MAX_AGE, DEAD_RECEIVERS, OWNERS, RESULT_MAX_AGE, SUBMISSION_MAX_AGE, Plan
from tests.chaos.provider import ChaoticProvider
from tests.chaos.proxy import Proxy
from tests.chaos.receivers import Receivers

TIME_SCALE = 30  # a minute passes in two seconds
OUTAGE = 4.0  # seconds: two minutes
BLINK = 0.4  # seconds
UNDER_WAY = 140  # tasks at the same time, unless there is no progress for
PATIENCE = 3  # seconds
BLINKS = 0.02  # of the tasks meet one
NONSENSE = 0.03  # bad orders per task
SENDERS = 12
TELL_EVERY = 15  # seconds
LOOK_EVERY = 1  # seconds
QUIET_WITHIN = 150  # seconds after the faults have ended
PARAMETERS = {
    "SubmissionMaxAgeSeconds": str(SUBMISSION_MAX_AGE),
    "ResultMaxAgeSeconds": str(RESULT_MAX_AGE),
    "ArchiveMaxAgeSeconds": str(ARCHIVE_MAX_AGE),
    "SubmissionConcurrency": "6",
}
# Seconds until a message whose function was killed comes again.
VISIBILITY = {"SubmissionQueue": 12, "ArchiveQueue": 5, "WebhookQueue": 6}


@dataclass(frozen=True)
class Settings:
    tasks: int
    seed: int
    listing: bool


def run(settings: Settings) -> int:
    chaos = Chaos(settings)
    with chaos:
        evidence = chaos.run()
    verdicts = all_checks(evidence)
    report.print_proportions(evidence, chaos.stack.logs)
    report.print_verdicts(evidence, verdicts, chaos.seconds)
    return 1 if any(verdict.broken for verdict in verdicts) else 0


class Chaos:
    """The stack and all that is around it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dice = Dice(settings.seed)
        self.plans = {number: Plan(number, self._dice) for number in range(1, settings.tasks + 1)}
        self.journal = Journal()
        self._announced: set[int] = set()
        self._chooser = Chooser(self._dice, self.journal, active=False)
        self.proxy = Proxy(self.journal, self._chooser)
        kill = self.proxy.kill_caller
        self.provider = ChaoticProvider(self._dice, self.journal, listing=settings.listing, kill=kill)
        self.receivers = Receivers(self._dice, self.journal, kill)
        self.stack = Stack(
            simulator=self.provider,
            api_keys=OWNERS,
            parameters=PARAMETERS,
            change=_hasten,
            time_scale=TIME_SCALE,
            aws_proxy=self.proxy.front,
        )

    def __enter__(self) -> None:
        with ExitStack() as parts:
            parts.enter_context(self.receivers)
            parts.enter_context(self.proxy)
            parts.enter_context(self.stack)
            self._parts = parts.pop_all()
        self.proxy.kill = self.stack.runtime.kill
        self.stack.logs.watch(self._keep)
        self.observer = Observer(self.stack)
        self.clients = Clients(self.stack, self.journal, self.receivers.url)
        self.receivers.secrets = {owner: _secret(self.stack.url, key) for key, owner in OWNERS.items()}

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def run(self) -> Evidence:
        started = time.monotonic()
        self._chooser.active = True
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="client") as threads:
            sending = [threads.submit(self._send, plan) for plan in self.plans.values()]
            while wait(sending, timeout=LOOK_EVERY).not_done:
                self.observer.collect()
        for sent in sending:
            sent.result()
        print(f"{time.monotonic() - started:5.0f} s  all sent", flush=True)
        time.sleep(2 + self._settings.tasks / 40)
        self._chooser.active = self.provider.active = False
        print(f"{time.monotonic() - started:5.0f} s  the faults end", flush=True)
        self._wait_until_quiet()
        self.seconds = time.monotonic() - started
        print(f"{self.seconds:5.0f} s  looking", flush=True)
        return self._look()

    def _send(self, plan: Plan) -> None:
        if plan.number == max(len(self.plans) * 45 // 100, 1):
            self._interrupt(plan.number, OUTAGE)
        elif self._dice.chance(BLINKS, plan.number, "blink"):
            self._interrupt(plan.number, BLINK)
        self._wait_for_others(plan.number)
        if self._dice.chance(NONSENSE, plan.number, "nonsense"):
            self.clients.send_nonsense(plan.number)
        self.clients.send(plan)

    def _wait_for_others(self, number: int) -> None:
        """A slow machine must not make everything late: that is another test. But some tasks are slow by plan."""
        deadline = time.monotonic() + PATIENCE
        while number - len(self._announced) > UNDER_WAY and time.monotonic() < deadline:
            time.sleep(0.1)

    def _interrupt(self, number: int, seconds: float) -> None:
        self.journal.fault(f"provider away for {seconds} s", number)
        Thread(target=self.provider.vanish, args=(seconds,), daemon=True).start()
        time.sleep(0.05)

    def _wait_until_quiet(self) -> None:
        deadline = time.monotonic() + QUIET_WITHIN
        quiet, told = 0, 0.0
        while quiet < 2 and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
            self._moment, self._waiting = datetime.now(UTC), self.observer.waiting()
            self.observer.follow()
            self.observer.collect()
            idle = self.provider.idle and not self._waiting
            left = sum(map(self._is_open, self.observer.items.values()))
            quiet = quiet + 1 if idle and not left else 0
            if time.monotonic() > told + TELL_EVERY:
                told = time.monotonic()
                print(f"         {left} tasks are not done; in queues: {dict(self._waiting) or 'nothing'}", flush=True)

    def _is_open(self, item: Item) -> bool:
        if item["status"] not in OUTCOMES or item.get("announced") != item["status"]:
            return True
        plan = self.plans.get(self.journal.number(item["task_id"]) or -1)
        told = plan is None or plan.receiver == "none" or plan.receiver in DEAD_RECEIVERS
        delivery = item.get("delivery", {})
        return not told and (delivery.get("outcome"), delivery.get("state")) != (item["status"], "delivered")

    def _look(self) -> Evidence:
        self.observer.collect()
        items = dict(self.observer.items)
        keys = [image["key"] for item in items.values() for image in item.get("images", []) if "key" in image]
        return Evidence(
            plans=self.plans,
            journal=self.journal,
            clients=self.clients,
            provider=self.provider,
            receivers=self.receivers,
            items=items,
            lives=lives(self.observer.changes, self.journal),
            bucket={key: content for key in keys if (content := self.observer.stored(key)) is not None},
            waiting=self._waiting,
            moment=self._moment,
            dead_letters=self.observer.dead_letters(),
            set_aside=self.observer.set_aside(),
            events=self.observer.events,
            listing=self._settings.listing,
        )

    def _keep(self, line: LogLine) -> None:
        """A function's words about a task belong to its history."""
        record = line.record
        if record and "message" in record and (number := self.journal.number(record.get("task_id"))) is not None:
            facts = {name: record[name] for name in ("reason", "error", "code", "status") if name in record}
            if record["message"] == "Outcome announced":
                self._announced.add(number)
            self.journal.note(number, line.function, f"{record['message']} {facts or ''}".rstrip())


def _secret(url: str, key: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        return str(session.get(f"{url}/v1/webhook-secret", headers={"x-api-key": key}, timeout=60).json()["secret"])


def _hasten(template: Template) -> None:
    for queue, seconds in VISIBILITY.items():
        template["Resources"][queue]["Properties"]["VisibilityTimeout"] = seconds
