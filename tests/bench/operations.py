"""The operations that are counted: the event of each, and what has to be stored before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.tasks.items import timestamp
from fluxgate.tasks.model import Status, Task
from fluxgate.tasks.store import DUE_SHARDS, TaskStore
from local import seeds
from local.providers.acedata import Simulator
from local.stack import Stack
from tests.bench.capacity import Index, Item
from tests.bench.crowd import bystander, item_of, task_id
from tests.bench.wire import PICTURES, RECEIVER, Wire
from tests.harness import OWNER, Event, event

BATCH = 25  # what BatchWriteItem takes
SOON = timedelta(minutes=30)  # beyond every wait of a task that an operation has left behind
OVERDUE = timedelta(minutes=20)


class Ground:
    """The stored tasks, as the deployer sees them: past the wire."""

    def __init__(self, stack: Stack, simulator: Simulator, wire: Wire) -> None:
        self.stack, self.simulator, self.wire = stack, simulator, wire
        self._dynamodb, self._table = stack.client("dynamodb"), stack.deployment.resources["TasksTable"]
        self._tasks = self.tasks_at()
        self._crowd = 0
        wire.provider = ("127.0.0.1", simulator.port)
        wire.stored = self._stored

    @property
    def indexes(self) -> list[Index]:
        found = self._dynamodb.describe_table(TableName=self._table)["Table"]["GlobalSecondaryIndexes"]
        return [Index(it["IndexName"], tuple(key["AttributeName"] for key in it["KeySchema"])) for it in found]

    def tasks_at(self, moment: datetime | None = None) -> TaskStore:
        """The store as it was, or is."""
        return TaskStore(Table(self._dynamodb, self._table), Clock(now=lambda: moment or datetime.now(UTC)))

    def finished(self) -> str:
        """The id of a task that the provider has finished."""
        order = {"action": "generate", "prompt": seeds.PROMPT, "model": "flux-dev", "size": seeds.SIZE, "async": True}
        headers = {"authorization": "Bearer simulated"}
        found = requests.post(f"{self.simulator.url}/flux/images", json=order, headers=headers, timeout=5).json()[
            "task_id"
        ]
        self.simulator.wait_for(
            lambda: any(task.id == found and task.finished.is_set() for task in self.simulator.tasks)
        )
        return str(found)

    def fill(self, size: int) -> None:
        """Let so many tasks be stored about which nobody asks."""
        for first in range(self._crowd, size, BATCH):
            puts = [
                {"PutRequest": {"Item": bystander(number, OWNER)}} for number in range(first, min(first + BATCH, size))
            ]
            self._dynamodb.batch_write_item(RequestItems={self._table: puts})
        self._crowd = max(size, self._crowd)

    def seed(self, **facts: Any) -> Task:
        """Put the tasks of the events into the state that the events expect; returns the one that a webhook is about,
        with these facts."""
        seeds.seed(self.stack, self.simulator, OWNER)
        return self.store(replace(self._tasks.get(seeds.WITH_WEBHOOK), **facts))

    def store(self, task: Task) -> Task:
        """In the place of what was there."""
        self._delete(task.task_id)
        return self._tasks.create(task)

    def settle(self) -> None:
        """Remove whatever is due, or soon will be."""
        for shard in range(DUE_SHARDS):
            answer = self._dynamodb.query(
                TableName=self._table,
                IndexName="due",
                KeyConditionExpression="due_shard = :shard and due_at < :soon",
                ExpressionAttributeValues={
                    ":shard": {"N": str(shard)},
                    ":soon": {"S": timestamp(datetime.now(UTC) + SOON)},
                },
            )
            for item in answer["Items"]:
                self._delete(item["task_id"]["S"])

    def _delete(self, task_id: str) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key={"task_id": {"S": task_id}})

    def _stored(self, table: str, key: Item) -> Item | None:
        found: Item | None = self._dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return found


@dataclass(frozen=True)
class Operation:
    name: str
    function: str  # its folder
    prepare: Callable[[Ground], Event]
    """Stores what the event needs, and returns the event."""


def _submission(_: Ground) -> Event:
    return event("submit_task.good_generate")


def _callback(ground: Ground) -> Event:
    ground.seed()
    return event("receive_callback.good_success")


def _generated(_: Ground) -> Event:
    return event("publish_changes.good_generated")


def _outcome(ground: Ground) -> Event:
    return _change(ground.seed(callback_url=None))


def _outcome_with_webhook(ground: Ground) -> Event:
    return _change(ground.seed())


def _archive(ground: Ground) -> Event:
    ground.seed()
    message = event("archive_images.good_generated")
    job = json.loads(message["Records"][0]["body"])
    job["images"][0]["source_url"] = f"{ground.wire.url}{PICTURES}{seeds.IMAGE_NAME}"
    message["Records"][0]["body"] = json.dumps(job)
    return message


def _webhook(ground: Ground) -> Event:
    ground.seed(callback_url=f"{ground.wire.url}{RECEIVER}", announced=Status.SUCCEEDED)
    return event("deliver_webhook.good_succeeded")


def _one_task(ground: Ground) -> Event:
    ground.seed()
    return event("read_tasks.good_task")


def _page(ground: Ground) -> Event:
    ground.seed()
    return event("read_tasks.good_list") | {"queryStringParameters": None, "multiValueQueryStringParameters": None}


def _idle(ground: Ground) -> Event:
    ground.settle()
    return event("reconcile_tasks.good_minute")


def _busy(ground: Ground) -> Event:
    """One of each kind: to be submitted, asked about, archived, announced, told to a receiver, removed."""
    told = ground.seed()
    ground.settle()
    then = datetime.now(UTC) - OVERDUE
    told = replace(told, created_at=then, updated_at=then)
    kinds: tuple[dict[str, Any], ...] = (
        {"status": Status.QUEUED},
        {"status": Status.SUBMITTED, "attempted_at": datetime.now(UTC), "provider_task_id": ground.finished()},
        {"status": Status.GENERATED, "generated_at": then},
        {"callback_url": None},
        {},
        {"callback_url": None},
    )
    *_, waiting, removed = (
        ground.store(replace(told, task_id=task_id(-1 - n), **facts)) for n, facts in enumerate(kinds)
    )
    past = ground.tasks_at(then)
    past.update_outcome(waiting, announced=waiting.status)
    past.begin_deletion(removed.task_id, OWNER)
    return event("reconcile_tasks.good_minute")


OPERATIONS = (
    Operation("submission", "submit_task", _submission),
    Operation("callback", "receive_callback", _callback),
    Operation("publish generated", "publish_changes", _generated),
    Operation("archive", "archive_images", _archive),
    Operation("publish outcome", "publish_changes", _outcome),
    Operation("publish outcome, webhook wanted", "publish_changes", _outcome_with_webhook),
    Operation("webhook", "deliver_webhook", _webhook),
    Operation("read task", "read_tasks", _one_task),
    Operation("list page", "read_tasks", _page),
    Operation("reconcile, idle", "reconcile_tasks", _idle),
    Operation("reconcile, 6 due", "reconcile_tasks", _busy),
)


def _change(task: Task) -> Event:
    """The stream's record of the archive's write."""
    change = event("publish_changes.good_generated")
    image = item_of(task)
    change["Records"][0]["dynamodb"] |= {"NewImage": image, "OldImage": {**image, "status": {"S": Status.GENERATED}}}
    return change
