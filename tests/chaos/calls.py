"""Parses the functions' calls to AWS from their HTTP requests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WORKER = re.compile(r"app/((\w+)-[0-9a-f]+)")
_QUEUES = re.compile(r"(Submission|Archive|Webhook)Queue")
READS = {"GetItem", "Query", "GetSecretValue"}


@dataclass(frozen=True)
class Call:
    worker: str  # the name of the function's process
    function: str
    service: str
    operation: str  # followed by the queue's name when sending to a queue
    invocation: str  # the same for all tries of one SDK call
    task_id: str | None
    prompt: str | None = None

    @property
    def call_site(self) -> str:
        """Approximates the line of code that makes the call."""
        return f"{self.function} {self.operation}"

    @property
    def is_write(self) -> bool:
        return self.operation not in READS


def parse_call(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call | None:
    """None if the request does not come from a function."""
    worker = _WORKER.search(headers.get("user-agent", ""))
    if worker is None:
        return None
    service, operation, fields = parse_operation(method, headers, body)
    return Call(
        worker=worker[1],
        function=worker[2],
        service=service,
        operation=operation,
        invocation=headers.get("amz-sdk-invocation-id", ""),
        task_id=_task_id(operation, fields, path),
        prompt=fields.get("Item", {}).get("prompt", {}).get("S"),
    )


def parse_operation(method: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str, dict[str, Any]]:
    """The service, the operation (followed by the queue's name when sending to a queue) and its parameters."""
    target = headers.get("x-amz-target", "")
    if not target:
        return "s3", {"PUT": "PutObject", "GET": "GetObject", "DELETE": "DeleteObject"}.get(method, method), {}
    fields = json.loads(body)
    service, _, operation = target.partition(".")
    queue = _QUEUES.search(fields.get("QueueUrl", ""))
    name = f"{operation} {queue[1].lower()}" if queue else operation
    return service.partition("_")[0].lower(), name, fields


def _task_id(operation: str, fields: dict[str, Any], path: str) -> str | None:
    match operation.partition(" ")[0]:
        case "PutItem":
            return str(fields["Item"]["task_id"]["S"])
        case "UpdateItem" | "GetItem":
            return str(fields["Key"]["task_id"]["S"])
        case "SendMessage":
            found = json.loads(fields["MessageBody"]).get("task_id")
        case "PutEvents":
            found = json.loads(fields["Entries"][0]["Detail"]).get("task_id")
        case "PutObject":
            found = path.split("/")[-2]
        case _:
            found = None
    return found if isinstance(found, str) else None
