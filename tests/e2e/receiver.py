"""A receiver of webhooks, and a listener on the event bus."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

from local.providers.listener import HttpRequest, HttpResponse, Listener
from local.stack import Stack


@dataclass(frozen=True)
class Message:
    path: str
    headers: dict[str, str]  # lower-case names
    body: bytes
    status: int  # of the response

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def task(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["data"])


class Receiver:
    """Responds with 204. Paths that begin with /failing/N/ respond with 500 to the first N messages."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._listener = Listener(self._serve, "127.0.0.1", 0)
        self._received: Counter[str] = Counter()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._listener.port}{path}"

    def at(self, path: str) -> list[Message]:
        return [message for message in self.messages if message.path == path]

    def _serve(self, request: HttpRequest) -> HttpResponse:
        self._received[request.path] += 1
        _, kind, number, *_ = [*request.path.split("/"), "", ""]
        status = 500 if kind == "failing" and self._received[request.path] <= int(number) else 204
        self.messages.append(Message(request.path, request.headers, request.body, status))
        return HttpResponse(status, "text/plain", b"")

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


class Bus:
    """Every event on the stack's bus, by a rule with a queue."""

    def __init__(self, stack: Stack) -> None:
        self._sqs, events = stack.client("sqs"), stack.client("events")
        self._queue = self._sqs.create_queue(QueueName="all-events")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        self.name = stack.deployment.functions["publish_changes"].environment["EVENT_BUS"]
        pattern = json.dumps({"source": [{"prefix": ""}]})
        events.put_rule(Name="all-events", EventBusName=self.name, EventPattern=pattern)
        target = {"Id": "all-events", "Arn": attributes["QueueArn"]}
        events.put_targets(Rule="all-events", EventBusName=self.name, Targets=[target])
        self._events: list[dict[str, Any]] = []

    def events(self, detail_type: str) -> list[dict[str, Any]]:
        """The details of all events of a type so far."""
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._events.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return [event["detail"] for event in self._events if event["detail-type"] == detail_type]
