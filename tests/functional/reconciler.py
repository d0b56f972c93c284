"""The reconciler against the local stack: overdue tasks for it, and what a pass leaves behind."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from fluxgate.clock import Clock
from fluxgate.http.trusted import ProviderSession
from fluxgate.providers.acedata import AceData
from fluxgate.providers.port import Accepted
from fluxgate.tasks.items import timestamp
from fluxgate.tasks.model import Image, Status, Task, token_hash
from local.providers.acedata import Behaviour
from tests.builders import a_task
from tests.harness import Functions, event
from tests.waiting import wait_for

SCHEDULED = event("reconcile_tasks.good_minute")
TOKEN = "the-token-of-the-attempt"
PROMPT = "a confidential prompt"
ONE_HOUR = timedelta(hours=1)
OVERDUE = timedelta(minutes=20)  # every open task is due at this age
TASKS = "/flux/tasks"
QUEUES = {"submissions": "SubmissionQueue", "archive": "ArchiveQueue", "webhooks": "WebhookQueue"}
IMAGE = Image(source_url="https://cdn.example.com/1.png")
CALLBACK_URL = "https://receiver.example.com/secret-path"


class Reconciler:
    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.simulator = functions.simulator
        self._dynamodb = functions.stack.client("dynamodb")
        self._table = functions.stack.deployment.resources["TasksTable"]
        self._provider = AceData(ProviderSession(), self.simulator.url, SecretStr("simulated"), Clock())
        self.reset()
        self._queries_before = len(self.simulator.retrievals)
        self._began = time.monotonic()

    def reset(self) -> None:
        """Leave no task, no message and no behaviour of the provider."""
        keys = [{"task_id": item["task_id"]} for item in self._dynamodb.scan(TableName=self._table)["Items"]]
        for n in range(0, len(keys), 25):
            deletions = [{"DeleteRequest": {"Key": key}} for key in keys[n : n + 25]]
            self._dynamodb.batch_write_item(RequestItems={self._table: deletions})
        for queue in QUEUES:
            self.messages(queue)
        self.simulator._overrides.clear()
        self.simulator._listing = False

    def enable_listing(self) -> None:
        """Let the provider list its tasks."""
        self.simulator._listing = True

    def run(self, **environment: str) -> None:
        """One pass."""
        self.functions.invoke("reconcile_tasks", SCHEDULED, **environment)

    def store(self, status: Status, age: timedelta = OVERDUE, **fields: Any) -> Task:
        """A stored task that was created, attempted and updated this long ago."""
        then = datetime.now(UTC) - age
        defaults: dict[str, Any] = {
            "status": status,
            "prompt": PROMPT,
            "created_at": then,
            "attempted_at": then,
            "attempts": 1,
            "attempt_id": "0123456789abcdef",
            "callback_tokens": frozenset({token_hash(TOKEN)}),
        }
        task = a_task(**defaults | fields)
        self.functions.store(task)
        return task

    def store_one_per_status(self) -> list[Task]:
        """Overdue tasks with something to repair where their status permits it."""
        return [
            self.store(
                status,
                2 * ONE_HOUR,
                announced=status,
                callback_url=CALLBACK_URL,
                provider_task_id="unknown",
                images=(IMAGE,),
            )
            for status in Status
        ]

    def submit(self, behaviour: Behaviour | None = None, *, response_lost: bool = False, **fields: Any) -> Task:
        """A stored task that the simulated provider has accepted, and has finished unless its latency is not zero.

        If the response was lost, the task is still submitting. Otherwise it is submitted.
        """
        task = self.store(Status.SUBMITTING, **{"attempted_at": datetime.now(UTC), **fields})
        if behaviour:
            self.simulator.behave(behaviour)
        url = f"https://callbacks.example.com/prod/callbacks/acedata/{task.task_id}/{TOKEN}"
        result = self._provider.submit(task, url)
        assert isinstance(result, Accepted)
        accepted = next(accepted for accepted in self.simulator.tasks if accepted.id == result.handle)
        if accepted.behaviour.latency == 0:
            wait_for(accepted.finished.is_set)
        if response_lost:
            return task
        self.overwrite(task, status="submitted", provider_task_id=result.handle)
        return self.stored(task)

    def overwrite(self, task: Task, **attributes: str) -> None:
        """Change the stored item, but nothing else: neither `updated_at` nor `due_at` follows."""
        updates = {name: {"Action": "PUT", "Value": {"S": value}} for name, value in attributes.items()}
        self._dynamodb.update_item(TableName=self._table, Key=_key(task), AttributeUpdates=updates)

    def make_due(self, task: Task) -> None:
        self.overwrite(task, due_at=timestamp(datetime.now(UTC)))

    def delete(self, task: Task) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key=_key(task))

    def stored(self, task: Task) -> Task:
        """Raises KeyError if there is no such item."""
        return self.functions.stored(task.task_id)

    def status(self, task: Task) -> Status:
        return self.stored(task).status

    def due_in(self, task: Task) -> float | None:
        """Seconds until the task is due. None if it is not in the index."""
        item = self._dynamodb.get_item(TableName=self._table, Key=_key(task))["Item"]
        if "due_at" not in item:
            assert "due_shard" not in item
            return None
        return (datetime.fromisoformat(item["due_at"]["S"]) - datetime.now(UTC)).total_seconds()

    def seconds(self, expected: float) -> Any:
        """A delay that began during this test, whenever it is measured: within the time that has passed since."""
        return pytest.approx(expected, abs=time.monotonic() - self._began + 0.1)

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """The messages sent since the last call."""
        return self.functions.drain(QUEUES[queue])

    @property
    def queries(self) -> list[dict[str, Any]]:
        """The bodies of the queries that the provider has received during this test."""
        return self.simulator.retrievals[self._queries_before :]


def _key(task: Task) -> dict[str, Any]:
    return {"task_id": {"S": task.task_id}}
