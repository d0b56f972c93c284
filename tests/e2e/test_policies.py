"""Each action that the functions' roles allow is needed: without it, some step of a task's life is denied.

The permissions are those of template.yaml as SAM translates it, SAM's own additions included. They are taken out of
the deployed roles one by one.
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

PATIENCE = 45  # seconds for what goes on behind the API
OWNER = "local"
PICTURE = "policies.png"


@dataclass(frozen=True)
class Permission:
    function: str  # its folder
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
    whole = {"Version": "2012-10-17", **iam.get_role_policy(**names)["PolicyDocument"]}
    reduced = copy.deepcopy(whole)
    statement = reduced["Statement"][permission.statement]
    # IAM knows no statement without an action.
    statement["Action"] = [it for it in _listed(statement["Action"]) if it != permission.action] or ["none:Nothing"]
    iam.put_role_policy(**names, PolicyDocument=json.dumps(reduced))
    stack.runtime.restart(permission.function)  # it may have cached what it is no longer allowed to read
    try:
        yield
    finally:
        iam.put_role_policy(**names, PolicyDocument=json.dumps(whole))


class Interrupted(Exception):
    """The denial that was looked for has happened."""


class Journey:
    """Everything that happens to tasks, and to what cannot be handled: all of it begun at once, then waited for."""

    def __init__(self, stack: Stack, client: Client, receiver: Receiver, denied: Callable[[], bool]) -> None:
        """Ends by Interrupted as soon as `denied`."""
        self._stack = stack
        self._client = client
        self._receiver = receiver
        self._denied = denied
        self._table = stack.deployment.resources["TasksTable"]
        self._tasks = TaskStore(Table(stack.client("dynamodb"), self._table), Clock())
        self._name = uuid4().hex

    def run(self) -> None:
        spoiled = self._spoil_stream()
        unqueued, unarchived, unknown = self._leave_to_the_reconciler()
        finished = [self._order(), self._generate(deferred=True), self._generate_by_agent()]
        told = self._generate(callback_url=self._receiver.url(f"/failing/1/{self._name}"))
        untold = self._leave_unannounced()
        half_deleted, late = self._leave_removals()
        self._send("not an order")
        for task_id in [*finished, told, unqueued]:
            self._wait_for(lambda task_id=task_id: self._status(task_id) == "succeeded", f"{task_id} succeeds")  # type: ignore[misc]
        self._wait_for(lambda: self._stored(untold).announced, "the outcome is announced")
        self._wait_for(lambda: self._status(unknown) == "expired", "what the provider does not know expires")
        self._wait_for(
            lambda: self._logged("reconcile_tasks", "for archiving again", unarchived), "it is archived again"
        )
        self._wait_for(lambda: self._is_set_aside(spoiled), "the spoiled change is set aside")
        self._wait_for(lambda: self._logged("submit_queued", "Order rejected", self._sent), "the order is rejected")
        self._read(told)
        self._wait_for(lambda: self._webhook(told)["state"] == "delivered", "the webhook is delivered")
        self._fetch(self._received[-1].task["images"][0]["url"])
        again = self._client.request("POST", f"/v1/tasks/{told}/webhook")
        self._expect(again.status_code == HTTPStatus.ACCEPTED, again.text)
        self._wait_for(lambda: len(self._received) == 3, "the webhook is sent again")
        self._wait_for(lambda: self._raw_status(half_deleted) == "deleted", "the removal is ended")
        self._wait_for(lambda: self._logged("archive_images", "task that is gone", late), "its image is removed")
        self._delete(self._generate_and_wait())

    def _generate_and_wait(self) -> str:
        answer = self._client.request(
            "POST",
            "/v1/images/generations",
            json={"prompt": f"{self._name}, waited for"},
            headers={"Prefer": "wait=25"},
        )
        self._expect(answer.status_code == HTTPStatus.OK, answer.text)
        self._fetch(answer.json()["data"][0]["url"])
        return str(answer.json()["task_id"])

    def _delete(self, task_id: str) -> None:
        answer = self._client.request("DELETE", f"/v1/tasks/{task_id}")
        self._expect(answer.status_code == HTTPStatus.NO_CONTENT, answer.text)

    def _leave_removals(self) -> tuple[str, str]:
        """One that was interrupted, and one whose image comes late, by a repeated message."""
        assert self._stack.simulator
        url = f"{self._stack.simulator.public_url}/images/{PICTURE}"
        self._stack.simulator.publish(PICTURE, self._name, "256x256", seed=1)
        stored = Image(source_url=url, key=f"{OWNER}/{self._name}/0.png")
        interrupted = self._tasks.create(self._task(Status.FAILED, images=(stored,)))
        then = datetime.now(UTC) - timedelta(minutes=5)
        table = Table(self._stack.client("dynamodb"), self._table)
        TaskStore(table, Clock(now=lambda: then)).begin_deletion(interrupted.task_id, OWNER)
        late = self._task(Status.GENERATED, images=(Image(source_url=url),))
        queue = self._stack.deployment.resources["ArchiveQueue"]
        self._stack.client("sqs").send_message(QueueUrl=queue, MessageBody=ArchiveJob.of(late).to_json())
        return interrupted.task_id, late.task_id

    def _raw_status(self, task_id: str) -> str:
        item = Table(self._stack.client("dynamodb"), self._table).get({"task_id": task_id}) or {}
        return str(item.get("status"))

    def _generate(self, *, deferred: bool = False, **request: Any) -> str:
        prompt = f"{self._name}, generated {deferred}"
        if deferred:
            self._defer(prompt)
        answer = self._client.generate(prompt=prompt, **request)
        self._expect(answer.status_code == HTTPStatus.ACCEPTED, answer.text)
        return str(answer.json()["task_id"])

    def _generate_by_agent(self) -> str:
        """Deferred as well, by serve_mcp."""
        prompt = f"{self._name}, for an agent"
        self._defer(prompt)
        return str(self._tool("flux_generate_image", prompt=prompt, wait_seconds=0)["task_id"])

    def _tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        answer = self._client.request("POST", "/mcp", json=call)
        self._expect(answer.status_code == HTTPStatus.OK and not answer.json()["result"]["isError"], answer.text)
        return dict(answer.json()["result"]["structuredContent"]["result"])

    def _order(self) -> str:
        """Deferred as well, by submit_queued."""
        prompt = f"{self._name}, ordered"
        self._defer(prompt)
        order = {"action": "generate", "owner": OWNER, "prompt": prompt, "idempotency_key": self._name}
        self._send(json.dumps(order))
        return task_id_for(OWNER, self._name)

    def _defer(self, prompt: str) -> None:
        assert self._stack.simulator
        refusal = Behaviour(refusal=Refusal.of("too_many_requests"))
        self._stack.simulator.behave(refusal, when=lambda body: body["prompt"] == prompt)

    def _send(self, body: str) -> None:
        queue = self._stack.deployment.resources["SubmissionQueue"]
        sent = self._stack.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
        self._sent = sent["MessageId"]

    def _leave_to_the_reconciler(self) -> tuple[str, str, str]:
        """One task that nobody has queued, one whose images are gone, so that the archive needs a while, and one that
        the provider does not know."""
        assert self._stack.simulator
        gone = Image(source_url=f"{self._stack.simulator.public_url}/images/gone.png")
        unqueued = self._tasks.create(self._task(Status.QUEUED))
        unarchived = self._tasks.create(self._task(Status.GENERATED, images=(gone,)))
        unknown = self._tasks.create(self._task(Status.SUBMITTED, age=timedelta(hours=2), provider_task_id="unknown"))
        return unqueued.task_id, unarchived.task_id, unknown.task_id

    def _leave_unannounced(self) -> str:
        """As if publish_changes had died between the write of the outcome and its announcement."""
        task_id = self._tasks.create(self._task(Status.FAILED)).task_id
        self._wait_for(lambda: self._stored(task_id).announced, "publish_changes has announced it")
        facts: dict[str, Any] = {
            "announced": {"Action": "DELETE"},
            "due_shard": {"Value": {"N": "0"}},
            "due_at": {"Value": {"S": "2026-01-01T00:00:00.000000Z"}},
        }
        key = {"task_id": {"S": task_id}}
        self._stack.client("dynamodb").update_item(TableName=self._table, Key=key, AttributeUpdates=facts)
        return task_id

    def _task(self, status: Status, age: timedelta = timedelta(minutes=20), **facts: Any) -> Task:
        """Due for some time."""
        then = datetime.now(UTC) - age
        return Task(
            task_id=str(uuid4()), owner=OWNER, status=status, action="generate", model="flux-dev", prompt=self._name,
            size="512x512", count=1, provider="acedata", created_at=then, updated_at=then,
            expires_at=then + timedelta(days=1), **facts,
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
            answer = self._client.get(path)
            self._expect(answer.ok, answer.text)
        self._tool("flux_get_tasks_batch", task_ids=[task_id])
        answer = self._client.request("POST", "/v1/tasks/batch", json={"task_ids": [task_id]})
        self._expect(answer.ok, answer.text)
        self._fetch(self._view(task_id)["images"][0]["url"])
        self._fetch(self._tool("flux_get_task", task_id=task_id)["images"][0]["url"])

    def _fetch(self, url: str) -> None:
        stored = fetch(url)
        self._expect(stored.status_code == HTTPStatus.OK, stored.text)

    def _spoil_stream(self) -> str:
        """A change that publish_changes must fail to handle, and that ends up in the failure destination."""
        item = {"task_id": {"S": f"spoiled-{uuid4()}"}, "status": {"S": "generated"}}
        self._stack.client("dynamodb").put_item(TableName=self._table, Item=item)
        return item["task_id"]["S"]

    def _is_set_aside(self, spoiled: str) -> bool:
        s3, bucket = self._stack.client("s3"), self._stack.deployment.resources["FailedChangesBucket"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return any(spoiled in s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys)

    def _status(self, task_id: str) -> Any:
        """None: an order that has not become a task yet."""
        answer = self._client.get(f"/v1/tasks/{task_id}")
        self._expect(answer.status_code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}, answer.text)
        return answer.json()["status"] if answer.ok else None

    def _webhook(self, task_id: str) -> Any:
        return self._view(task_id)["webhook"]

    def _view(self, task_id: str) -> dict[str, Any]:
        answer = self._client.get(f"/v1/tasks/{task_id}")
        self._expect(answer.status_code == HTTPStatus.OK, answer.text)
        return dict(answer.json())

    def _expect(self, met: bool, answer: str) -> None:
        told_by = time.monotonic() + 2  # a denial may be told later than the answer that it caused
        while not (met or self._denied()) and time.monotonic() < told_by:
            time.sleep(0.05)
        if self._denied():
            raise Interrupted
        assert met, answer

    def _wait_for(self, condition: Callable[[], object], name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self._expect(time.monotonic() < deadline, f"In vain was waited until {name}.")
            time.sleep(0.1)
        self._expect(met=True, answer="")


def test_with_all_permissions_nothing_is_denied(stack: Stack, client: Client, receiver: Receiver) -> None:
    before = len(stack.aws.denials)
    Journey(stack, client, receiver, lambda: False).run()
    assert stack.aws.denials[before:] == []


@pytest.mark.parametrize("permission", list(_permissions()), ids=str)
def test_each_permission_is_needed(stack: Stack, client: Client, receiver: Receiver, permission: Permission) -> None:
    """Also where a role has the same action on several resources: the others' statements stay."""
    wanted = stack.deployment.resources[permission.role], permission.action
    before = len(stack.aws.denials)

    def denied() -> bool:
        return wanted in {(denial.role, denial.action) for denial in stack.aws.denials[before:]}

    with _without(stack, permission), pytest.raises(Interrupted):
        Journey(stack, client, receiver, denied).run()
