"""The functions' roles allow every action that they need, and no action that they do not need.

The permissions come from template.yaml as SAM translates it, including SAM's additions. Each is removed from
its deployed role in turn; a scenario must then be denied that action.
"""

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest

from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.tasks.model import Image, Status, Task, task_id_for
from fluxgate.tasks.store import TaskStore
from fluxgate.wire.jobs import ArchiveJob
from local.providers.acedata import Behaviour, Refusal
from local.stack import ROOT, Stack
from local.template import of_type, translate
from tests.e2e.client import Client, fetch
from tests.e2e.receiver import Message, Receiver

TIMEOUT = 120  # seconds, for each condition
OWNER = "local"
IMAGE = "policies.png"

pytestmark = pytest.mark.timeout(5 * TIMEOUT)


@dataclass(frozen=True)
class Permission:
    function: str  # the folder's name
    role: str
    policy: str
    statement: int
    action: str

    def __str__(self) -> str:
        return f"{self.policy}-{self.statement}-{self.action}"


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _permissions() -> Iterator[Permission]:
    template = translate(ROOT / "template.yaml", {"FluxApiToken": "unused"})
    for function in of_type(template, "AWS::Lambda::Function").values():
        properties = function["Properties"]
        role = properties["Role"]["Fn::GetAtt"][0]
        folder = properties["Code"]["S3Key"].rpartition("/")[2]
        for policy in template["Resources"][role]["Properties"].get("Policies", []):
            for index, statement in enumerate(policy["PolicyDocument"]["Statement"]):
                for action in _listed(statement["Action"]):
                    yield Permission(folder, role, policy["PolicyName"], index, action)


@contextmanager
def _without(stack: Stack, permission: Permission) -> Iterator[None]:
    iam = stack.client("iam")
    names = {"RoleName": stack.deployment.resources[permission.role], "PolicyName": permission.policy}
    original = {"Version": "2012-10-17", **iam.get_role_policy(**names)["PolicyDocument"]}
    reduced = copy.deepcopy(original)
    statement = reduced["Statement"][permission.statement]
    remaining = [action for action in _listed(statement["Action"]) if action != permission.action]
    statement["Action"] = remaining or ["none:Nothing"]  # IAM requires an action in each statement
    iam.put_role_policy(**names, PolicyDocument=json.dumps(reduced))
    stack.runtime.restart(permission.function)  # it may have cached a value that it must no longer read
    try:
        yield
    finally:
        iam.put_role_policy(**names, PolicyDocument=json.dumps(original))


class ExpectedDenial(Exception):
    """The role was denied the removed action."""


class Scenario:
    """Covers all paths of a task and of invalid input. Starts everything, then waits for the results."""

    def __init__(self, stack: Stack, client: Client, receiver: Receiver, denied: Callable[[], bool]) -> None:
        """`run` raises ExpectedDenial as soon as `denied()` is true."""
        self._stack = stack
        self._client = client
        self._receiver = receiver
        self._denied = denied
        self._table = stack.deployment.resources["TasksTable"]
        self._tasks = TaskStore(Table(stack.client("dynamodb"), self._table), Clock())
        self._name = uuid4().hex

    def run(self) -> None:
        malformed = self._store_malformed_item()
        unqueued, unarchived, unknown = self._store_tasks_to_reconcile()
        requested = [self._send_order(), self._generate(deferred=True), self._generate_by_agent()]
        with_webhook = self._generate(callback_url=self._receiver.url(f"/failing/1/{self._name}"))
        unannounced = self._store_unannounced_task()
        partly_deleted, deleted = self._store_deletions()
        invalid_order = self._send("not an order")
        for task_id in [*requested, with_webhook, unqueued]:
            self._wait_for(lambda task_id=task_id: self._status(task_id) == "succeeded", f"{task_id} succeeds")  # type: ignore[misc]
        self._wait_for(lambda: self._stored(unannounced).announced, "the outcome is announced")
        self._wait_for(lambda: self._status(unknown) == "expired", "the task unknown to the provider expires")
        self._wait_for(
            lambda: self._logged("reconcile_tasks", "for archiving again", unarchived), "archiving is retried"
        )
        self._wait_for(lambda: self._is_failed_change(malformed), "the failed change is stored")
        self._wait_for(lambda: self._logged("submit_queued", "Order rejected", invalid_order), "the order is rejected")
        self._read(with_webhook)
        self._wait_for(lambda: self._webhook(with_webhook)["state"] == "delivered", "the webhook is delivered")
        self._fetch(self._received[-1].task["images"][0]["url"])
        resent = self._client.request("POST", f"/v1/tasks/{with_webhook}/webhook")
        self._expect(resent.status_code == HTTPStatus.ACCEPTED, resent.text)
        self._wait_for(lambda: len(self._received) == 3, "the webhook is resent")
        self._wait_for(lambda: self._raw_status(partly_deleted) == "deleted", "the deletion is finished")
        self._wait_for(
            lambda: self._logged("archive_images", "Archived task was deleted", deleted), "the late image is deleted"
        )
        self._delete(self._generate_and_wait())

    def _generate_and_wait(self) -> str:
        response = self._client.request(
            "POST",
            "/v1/images/generations",
            json={"prompt": f"{self._name}, synchronous"},
            headers={"Prefer": "wait=25"},
        )
        self._expect(response.status_code == HTTPStatus.OK, response.text)
        self._fetch(response.json()["data"][0]["url"])
        return str(response.json()["task_id"])

    def _delete(self, task_id: str) -> None:
        response = self._client.request("DELETE", f"/v1/tasks/{task_id}")
        self._expect(response.status_code == HTTPStatus.NO_CONTENT, response.text)

    def _store_deletions(self) -> tuple[str, str]:
        """Create an unfinished deletion, and a repeated archive message for a task that no longer exists."""
        assert self._stack.simulator
        url = f"{self._stack.simulator.public_url}/images/{IMAGE}"
        self._stack.simulator.publish(IMAGE, self._name, "256x256", seed=1)
        stored = Image(source_url=url, key=f"{OWNER}/{self._name}/0.png")
        unfinished = self._tasks.create(self._task(Status.FAILED, images=(stored,)))
        started = datetime.now(UTC) - timedelta(minutes=5)
        table = Table(self._stack.client("dynamodb"), self._table)
        TaskStore(table, Clock(now=lambda: started)).begin_deletion(unfinished.task_id, OWNER)
        deleted = self._task(Status.GENERATED, images=(Image(source_url=url),))
        queue = self._stack.deployment.resources["ArchiveQueue"]
        self._stack.client("sqs").send_message(QueueUrl=queue, MessageBody=ArchiveJob.of(deleted).to_json())
        return unfinished.task_id, deleted.task_id

    def _raw_status(self, task_id: str) -> str:
        item = Table(self._stack.client("dynamodb"), self._table).get({"task_id": task_id}) or {}
        return str(item.get("status"))

    def _generate(self, *, deferred: bool = False, **request: Any) -> str:
        prompt = f"{self._name}, generated {deferred}"
        if deferred:
            self._defer(prompt)
        response = self._client.generate(prompt=prompt, **request)
        self._expect(response.status_code == HTTPStatus.ACCEPTED, response.text)
        return str(response.json()["task_id"])

    def _generate_by_agent(self) -> str:
        """Deferred too, through serve_mcp."""
        prompt = f"{self._name}, by an agent"
        self._defer(prompt)
        return str(self._tool("flux_generate_image", prompt=prompt, wait_seconds=0)["task_id"])

    def _tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        response = self._client.request("POST", "/mcp", json=call)
        self._expect(response.status_code == HTTPStatus.OK and not response.json()["result"]["isError"], response.text)
        return dict(response.json()["result"]["structuredContent"]["result"])

    def _send_order(self) -> str:
        """Deferred too, through submit_queued."""
        prompt = f"{self._name}, ordered"
        self._defer(prompt)
        order = {"action": "generate", "owner": OWNER, "prompt": prompt, "idempotency_key": self._name}
        self._send(json.dumps(order))
        return task_id_for(OWNER, self._name)

    def _defer(self, prompt: str) -> None:
        """Throttle the first submission with this prompt."""
        assert self._stack.simulator
        refusal = Behaviour(refusal=Refusal.of("too_many_requests"))
        self._stack.simulator.behave(refusal, when=lambda body: body["prompt"] == prompt)

    def _send(self, body: str) -> str:
        """Send to the submission queue; returns the message id."""
        queue = self._stack.deployment.resources["SubmissionQueue"]
        return str(self._stack.client("sqs").send_message(QueueUrl=queue, MessageBody=body)["MessageId"])

    def _store_tasks_to_reconcile(self) -> tuple[str, str, str]:
        """Create a task without a queue message, one whose images do not exist, so that archiving keeps retrying, and
        one that the provider does not know."""
        assert self._stack.simulator
        missing = Image(source_url=f"{self._stack.simulator.public_url}/images/missing.png")
        unqueued = self._tasks.create(self._task(Status.QUEUED))
        unarchived = self._tasks.create(self._task(Status.GENERATED, images=(missing,)))
        unknown = self._tasks.create(self._task(Status.SUBMITTED, age=timedelta(hours=2), provider_task_id="unknown"))
        return unqueued.task_id, unarchived.task_id, unknown.task_id

    def _store_unannounced_task(self) -> str:
        """Create the state after a crash of publish_changes before it announced the outcome."""
        task_id = self._tasks.create(self._task(Status.FAILED)).task_id
        self._wait_for(lambda: self._stored(task_id).announced, "publish_changes announces it")
        facts: dict[str, Any] = {
            "announced": {"Action": "DELETE"},
            "due_shard": {"Value": {"N": "0"}},
            "due_at": {"Value": {"S": "2026-01-01T00:00:00.000000Z"}},
        }
        key = {"task_id": {"S": task_id}}
        self._stack.client("dynamodb").update_item(TableName=self._table, Key=key, AttributeUpdates=facts)
        return task_id

    def _task(self, status: Status, age: timedelta = timedelta(minutes=20), **facts: Any) -> Task:
        """An overdue task."""
        created = datetime.now(UTC) - age
        return Task(
            task_id=str(uuid4()), owner=OWNER, status=status, action="generate", model="flux-dev", prompt=self._name,
            size="512x512", count=1, provider="acedata", created_at=created, updated_at=created,
            expires_at=created + timedelta(days=1), **facts,
        )  # fmt: skip

    def _stored(self, task_id: str) -> Task:
        return self._tasks.get(task_id)

    @property
    def _received(self) -> list[Message]:
        return self._receiver.at(f"/failing/1/{self._name}")

    def _logged(self, function: str, message: str, about: str) -> bool:
        return any(message in line.text and about in line.text for line in self._stack.logs.lines(function))

    def _read(self, task_id: str) -> None:
        for path in ("/v1/tasks", "/v1/webhook-secret"):
            response = self._client.get(path)
            self._expect(response.ok, response.text)
        self._tool("flux_get_tasks_batch", task_ids=[task_id])
        response = self._client.request("POST", "/v1/tasks/batch", json={"task_ids": [task_id]})
        self._expect(response.ok, response.text)
        self._fetch(self._read_task(task_id)["images"][0]["url"])
        self._fetch(self._tool("flux_get_task", task_id=task_id)["images"][0]["url"])

    def _fetch(self, url: str) -> None:
        stored = fetch(url)
        self._expect(stored.status_code == HTTPStatus.OK, stored.text)

    def _store_malformed_item(self) -> str:
        """Create a change that publish_changes cannot handle, so that it reaches the failure destination."""
        item = {"task_id": {"S": f"malformed-{uuid4()}"}, "status": {"S": "generated"}}
        self._stack.client("dynamodb").put_item(TableName=self._table, Item=item)
        return item["task_id"]["S"]

    def _is_failed_change(self, task_id: str) -> bool:
        s3, bucket = self._stack.client("s3"), self._stack.deployment.resources["FailedChangesBucket"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return any(task_id in s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys)

    def _status(self, task_id: str) -> Any:
        """None while an order has not created its task."""
        response = self._client.get(f"/v1/tasks/{task_id}")
        self._expect(response.status_code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}, response.text)
        return response.json()["status"] if response.ok else None

    def _webhook(self, task_id: str) -> Any:
        return self._read_task(task_id)["webhook"]

    def _read_task(self, task_id: str) -> dict[str, Any]:
        response = self._client.get(f"/v1/tasks/{task_id}")
        self._expect(response.status_code == HTTPStatus.OK, response.text)
        return dict(response.json())

    def _expect(self, condition: bool, message: str) -> None:
        deadline = time.monotonic() + TIMEOUT  # a denial may be logged after the response that it caused
        while not (condition or self._denied()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._denied():
            raise ExpectedDenial
        assert condition, message

    def _wait_for(self, condition: Callable[[], object], name: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            self._expect(time.monotonic() < deadline, f"timed out waiting until {name}")
            time.sleep(0.1)
        self._expect(condition=True, message="")


def test_roles_allow_every_needed_action(stack: Stack, client: Client, receiver: Receiver) -> None:
    before = len(stack.aws.denials)
    Scenario(stack, client, receiver, lambda: False).run()
    assert stack.aws.denials[before:] == []


PERMISSIONS = list(_permissions())


@pytest.mark.parametrize(
    "permission",
    [PERMISSIONS[0], *(pytest.param(permission, marks=pytest.mark.exhaustive) for permission in PERMISSIONS[1:])],
    ids=str,
)
def test_roles_allow_only_needed_actions(
    stack: Stack, client: Client, receiver: Receiver, permission: Permission
) -> None:
    """Checks each statement separately if a role has the same action on several resources."""
    expected = stack.deployment.resources[permission.role], permission.action
    before = len(stack.aws.denials)

    def denied() -> bool:
        return expected in {(denial.role, denial.action) for denial in stack.aws.denials[before:]}

    with _without(stack, permission), pytest.raises(ExpectedDenial):
        Scenario(stack, client, receiver, denied).run()
