"""Stands in front of AWS, the provider and the receiver of webhooks, and keeps every request that passes."""

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

SERVICES = {"amazonsqs": "sqs", "awsevents": "events"}  # as the protocols call them, and as everybody does
PROVIDER, PICTURES, RECEIVER = "/flux/", "/images/", "/receiver"
WRITES = {"PutItem", "UpdateItem", "DeleteItem"}


@dataclass(frozen=True)
class Read:
    items: int  # that DynamoDB looked at, answered or not
    units: float


NOTHING = Read(0, 0)


@dataclass(frozen=True)
class Call:
    """One request, an SDK's repetition included."""

    name: str
    status: int
    read: Read = NOTHING
    write: Write | None = None  # where it was accepted


class Wire:
    """A context manager. `front` is what Stack is given."""

    def __init__(self, host: str = LOOPBACK, name: str | None = None) -> None:
        """`name` is what containers call this machine when `host` is more than loopback."""
        self._server = _Server(self, host)
        self.url = f"http://{name or LOOPBACK}:{self._server.server_port}"
        self._calls: list[Call] = []
        self._lock = Lock()
        self.aws: Address = ("", 0)
        self.provider: Address = ("", 0)
        self.stored: Callable[[str, Item], Item | None] = lambda _table, _key: None
        """What a table has under a key."""

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *fault: object) -> None:
        self._server.__exit__(*fault)

    def front(self, endpoint: str) -> str:
        """See Stack."""
        self.aws = (LOOPBACK, urlsplit(endpoint).port or 80)
        return self.url

    def keep(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def take(self) -> list[Call]:
        """The calls since the last taking."""
        with self._lock:
            taken, self._calls = self._calls, []
        return taken


class _Server(BackgroundServer):
    def __init__(self, wire: Wire, host: str) -> None:
        super().__init__(_Handler, "wire", host)
        self.wire = wire


class _Handler(ForwardingHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        body, wire = self.body(), self.server.wire
        if self.path.startswith(RECEIVER):
            wire.keep(Call(f"receiver {self.command}", 204))
            self.send((204, [], b""))
        elif self.path.startswith((PROVIDER, PICTURES)):
            answer = self.forward(wire.provider, body)
            wire.keep(Call(_at_the_provider(self.command, self.path), answer[0]))
            self.send(answer)
        else:
            self.send(self._pass_to_aws(body))

    def _pass_to_aws(self, body: bytes) -> Response:
        wire = self.server.wire
        service, action, fields = parse_operation(
            self.command, {name.lower(): it for name, it in self.headers.items()}, body
        )
        key = _key(action, fields)
        before = wire.stored(fields["TableName"], key) if key else None
        answer = self.forward(wire.aws, body)
        good = answer[0] < 300
        write = Write(before, wire.stored(fields["TableName"], key)) if key and good else None
        read = _read(action, fields, json.loads(answer[2])) if good and service == "dynamodb" else NOTHING
        wire.keep(Call(f"{SERVICES.get(service, service)} {action}", answer[0], read, write))
        return answer


def _at_the_provider(method: str, path: str) -> str:
    return f"provider {method} {'picture' if path.startswith(PICTURES) else path}"


def _key(action: str, fields: Mapping[str, Any]) -> Item | None:
    if action not in WRITES:
        return None
    return {"task_id": fields["Item"]["task_id"]} if "Item" in fields else dict(fields["Key"])


def _read(action: str, fields: Mapping[str, Any], answer: Mapping[str, Any]) -> Read:
    """The units of a filtered query are those of the items that the filter left: no more of them is on the wire."""
    match action:
        case "GetItem":
            return Read(1, read_units(item_bytes(answer.get("Item")), consistent=fields.get("ConsistentRead", False)))
        case "BatchGetItem":
            items = [item for found in answer["Responses"].values() for item in found]
            asked_for = sum(len(table["Keys"]) for table in fields["RequestItems"].values())
            return Read(asked_for, sum(read_units(item_bytes(item), consistent=True) for item in items))
        case "Query" | "Scan":
            size = sum(item_bytes(item) for item in answer["Items"])
            return Read(answer["ScannedCount"], read_units(size, consistent=fields.get("ConsistentRead", False)))
    return NOTHING
