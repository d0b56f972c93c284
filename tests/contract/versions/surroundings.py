"""Where the recorded handlers run: one process, the tasks table, a webhook receiver, and the events they get."""

from __future__ import annotations

import json
import re
from typing import Any, Self, cast

import pytest

from local.providers.listener import HttpRequest, HttpResponse, Listener
from local.stack import Stack
from tests.harness import Event, Functions, event

MESSAGE_ID = "00000000-0000-4000-8000-000000000000"  # of every message that a handler receives

Item = dict[str, Any]  # as DynamoDB's API has it: {"S": …}, {"N": …}


class OneProcess(Functions):
    """All functions warm in one process, with every permission: new clients for each invocation would double the time.
    Logs are not captured."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(stack, monkeypatch, cast("Any", None))
        iam, name = stack.client("iam"), "recorder"
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(everything))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self._shared = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self._shared |= {"AWS_SESSION_TOKEN": ""}
        for function in stack.deployment.functions.values():
            self._shared |= function.environment
        self._entered: dict[str, str] | None = None

    def invoke(self, function: str, event: Event, **environment: str) -> Any:
        if environment == self._entered:
            return self.invoke_warm(function, event)
        self._entered = environment
        return super().invoke(function, event, **self._shared | environment)


class Receiver:
    """A webhook receiver that responds with `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.requests: list[HttpRequest] = []
        self._listener = Listener(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.port}/fluxgate"

    def _serve(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(self.status, "text/plain", b"")

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


class TasksTable:
    """Direct access to the items, without fluxgate's code."""

    def __init__(self, functions: Functions) -> None:
        self._dynamodb = functions.stack.client("dynamodb")
        self._name = functions.stack.deployment.resources["TasksTable"]

    def items(self) -> dict[str, Item]:
        return {item["task_id"]["S"]: item for item in self._dynamodb.scan(TableName=self._name)["Items"]}

    def put(self, item: Item) -> None:
        self._dynamodb.put_item(TableName=self._name, Item=item)

    def clear(self) -> None:
        for task_id in self.items():
            self._dynamodb.delete_item(TableName=self._name, Key={"task_id": {"S": task_id}})


def message(body: object, receive_count: int = 1) -> Event:
    """The event of a message on any queue."""
    sent = event("submit_queued.good_order")
    (record,) = sent["Records"]
    record |= {"messageId": MESSAGE_ID, "body": json.dumps(body)}
    record["attributes"]["ApproximateReceiveCount"] = str(receive_count)
    return sent


def change(item: Item, before: str) -> Event:
    """The stream's event about an item whose status was `before`."""
    sent = event("publish_changes.good_generated")
    sent["Records"][0]["dynamodb"] |= {"NewImage": item, "OldImage": {**item, "status": {"S": before}}}
    return sent


def about(case: str, task_id: str) -> Event:
    """An event of a route with a task id, about this task."""
    request = event(case)
    request["path"] = re.sub(r"[0-9a-f-]{36}", task_id, request["path"])
    request["pathParameters"] = {"task_id": task_id}
    return request
