"""Who asks for pictures: over HTTP with retries, by orders on the queue, by events on the bus; and nonsense, too."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, wait
from http import HTTPStatus
from typing import Any

import requests

from local.stack import Stack
from tests.chaos.journal import Journal
from tests.chaos.plan import Plan, Way

PATIENCE = 40  # seconds; the gateway's are 29
IMPATIENCE = 0.4
ATTEMPTS = 25
NONSENSE = '{"action": "generate", "owner": "alice", "prompt": "", "size": "7x7"}'


class Clients:
    def __init__(self, stack: Stack, journal: Journal, receivers: str) -> None:
        """`receivers` is where webhooks are taken."""
        self.task_ids: defaultdict[int, set[str]] = defaultdict(set)  # that were answered
        self.refused: dict[int, str] = {}  # requests that never got their 202
        self.nonsense = 0
        self._stack, self._journal, self._receivers = stack, journal, receivers

    def send(self, plan: Plan) -> None:
        match plan.way:
            case Way.ORDER:
                self._put_order(plan)
            case Way.EVENT:
                self._put_event(plan)
            case Way.KEYLESS:
                self._post(plan, key=None)
            case _:
                self._ask(plan)

    def send_nonsense(self, number: int) -> None:
        """An order that must be rejected, and must hold up nobody."""
        self.nonsense += 1
        if number % 2:
            self._send_message(NONSENSE)
        else:
            self._put_events({**json.loads(NONSENSE), "colour": "red"})

    def _ask(self, plan: Plan) -> None:
        """Until there is an answer, and sometimes once more."""
        if plan.request_style == "two at once":
            with ThreadPoolExecutor(2) as threads:
                wait([threads.submit(self._until_accepted, plan) for _ in range(2)])
            return
        if plan.request_style == "impatient":
            self._post(plan, plan.key, IMPATIENCE)
        self._until_accepted(plan)
        if plan.request_style == "replayed":
            time.sleep(plan.dice.roll(plan.number, "replay"))
            self._until_accepted(plan)

    def _until_accepted(self, plan: Plan) -> None:
        for attempt in range(ATTEMPTS):
            if self._post(plan, plan.key):
                self.refused.pop(plan.number, None)
                return
            time.sleep(min(0.1 * 2**attempt, 2))

    def _post(self, plan: Plan, key: str | None, patience: float = PATIENCE) -> bool:
        headers = {"x-api-key": plan.api_key} | ({"Idempotency-Key": key} if key else {})
        try:
            with requests.Session() as session:
                session.trust_env = False
                url = f"{self._stack.url}/v1/images/generations"
                answer = session.post(url, json=plan.request(self._receivers), headers=headers, timeout=patience)
        except requests.RequestException as error:
            self._journal.note(plan.number, "client", type(error).__name__)
            return False
        self._journal.note(plan.number, "client", f"answer {answer.status_code}")
        if answer.status_code != HTTPStatus.ACCEPTED:
            self.refused[plan.number] = f"{answer.status_code} {answer.text}"
            return False
        self.task_ids[plan.number].add(answer.json()["task_id"])
        return True

    def _put_order(self, plan: Plan) -> None:
        for _ in range(1 + plan.dice.chance(0.3, plan.number, "order twice")):
            self._send_message(json.dumps(self._order(plan)))

    def _put_event(self, plan: Plan) -> None:
        for _ in range(1 + plan.dice.chance(0.3, plan.number, "event twice")):
            self._put_events(self._order(plan))

    def _order(self, plan: Plan) -> dict[str, Any]:
        known = {"action": "generate", "owner": plan.owner, "idempotency_key": plan.key}
        return known | plan.request(self._receivers)

    def _send_message(self, body: str) -> None:
        url = self._stack.deployment.resources["SubmissionQueue"]
        self._stack.client("sqs").send_message(QueueUrl=url, MessageBody=body)

    def _put_events(self, detail: dict[str, Any]) -> None:
        self._stack.client("events").put_events(
            Entries=[
                {
                    "Source": "chaos",
                    "DetailType": "Image Requested",
                    "Detail": json.dumps(detail),
                    "EventBusName": self._stack.deployment.functions["publish_changes"].environment["EVENT_BUS"],
                }
            ]
        )
