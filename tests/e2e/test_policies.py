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
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest

from local.stack import ROOT, Stack
from local.template import of_type, translate
from tests.e2e.client import Client, fetch

PATIENCE = 15  # seconds for what goes on behind the API


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
    """Everything that happens to a task, and to a change of it that cannot be handled."""

    def __init__(self, stack: Stack, client: Client, denied: Callable[[], bool]) -> None:
        """Ends by Interrupted as soon as `denied`."""
        self._stack = stack
        self._client = client
        self._denied = denied

    def run(self) -> None:
        spoiled = self._spoil_stream()
        answer = self._client.generate()
        self._expect(answer.status_code == HTTPStatus.ACCEPTED, answer.text)
        task_id = answer.json()["task_id"]
        self._wait_for(lambda: self._task(task_id)["status"] == "succeeded", "the task succeeds")
        self._wait_for(lambda: self._is_set_aside(spoiled), "the spoiled change is set aside")
        listed = self._client.get("/v1/tasks")
        self._expect(task_id in listed.text, listed.text)
        stored = fetch(self._task(task_id)["images"][0]["url"])
        self._expect(stored.status_code == HTTPStatus.OK, stored.text)

    def _spoil_stream(self) -> str:
        """A change that publish_changes must fail to handle, and that ends up in the failure destination."""
        item = {"task_id": {"S": f"spoiled-{uuid4()}"}, "status": {"S": "generated"}}
        table = self._stack.deployment.resources["TasksTable"]
        self._stack.client("dynamodb").put_item(TableName=table, Item=item)
        return item["task_id"]["S"]

    def _is_set_aside(self, spoiled: str) -> bool:
        s3, bucket = self._stack.client("s3"), self._stack.deployment.resources["FailedChangesBucket"]
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return any(spoiled in s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys)

    def _task(self, task_id: str) -> dict[str, Any]:
        answer = self._client.get(f"/v1/tasks/{task_id}")
        self._expect(answer.status_code == HTTPStatus.OK, answer.text)
        return dict(answer.json())

    def _expect(self, met: bool, answer: str) -> None:
        if self._denied():
            raise Interrupted
        assert met, answer

    def _wait_for(self, condition: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self._expect(time.monotonic() < deadline, f"In vain was waited until {name}.")
            time.sleep(0.1)


def test_with_all_permissions_nothing_is_denied(stack: Stack, client: Client) -> None:
    before = len(stack.aws.denials)
    Journey(stack, client, lambda: False).run()
    assert stack.aws.denials[before:] == []


@pytest.mark.parametrize("permission", list(_permissions()), ids=str)
def test_each_permission_is_needed(stack: Stack, client: Client, permission: Permission) -> None:
    wanted = stack.deployment.resources[permission.role], permission.action
    before = len(stack.aws.denials)

    def denied() -> bool:
        return wanted in {(denial.role, denial.action) for denial in stack.aws.denials[before:]}

    with _without(stack, permission), pytest.raises(Interrupted):
        Journey(stack, client, denied).run()
