"""Defines the counted operations: each with its event and the items that must be stored first."""

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
from tests.bench.background_tasks import background_task, item_of, task_id
from tests.bench.capacity import Index, Item
from tests.bench.recording_proxy import IMAGES, RECEIVER, RecordingProxy
from tests.harness import OWNER, Event, event

BATCH = 25  # BatchWriteItem's limit
SOON = timedelta(minutes=30)  # longer than any delay of a task that another operation has left
OVERDUE = timedelta(minutes=20)
TIMEOUT = 120  # seconds


class FixtureStore:
    """Stores tasks for the operations, with the deployer's permissions and bypassing the proxy."""

    def __init__(self, stack: Stack, simulator: Simulator, proxy: RecordingProxy) -> None:
        self.stack, self.simulator, self.proxy = stack, simulator, proxy
        self._dynamodb, self._table = stack.client("dynamodb"), stack.deployment.resources["TasksTable"]
        self._tasks = self.tasks_at()
        self._background_tasks = 0
        proxy.provider = ("127.0.0.1", simulator.port)
        proxy.read_item = self._read_item

    @property
    def indexes(self) -> list[Index]:
        found = self._dynamodb.describe_table(TableName=self._table)["Table"]["GlobalSecondaryIndexes"]
        return [Index(index["IndexName"], tuple(key["AttributeName"] for key in index["KeySchema"])) for index in found]

    def tasks_at(self, moment: datetime | None = None) -> TaskStore:
        """A store whose clock shows `moment`; by default the current time."""
        return TaskStore(Table(self._dynamodb, self._table), Clock(now=lambda: moment or datetime.now(UTC)))

    def finish_at_provider(self) -> str:
        """Submit a task directly to the provider, wait until it is finished, and return the provider's id."""
        request = {"action": "generate", "prompt": seeds.PROMPT, "model": "flux-dev", "size": seeds.SIZE, "async": True}
        headers = {"authorization": "Bearer simulated"}
        response = requests.post(f"{self.simulator.url}/flux/images", json=request, headers=headers, timeout=TIMEOUT)
        found = str(response.json()["task_id"])
        self.simulator.wait_for(
            lambda: any(task.id == found and task.finished.is_set() for task in self.simulator.tasks), timeout=TIMEOUT
        )
        return found

    def fill(self, size: int) -> None:
        """Store background tasks until there are `size` of them."""
        for first in range(self._background_tasks, size, BATCH):
            puts = [
                {"PutRequest": {"Item": background_task(number, OWNER)}}
                for number in range(first, min(first + BATCH, size))
            ]
            self._dynamodb.batch_write_item(RequestItems={self._table: puts})
        self._background_tasks = max(size, self._background_tasks)

    def seed(self, **facts: Any) -> Task:
        """Store the tasks of events/ in the state that the events expect; returns the webhook event's task, changed by
        `facts`."""
        seeds.seed(self.stack, self.simulator, OWNER)
        return self.store(replace(self._tasks.get(seeds.WITH_WEBHOOK), **facts))

    def store(self, task: Task) -> Task:
        """Store a task, replacing an item with the same id."""
        self._delete(task.task_id)
        return self._tasks.create(task)

    def clear_due(self) -> None:
        """Delete all tasks that are due now or soon."""
        for shard in range(DUE_SHARDS):
            page = self._dynamodb.query(
                TableName=self._table,
                IndexName="due",
                KeyConditionExpression="due_shard = :shard and due_at < :soon",
                ExpressionAttributeValues={
                    ":shard": {"N": str(shard)},
                    ":soon": {"S": timestamp(datetime.now(UTC) + SOON)},
                },
            )
            for item in page["Items"]:
                self._delete(item["task_id"]["S"])

    def _delete(self, task_id: str) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key={"task_id": {"S": task_id}})

    def _read_item(self, table: str, key: Item) -> Item | None:
        found: Item | None = self._dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        return found


@dataclass(frozen=True)
class Operation:
    name: str
    function: str  # the folder's name
    prepare: Callable[[FixtureStore], Event]
    """Stores the items that the event needs, and returns the event."""


def _submission(_: FixtureStore) -> Event:
    return event("submit_task.good_generate")


def _callback(fixtures: FixtureStore) -> Event:
    fixtures.seed()
    return event("receive_callback.good_success")


def _generated(_: FixtureStore) -> Event:
    return event("publish_changes.good_generated")


def _outcome(fixtures: FixtureStore) -> Event:
    return _change(fixtures.seed(callback_url=None))


def _outcome_with_webhook(fixtures: FixtureStore) -> Event:
    return _change(fixtures.seed())


def _archive(fixtures: FixtureStore) -> Event:
    fixtures.seed()
    message = event("archive_images.good_generated")
    job = json.loads(message["Records"][0]["body"])
    job["images"][0]["source_url"] = f"{fixtures.proxy.url}{IMAGES}{seeds.IMAGE_NAME}"
    message["Records"][0]["body"] = json.dumps(job)
    return message


def _webhook(fixtures: FixtureStore) -> Event:
    fixtures.seed(callback_url=f"{fixtures.proxy.url}{RECEIVER}", announced=Status.SUCCEEDED)
    return event("deliver_webhook.good_succeeded")


def _read_task(fixtures: FixtureStore) -> Event:
    fixtures.seed()
    return event("read_tasks.good_task")


def _list_page(fixtures: FixtureStore) -> Event:
    fixtures.seed()
    return event("read_tasks.good_list") | {"queryStringParameters": None, "multiValueQueryStringParameters": None}


def _reconcile_idle(fixtures: FixtureStore) -> Event:
    fixtures.clear_due()
    return event("reconcile_tasks.good_minute")


def _reconcile_due(fixtures: FixtureStore) -> Event:
    """One due task of each kind: to submit, poll, archive, announce, deliver to a receiver, delete."""
    task = fixtures.seed()
    fixtures.clear_due()
    then = datetime.now(UTC) - OVERDUE
    task = replace(task, created_at=then, updated_at=then)
    kinds: tuple[dict[str, Any], ...] = (
        {"status": Status.QUEUED},
        {
            "status": Status.SUBMITTED,
            "attempted_at": datetime.now(UTC),
            "provider_task_id": fixtures.finish_at_provider(),
        },
        {"status": Status.GENERATED, "generated_at": then},
        {"callback_url": None},
        {},
        {"callback_url": None},
    )
    *_, undelivered, deleted = (
        fixtures.store(replace(task, task_id=task_id(-1 - n), **facts)) for n, facts in enumerate(kinds)
    )
    past = fixtures.tasks_at(then)
    past.update_outcome(undelivered, announced=undelivered.status)
    past.begin_deletion(deleted.task_id, OWNER)
    return event("reconcile_tasks.good_minute")


OPERATIONS = (
    Operation("submission", "submit_task", _submission),
    Operation("callback", "receive_callback", _callback),
    Operation("publish generated", "publish_changes", _generated),
    Operation("archive", "archive_images", _archive),
    Operation("publish outcome", "publish_changes", _outcome),
    Operation("publish outcome, webhook wanted", "publish_changes", _outcome_with_webhook),
    Operation("webhook", "deliver_webhook", _webhook),
    Operation("read task", "read_tasks", _read_task),
    Operation("list page", "read_tasks", _list_page),
    Operation("reconcile, idle", "reconcile_tasks", _reconcile_idle),
    Operation("reconcile, 6 due", "reconcile_tasks", _reconcile_due),
)


def _change(task: Task) -> Event:
    """The stream record of the write that archiving makes."""
    change = event("publish_changes.good_generated")
    image = item_of(task)
    change["Records"][0]["dynamodb"] |= {"NewImage": image, "OldImage": {**image, "status": {"S": Status.GENERATED}}}
    return change
