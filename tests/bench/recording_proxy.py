"""A proxy to AWS and the provider, and a webhook receiver, that record every request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Self
from urllib.parse import urlsplit

from local.stack import LOOPBACK
from tests.bench.capacity import Item, Write, item_bytes, read_units
from tests.chaos.calls import parse_operation
from tests.chaos.forwarding import Address, ForwardingHandler, Response
from tests.chaos.http_server import BackgroundServer

SERVICES = {"amazonsqs": "sqs", "awsevents": "events"}  # usual names by the protocols' names
PROVIDER, IMAGES, RECEIVER = "/flux/", "/images/", "/receiver"
WRITES = {"PutItem", "UpdateItem", "DeleteItem"}


@dataclass(frozen=True)
class Read:
    items: int  # that DynamoDB evaluated, including those that a filter removed
    units: float


NOTHING = Read(0, 0)


@dataclass(frozen=True)
class Call:
    """One request. The SDK's retries count separately."""

    name: str
    status: int
    read: Read = NOTHING
    write: Write | None = None  # None if the write was refused


class RecordingProxy:
    """A context manager."""

    def __init__(self, host: str = LOOPBACK, name: str | None = None) -> None:
        """`name` is this machine's name in containers, if `host` is not the loopback address."""
        self._server = _Server(self, host)
        self.url = f"http://{name or LOOPBACK}:{self._server.server_port}"
        self._calls: list[Call] = []
        self._lock = Lock()
        self.aws: Address = ("", 0)
        self.provider: Address = ("", 0)
        self.read_item: Callable[[str, Item], Item | None] = lambda _table, _key: None
        """Reads an item by table and key, bypassing the proxy."""

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def forward_to(self, endpoint: str) -> str:
        """Set the AWS endpoint; returns the proxy's URL."""
        self.aws = (LOOPBACK, urlsplit(endpoint).port or 80)
        return self.url

    def record(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def drain(self) -> list[Call]:
        """The calls since the last drain."""
        with self._lock:
            drained, self._calls = self._calls, []
        return drained


class _Server(BackgroundServer):
    def __init__(self, proxy: RecordingProxy, host: str) -> None:
        super().__init__(_Handler, "recording-proxy", host)
        self.proxy = proxy


class _Handler(ForwardingHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        body, proxy = self.body(), self.server.proxy
        if self.path.startswith(RECEIVER):
            proxy.record(Call(f"receiver {self.command}", 204))
            self.send((204, [], b""))
        elif self.path.startswith((PROVIDER, IMAGES)):
            response = self.forward(proxy.provider, body)
            proxy.record(Call(_provider_call(self.command, self.path), response[0]))
            self.send(response)
        else:
            self.send(self._forward_to_aws(body))

    def _forward_to_aws(self, body: bytes) -> Response:
        proxy = self.server.proxy
        headers = {name.lower(): value for name, value in self.headers.items()}
        service, action, fields = parse_operation(self.command, headers, body)
        key = _key(action, fields)
        before = proxy.read_item(fields["TableName"], key) if key else None
        response = self.forward(proxy.aws, body)
        accepted = response[0] < 300
        write = Write(before, proxy.read_item(fields["TableName"], key)) if key and accepted else None
        read = _read(action, fields, json.loads(response[2])) if accepted and service == "dynamodb" else NOTHING
        proxy.record(Call(f"{SERVICES.get(service, service)} {action}", response[0], read, write))
        return response


def _provider_call(method: str, path: str) -> str:
    """The name in calls.json."""
    return f"provider {method} {'picture' if path.startswith(IMAGES) else path}"


def _key(action: str, fields: Mapping[str, Any]) -> Item | None:
    if action not in WRITES:
        return None
    return {"task_id": fields["Item"]["task_id"]} if "Item" in fields else dict(fields["Key"])


def _read(action: str, fields: Mapping[str, Any], response: Mapping[str, Any]) -> Read:
    """The units of a filtered query are too low: the response does not contain the items that the filter removed."""
    match action:
        case "GetItem":
            return Read(1, read_units(item_bytes(response.get("Item")), consistent=fields.get("ConsistentRead", False)))
        case "BatchGetItem":
            items = [item for found in response["Responses"].values() for item in found]
            keys = sum(len(table["Keys"]) for table in fields["RequestItems"].values())
            return Read(keys, sum(read_units(item_bytes(item), consistent=True) for item in items))
        case "Query" | "Scan":
            size = sum(item_bytes(item) for item in response["Items"])
            return Read(response["ScannedCount"], read_units(size, consistent=fields.get("ConsistentRead", False)))
    return NOTHING
