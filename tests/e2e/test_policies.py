"""Each action that the functions' roles allow is needed: without it, some step of a task's life is denied.

The permissions are those of template.yaml as SAM translates it, SAM's own additions included. They are taken out of
the deployed roles one by one.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest

from local.stack import ROOT, Stack
from local.template import of_type, translate
from tests.e2e.client import Client, fetch

PATIENCE = 15  # seconds for what goes on behind the API
# Where the operation is not called like its permission.
OPERATIONS = {"s3:ListBucket": "HeadBucket"}


@dataclass(frozen=True)
class Permission:
    function: str  # its folder
    role: str
    policy: str
    statement: int
    action: str

    def __str__(self) -> str:
        return f"{self.function}-{self.policy}-{self.statement}-{self.action}"

    @property
    def operation(self) -> str:
        return OPERATIONS.get(self.action, self.action.partition(":")[2])


class Denied(Exception):
    """A step of the journey was not permitted."""


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _permissions() -> Iterator[Permission]:
    template = translate(ROOT / "template.yaml", {"FluxApiToken": "unused"})
    for function in of_type(template, "AWS::Lambda::Function").values():
        properties = function["Properties"]
        role = properties["Role"]["Fn::GetAtt"][0]
        for policy in template["Resources"][role]["Properties"].get("Policies", []):
            for index, statement in enumerate(policy["PolicyDocument"]["Statement"]):
                for action in _listed(statement["Action"]):
                    folder = properties["Code"]["S3Key"].rpartition("/")[2]
                    yield Permission(folder, role, policy["PolicyName"], index, action)


@contextmanager
def _without(stack: Stack, permission: Permission) -> Iterator[None]:
    iam = stack.client("iam")
    names = {"RoleName": stack.deployment.resources[permission.role], "PolicyName": permission.policy}
    document: dict[str, Any] = iam.get_role_policy(**names)["PolicyDocument"]
    changed = json.loads(json.dumps(document))
    statement = changed["Statement"][permission.statement]
    statement["Action"] = [action for action in _listed(statement["Action"]) if action != permission.action]
    iam.put_role_policy(**names, PolicyDocument=json.dumps(changed | {"Statement": _not_empty(changed["Statement"])}))
    stack.runtime.restart(permission.function)  # it may have cached what it is no longer allowed to read
    yield
    iam.put_role_policy(**names, PolicyDocument=json.dumps(document))


def _not_empty(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """IAM knows no statement without an action."""
    nothing = {"Effect": "Deny", "Action": "none:Nothing", "Resource": "*"}
    return [statement for statement in statements if statement["Action"]] or [nothing]


class Journey:
    """Everything that happens to a task, and to a change that cannot be handled. Raises Denied at the first denial."""

    def __init__(self, stack: Stack, client: Client, operation: str = "") -> None:
        self._stack = stack
        self._client = client
        self._operation = operation
        self._past = len(stack.logs.lines())

    def run(self) -> None:
        self._spoil_stream()
        answer = self._client.generate()
        self._expect(answer.status_code == HTTPStatus.ACCEPTED, answer.text)
        task_id = answer.json()["task_id"]
        self._wait_for(lambda: self._succeeded(task_id), "the task succeeds")
        listed = self._client.get("/v1/tasks")
        self._expect(listed.status_code == HTTPStatus.OK and task_id in listed.text, listed.text)
        stored = fetch(self._task["images"][0]["url"])
        self._expect(stored.status_code == HTTPStatus.OK, stored.text)
        self._wait_for(self._is_set_aside, "the spoiled change is set aside")

    def _spoil_stream(self) -> None:
        """A change that publish_changes must fail to handle, and that ends up in the failure destination."""
        self._spoiled = f"spoiled-{uuid4()}"
        item = {"task_id": {"S": self._spoiled}, "status": {"S": "generated"}}
        table = self._stack.deployment.resources["TasksTable"]
        self._stack.client("dynamodb").put_item(TableName=table, Item=item)

    def _is_set_aside(self) -> bool:
        s3, bucket = self._stack.client("s3"), self._stack.deployment.resources["FailedChangesBucket"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return any(self._spoiled in s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys[-5:])

    def _succeeded(self, task_id: str) -> bool:
        answer = self._client.get(f"/v1/tasks/{task_id}")
        self._expect(answer.status_code == HTTPStatus.OK, answer.text)
        self._task = answer.json()
        return bool(self._task["status"] == "succeeded")

    def _expect(self, met: bool, answer: str) -> None:
        if not met:
            raise Denied(answer)

    def _wait_for(self, condition: Any, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            for line in self._stack.logs.lines()[self._past :]:
                if self._operation in line.text and ("AccessDenied" in line.text or "Forbidden" in line.text):
                    raise Denied(line.text)
            assert time.monotonic() < deadline, f"no denial, yet in vain was waited until {name}"
            time.sleep(0.1)


def test_with_all_permissions_nothing_is_denied(stack: Stack, client: Client) -> None:
    Journey(stack, client).run()


@pytest.mark.parametrize("permission", list(_permissions()), ids=str)
def test_each_permission_is_needed(stack: Stack, client: Client, permission: Permission) -> None:
    with _without(stack, permission), pytest.raises(Denied):
        Journey(stack, client, permission.operation).run()
