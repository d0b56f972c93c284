"""One run: start the stack, send requests while faults are injected, wait until idle, collect evidence, check it."""

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
from tests.chaos.checks import Evidence, all_checks, is_overdue
from tests.chaos.clients import Clients
from tests.chaos.faults import FaultSelector
from tests.chaos.journal import Journal
from tests.chaos.observer import TERMINAL, Item, Observer, task_histories
from tests.chaos.plan import ARCHIVE_MAX_AGE, FAILING_RECEIVERS, OWNERS, RESULT_MAX_AGE, SUBMISSION_MAX_AGE, Plan
from tests.chaos.provider import FaultyProvider
from tests.chaos.proxy import AwsProxy
from tests.chaos.random_source import RandomSource
from tests.chaos.receivers import Receivers

TIME_SCALE = 30  # a minute takes two seconds
OUTAGE = 4.0  # seconds, which stand for two minutes
SHORT_OUTAGE = 0.4  # seconds
SHORT_OUTAGE_RATE = 0.02  # per task
INVALID_ORDER_RATE = 0.03  # per task
MAX_IN_FLIGHT = 140  # tasks; sending pauses above it
MAX_PAUSE = 3  # seconds
SENDERS = 12
PROGRESS_INTERVAL = 15  # seconds
POLL_INTERVAL = 1  # seconds
IDLE_TIMEOUT = 150  # seconds after fault injection ends
PARAMETERS = {
    "SubmissionMaxAgeSeconds": str(SUBMISSION_MAX_AGE),
    "ResultMaxAgeSeconds": str(RESULT_MAX_AGE),
    "ArchiveMaxAgeSeconds": str(ARCHIVE_MAX_AGE),
    "SubmissionConcurrency": "6",
}
# Seconds until a message is received again after its function was killed.
VISIBILITY_TIMEOUTS = {"SubmissionQueue": 12, "ArchiveQueue": 5, "WebhookQueue": 6}


@dataclass(frozen=True)
class Settings:
    tasks: int
    seed: int
    listing: bool


def run(settings: Settings) -> int:
    """The exit code: 1 if a check failed."""
    chaos = ChaosRun(settings)
    with chaos:
        evidence = chaos.run()
    results = all_checks(evidence)
    report.print_distributions(evidence, chaos.stack.logs)
    report.print_results(evidence, results, chaos.seconds)
    return 1 if any(result.violations for result in results) else 0


class ChaosRun:
    """The stack with faulty provider, AWS proxy, receivers and clients. A context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rng = RandomSource(settings.seed)
        self.plans = {number: Plan(number, self._rng) for number in range(1, settings.tasks + 1)}
        self.journal = Journal()
        self._announced: set[int] = set()
        self._selector = FaultSelector(self._rng, self.journal, active=False)
        self.proxy = AwsProxy(self.journal, self._selector)
        kill = self.proxy.kill_caller
        self.provider = FaultyProvider(self._rng, self.journal, listing=settings.listing, kill=kill)
        self.receivers = Receivers(self._rng, self.journal, kill)
        self.stack = Stack(
            simulator=self.provider,
            api_keys=OWNERS,
            parameters=PARAMETERS,
            change=_shorten_visibility_timeouts,
            time_scale=TIME_SCALE,
            aws_proxy=self.proxy.forward_to,
        )

    def __enter__(self) -> None:
        with ExitStack() as parts:
            parts.enter_context(self.receivers)
            parts.enter_context(self.proxy)
            parts.enter_context(self.stack)
            self._parts = parts.pop_all()
        self.proxy.kill = self.stack.runtime.kill
        self.stack.logs.watch(self._record_log_line)
        self.observer = Observer(self.stack)
        self.clients = Clients(self.stack, self.journal, self.receivers.url)
        self.receivers.secrets = {owner: _webhook_secret(self.stack.url, key) for key, owner in OWNERS.items()}

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def run(self) -> Evidence:
        started = time.monotonic()
        self._selector.active = True
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="client") as threads:
            sending = [threads.submit(self._send, plan) for plan in self.plans.values()]
            while wait(sending, timeout=POLL_INTERVAL).not_done:
                self.observer.receive_events()
        for sent in sending:
            sent.result()
        print(f"{time.monotonic() - started:5.0f} s  all requests sent", flush=True)
        time.sleep(2 + self._settings.tasks / 40)  # injects faults into the processing too
        self._selector.active = self.provider.active = False
        print(f"{time.monotonic() - started:5.0f} s  fault injection ended", flush=True)
        self._wait_until_idle()
        self.seconds = time.monotonic() - started
        print(f"{self.seconds:5.0f} s  collecting evidence", flush=True)
        return self._collect_evidence()

    def _send(self, plan: Plan) -> None:
        if plan.number == max(len(self.plans) * 45 // 100, 1):
            self._start_outage(plan.number, OUTAGE)
        elif self._rng.chance(SHORT_OUTAGE_RATE, plan.number, "short outage"):
            self._start_outage(plan.number, SHORT_OUTAGE)
        self._limit_in_flight(plan.number)
        if self._rng.chance(INVALID_ORDER_RATE, plan.number, "invalid order"):
            self.clients.send_invalid_order(plan.number)
        self.clients.send(plan)

    def _limit_in_flight(self, number: int) -> None:
        """Keep a slow machine from expiring every task. The pause is limited because some tasks are slow by plan."""
        deadline = time.monotonic() + MAX_PAUSE
        while number - len(self._announced) > MAX_IN_FLIGHT and time.monotonic() < deadline:
            time.sleep(0.1)

    def _start_outage(self, number: int, seconds: float) -> None:
        self.journal.record_fault(f"provider offline for {seconds} s", number)
        Thread(target=self.provider.go_offline, args=(seconds,), daemon=True).start()
        time.sleep(0.05)  # most submissions of this task then meet the outage

    def _wait_until_idle(self) -> None:
        """Idle means: no open or overdue task and no queued message, twice in a row."""
        deadline = time.monotonic() + IDLE_TIMEOUT
        idle_polls, reported_at = 0, 0.0
        while idle_polls < 2 and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
            self._observed_at, self._queued = datetime.now(UTC), self.observer.queued_messages()
            self.observer.read_stream()
            self.observer.receive_events()
            pending = sum(map(self._is_pending, self.observer.items.values()))
            idle = self.provider.idle and not self._queued and not pending
            idle_polls = idle_polls + 1 if idle else 0
            if time.monotonic() > reported_at + PROGRESS_INTERVAL:
                reported_at = time.monotonic()
                print(f"         {pending} tasks pending; queued messages: {dict(self._queued) or 'none'}", flush=True)

    def _is_pending(self, item: Item) -> bool:
        if item["status"] not in TERMINAL or item.get("announced") != item["status"]:
            return True
        if is_overdue(item, self._observed_at):
            return True
        plan = self.plans.get(self.journal.number_of(item["task_id"]) or -1)
        if plan is None or plan.receiver == "none" or plan.receiver in FAILING_RECEIVERS:
            return False
        delivery = item.get("delivery", {})
        return (delivery.get("outcome"), delivery.get("state")) != (item["status"], "delivered")

    def _collect_evidence(self) -> Evidence:
        self.observer.receive_events()
        items = dict(self.observer.items)
        keys = [image["key"] for item in items.values() for image in item.get("images", []) if "key" in image]
        return Evidence(
            plans=self.plans,
            journal=self.journal,
            clients=self.clients,
            provider=self.provider,
            receivers=self.receivers,
            items=items,
            histories=task_histories(self.observer.changes, self.journal),
            images={key: content for key in keys if (content := self.observer.stored_image(key)) is not None},
            queued=self._queued,
            observed_at=self._observed_at,
            dead_letters=self.observer.dead_letters(),
            failed_changes=self.observer.failed_changes(),
            events=self.observer.events,
            listing=self._settings.listing,
        )

    def _record_log_line(self, line: LogLine) -> None:
        """Add a function's log messages about a task to its history."""
        record = line.record
        if record and "message" in record and (number := self.journal.number_of(record.get("task_id"))) is not None:
            fields = {name: record[name] for name in ("reason", "error", "code", "status") if name in record}
            if record["message"] == "Outcome announced":
                self._announced.add(number)
            self.journal.record(number, line.function, f"{record['message']} {fields or ''}".rstrip())


def _webhook_secret(url: str, key: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        return str(session.get(f"{url}/v1/webhook-secret", headers={"x-api-key": key}, timeout=60).json()["secret"])


def _shorten_visibility_timeouts(template: Template) -> None:
    for queue, seconds in VISIBILITY_TIMEOUTS.items():
        template["Resources"][queue]["Properties"]["VisibilityTimeout"] = seconds
