"""Drives the real handlers against moto, and keeps what they store and send, by the name of the task."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local.providers.acedata import Behaviour
from tests.contract.versions.normalize import normalized
from tests.contract.versions.surroundings import Item, Receiver, TasksTable, about, change, message
from tests.harness import Event, Functions, event, with_body

PROMPT, SIZE, SEED = "A red fox in deep snow", "512x512", 1234567
METADATA = {"order": "7"}
IMAGE, MISSING_IMAGE = "fox.png", "gone.png"  # only the first can be downloaded
CALLBACK_URL = "https://shop.example.com/fluxgate"
CDN = "https://cdn.example.com"
QUEUES = {"SubmissionQueue": "submission", "ArchiveQueue": "archive", "WebhookQueue": "webhook"}

GOOD = Behaviour(callbacks=0, latency=0)
AT_ONCE = {"TIME_SCALE": "1000000"}  # what is stored is due immediately


class RecordingError(Exception):
    """A handler did not do what its scenario expects."""


class Recorder:
    """What clients, the provider, receivers and AWS do to fluxgate; every method invokes one handler.

    A task's idempotency key is its name, so that its id is the same in every recording. Raises RecordingError where a
    handler responds with a failure that the scenario does not expect.
    """

    def __init__(self, functions: Functions, receiver: Receiver) -> None:
        self.functions, self.receiver, self.table = functions, receiver, TasksTable(functions)
        self.kept: dict[str, Item] = {}
        self.messages: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.webhooks: list[dict[str, Any]] = []
        self._ids: dict[str, str] = {}
        self._function = ""
        self._throttled: str | None = None
        self._simulator = functions.simulator
        self._simulator.behaviour = GOOD
        self._simulator.publish(IMAGE, PROMPT, SIZE, SEED)
        self._urls = {functions.stack.deployment.resources[name]: queue for name, queue in QUEUES.items()}
        functions.before_call = self._see
        self.hosts = {self._simulator.public_url: CDN, receiver.url: CALLBACK_URL}

    # ---------------------------------------------------------------- what happens

    def load(self, items: Mapping[str, Item]) -> None:
        """Recorded items replace everything in the table; their image URLs and callback_url lead to this machine."""
        self.table.clear()
        for name, item in items.items():
            self._ids[name] = item["task_id"]["S"]
            self.table.put(self.localized(item))

    def submit(self, name: str, behaviour: Behaviour = GOOD, *, at_once: bool = False, **fields: Any) -> None:
        self._simulator.behave(behaviour)
        body = {"prompt": PROMPT, "size": SIZE, **fields}
        request = with_body(event("submit_task.good_generate"), body, Idempotency_Key=name)
        self._ids[name] = self._http("submit_task", request, at_once=at_once).body["task_id"]

    def order(self, name: str, body: dict[str, Any], sent_by: str, *, fails: bool = False) -> None:
        """A request on the submission queue."""
        before = self.table.items().keys()
        self.receive("submit_queued", body, fails=fails)
        (self._ids[name],) = self.table.items().keys() - before
        self._sent("submission", self._ids[name], sent_by, body)

    def receive(self, function: str, body: object, *, receive_count: int = 1, fails: bool = False) -> None:
        """A message on the function's queue."""
        self._batch(function, message(body, receive_count), fails=fails)

    def requested(self, detail: dict[str, Any]) -> dict[str, Any]:
        """The message that a rule makes of a request on the bus. It is normalized at once: the task's id follows from
        the event's."""
        receive = self.functions.queue("SubmissionQueue")
        bus = self.functions.stack.deployment.functions["submit_queued"].environment["EVENT_BUS"]
        entry = {"Source": "com.example.shop", "DetailType": "Image Requested", "Detail": json.dumps(detail)}
        self.functions.stack.client("events").put_events(Entries=[{**entry, "EventBusName": bus}])
        (envelope,) = [sent for sent in receive() if "detail" in sent]  # beside deferred submissions
        return dict(normalized(envelope, 0, self.hosts))

    def submit_again(self, name: str) -> None:
        self.receive("submit_queued", self.last("submission", name))

    def callback(self, name: str, *images: str, at_once: bool = False) -> None:
        """The provider's callback: a success with these images, a failure without any."""
        sent = [it for it in self._simulator.submissions if self._ids[name] in it.body["callback_url"]][-1]
        provider, task_id, token = sent.body["callback_url"].split("/")[-3:]
        called = event("receive_callback.good_success" if images else "receive_callback.good_failure")
        called["rawPath"] = f"/callbacks/{provider}/{task_id}/{token}"
        called["pathParameters"] = {"provider": provider, "task_id": task_id, "token": token}
        body = {**json.loads(called["body"]), "task_id": sent.task_id}
        if images:
            (datum,) = body["data"]
            urls = [f"{self._simulator.public_url}/images/{image}" for image in images]
            body["data"] = [{**datum, "prompt": PROMPT, "image_url": url, "seed": SEED} for url in urls]
        self._http("receive_callback", {**called, "body": json.dumps(body)}, at_once=at_once)

    def publish(self, name: str, before: str, *, at_once: bool = False) -> None:
        """A record of the stream; then the message that the rule makes of an event with a webhook."""
        receive = self.functions.queue("WebhookQueue")
        put = len(self.events)
        self._batch("publish_changes", change(self.table.items()[self._ids[name]], before), at_once=at_once)
        if any("webhook" in event["detail"] for event in self.events[put:]):
            (envelope,) = receive()
            self._sent("webhook", self._ids[name], "WebhookRule", envelope)

    def archive(self, name: str, receive_count: int = 1, *, fails: bool = False) -> None:
        self.receive("archive_images", self.last("archive", name), receive_count=receive_count, fails=fails)

    def deliver(self, name: str, status: int) -> None:
        """One webhook, to which the receiver responds with `status`."""
        self.table.put({**self.table.items()[self._ids[name]], "callback_url": {"S": self.receiver.url}})
        self.receiver.status = status
        self.receive("deliver_webhook", self.last("webhook", name))
        request = self.receiver.requests[-1]
        webhook = {"id": request.headers["webhook-id"], "headers": sorted(request.headers)}
        self.webhooks.append({"task_id": self._ids[name], **webhook, "body": json.loads(request.body)})

    def resend(self, name: str) -> None:
        self._http("resend_webhook", about("resend_webhook.good_task", self._ids[name]))

    def delete(self, name: str, *, fails: bool = False) -> None:
        self._function = "delete_task"
        status = self.functions.invoke("delete_task", about("delete_task.good_task", self._ids[name]))["statusCode"]
        self._expect((status != 204) == fails, status)

    def reconcile(self, **environment: str) -> None:
        """Whatever is due."""
        self._function = "reconcile_tasks"
        self.functions.invoke("reconcile_tasks", event("reconcile_tasks.good_minute"), **environment)

    @contextmanager
    def throttled(self, operation: str) -> Iterator[None]:
        """AWS refuses an operation."""
        self._throttled = operation
        try:
            yield
        finally:
            self._throttled = None

    # ---------------------------------------------------------------- what is kept

    def keep(self, name: str, status: str) -> None:
        """The task's item, which is `status` now."""
        item = self.table.items()[self._ids[name]]
        self._expect(item["status"]["S"] == status, item["status"])
        self.kept[name] = item

    def localized(self, recorded: Any) -> Any:
        """With the addresses of this machine."""
        text = json.dumps(recorded)
        for local, public in self.hosts.items():
            text = text.replace(public, local)
        return json.loads(text)

    def last(self, queue: str, name: str) -> Any:
        """The body of the last message about a task."""
        return copy.deepcopy(self.sent(self.messages, name, queue=queue)[-1]["body"])

    def sent(self, entries: list[dict[str, Any]], name: str, **facts: str) -> list[dict[str, Any]]:
        """The entries about a task."""
        wanted = {"task_id": self._ids[name], **facts}
        return [entry for entry in entries if wanted.items() <= entry.items()]

    # ---------------------------------------------------------------- the handlers

    def _http(self, function: str, request: Event, *, at_once: bool = False) -> Any:
        self._function = function
        response = self.functions.http(function, request, **(AT_ONCE if at_once else {}))
        self._expect(response.status < 300, response.body)
        return response

    def _batch(self, function: str, batch: Event, *, fails: bool = False, at_once: bool = False) -> None:
        self._function = function
        response = self.functions.invoke(function, batch, **(AT_ONCE if at_once else {}))
        self._expect(bool(response["batchItemFailures"]) == fails, batch)

    def _expect(self, condition: bool, found: object) -> None:
        if not condition:
            raise RecordingError(f"{self._function}: {found}")

    def _see(self, model: Any, params: Any, **_: Any) -> Any:
        """A botocore `before-call` handler: what it returns, if anything, is the call's response."""
        if model.name == self._throttled:
            error = {"Code": "ThrottlingException", "Message": "Rate exceeded"}
            response = type("Response", (), {"status_code": 400, "headers": {}, "content": b""})()
            return response, {"Error": error, "ResponseMetadata": {}}
        if model.name == "SendMessage":
            call = json.loads(params["body"])
            body = json.loads(call["MessageBody"])
            self._sent(self._urls[call["QueueUrl"]], body["task_id"], self._function, body)
        if model.name == "PutEvents":
            (entry,) = json.loads(params["body"])["Entries"]
            detail = json.loads(entry["Detail"])
            put = {"source": entry["Source"], "detail_type": entry["DetailType"], "detail": detail}
            self.events.append({"task_id": detail.get("task_id"), **put})
        return None

    def _sent(self, queue: str, task_id: str, sent_by: str, body: object) -> None:
        self.messages.append({"queue": queue, "task_id": task_id, "sent_by": sent_by, "body": body})
