"""Clients that request images over HTTP with retries, by queue orders and by events, and that send invalid orders."""

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
from tests.chaos.plan import Channel, Plan

TIMEOUT = 40  # seconds; the gateway times out after 29
SHORT_TIMEOUT = 0.4  # seconds
MAX_TRIES = 25
INVALID_ORDER = '{"action": "generate", "owner": "alice", "prompt": "", "size": "7x7"}'


class Clients:
    def __init__(self, stack: Stack, journal: Journal, receiver_url: str) -> None:
        """`receiver_url` is the base of the webhook URLs."""
        self.task_ids: defaultdict[int, set[str]] = defaultdict(set)  # from 202 responses
        self.rejected: dict[int, str] = {}  # requests that never got a 202
        self.invalid_orders = 0
        self._stack, self._journal, self._receiver_url = stack, journal, receiver_url

    def send(self, plan: Plan) -> None:
        match plan.channel:
            case Channel.ORDER:
                self._send_order(plan)
            case Channel.EVENT:
                self._send_event(plan)
            case Channel.HTTP_WITHOUT_KEY:
                self._post(plan, idempotency_key=None)
            case Channel.HTTP:
                self._request(plan)

    def send_invalid_order(self, number: int) -> None:
        """Alternates between the queue and the bus."""
        self.invalid_orders += 1
        if number % 2:
            self._send_message(INVALID_ORDER)
        else:
            self._put_event({**json.loads(INVALID_ORDER), "colour": "red"})

    def _request(self, plan: Plan) -> None:
        """Retry until accepted; some styles repeat an accepted request."""
        if plan.request_style == "concurrent":
            with ThreadPoolExecutor(2) as threads:
                wait([threads.submit(self._post_until_accepted, plan) for _ in range(2)])
            return
        if plan.request_style == "client timeout":
            self._post(plan, plan.idempotency_key, SHORT_TIMEOUT)
        self._post_until_accepted(plan)
        if plan.request_style == "replayed":
            time.sleep(plan.rng.random(plan.number, "replay"))
            self._post_until_accepted(plan)

    def _post_until_accepted(self, plan: Plan) -> None:
        for retry in range(MAX_TRIES):
            if self._post(plan, plan.idempotency_key):
                self.rejected.pop(plan.number, None)
                return
            time.sleep(min(0.1 * 2**retry, 2))

    def _post(self, plan: Plan, idempotency_key: str | None, timeout: float = TIMEOUT) -> bool:
        headers = {"x-api-key": plan.api_key} | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})
        try:
            with requests.Session() as session:
                session.trust_env = False
                url = f"{self._stack.url}/v1/images/generations"
                response = session.post(url, json=plan.request(self._receiver_url), headers=headers, timeout=timeout)
        except requests.RequestException as error:
            self._journal.record(plan.number, "client", type(error).__name__)
            return False
        self._journal.record(plan.number, "client", f"response {response.status_code}")
        if response.status_code != HTTPStatus.ACCEPTED:
            self.rejected[plan.number] = f"{response.status_code} {response.text}"
            return False
        self.task_ids[plan.number].add(response.json()["task_id"])
        return True

    def _send_order(self, plan: Plan) -> None:
        for _ in range(1 + plan.rng.chance(0.3, plan.number, "order twice")):
            self._send_message(json.dumps(self._order(plan)))

    def _send_event(self, plan: Plan) -> None:
        for _ in range(1 + plan.rng.chance(0.3, plan.number, "event twice")):
            self._put_event(self._order(plan))

    def _order(self, plan: Plan) -> dict[str, Any]:
        fields = {"action": "generate", "owner": plan.owner, "idempotency_key": plan.idempotency_key}
        return fields | plan.request(self._receiver_url)

    def _send_message(self, body: str) -> None:
        url = self._stack.deployment.resources["SubmissionQueue"]
        self._stack.client("sqs").send_message(QueueUrl=url, MessageBody=body)

    def _put_event(self, detail: dict[str, Any]) -> None:
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
