"""Invokes every function with every file in events/: `good_…` succeeds, `bad_…` gets its defined rejection."""

import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from local.sam import SamLocal, logical_id
from local.seeds import DELETING, GENERATED, QUEUED, SUBMITTED, SUCCEEDED
from local.stack import ROOT

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]

EVENTS = sorted((ROOT / "events").glob("*.json"))

# The status of a seeded task after an event.
STATUS_AFTER = {
    "archive_images.bad_message": (GENERATED, "generated"),
    "archive_images.good_generated": (GENERATED, "succeeded"),
    "receive_callback.bad_body": (SUBMITTED, "submitted"),
    "receive_callback.bad_token": (SUBMITTED, "submitted"),
    "receive_callback.good_failure": (SUBMITTED, "failed"),
    "receive_callback.good_success": (SUBMITTED, "generated"),
    "delete_task.bad_in_flight": (SUBMITTED, "submitted"),
    "delete_task.good_task": (SUCCEEDED, "deleted"),
    "reconcile_tasks.good_minute": (DELETING, "deleted"),
    "submit_queued.good_deferred": (QUEUED, "submitted"),
}


def status_of(sam_local: SamLocal, task_id: str) -> str:
    table = sam_local.stack.deployment.resources["TasksTable"]
    response = sam_local.stack.client("dynamodb").get_item(TableName=table, Key={"task_id": {"S": task_id}})
    return str(response["Item"]["status"]["S"])


def is_rejected(result: Any) -> bool:
    """Whether the result is the rejection that is defined for the function's trigger."""
    if "batchItemFailures" in result:
        return bool(result["batchItemFailures"])
    if (result["body"] or "").startswith('{"jsonrpc"'):  # MCP has its own error format
        response = json.loads(result["body"])
        return "error" in response or response["result"].get("isError", False)
    if result["statusCode"] < 400:
        return False
    problem = json.loads(result["body"])
    assert 400 <= result["statusCode"] == problem["status"] < 500
    assert {"type", "title", "status", "detail", "code", "errors", "request_id"} == problem.keys()
    return True


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.stem)
def test_events_have_their_defined_result(sam_local: SamLocal, event: Path) -> None:
    sam_local.seed()
    done = sam_local.invoke(logical_id(event.name.partition(".")[0]), event, stdout=PIPE, stderr=PIPE)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    result = result or {"statusCode": 204, "body": None}  # a schedule gets no result
    assert "errorMessage" not in result, done.stderr
    rejected = is_rejected(result) or "Order rejected" in done.stderr  # a rejected order is published as an event
    assert rejected == event.stem.partition(".")[2].startswith("bad_")
    if event.stem in STATUS_AFTER:
        task_id, status = STATUS_AFTER[event.stem]
        assert status_of(sam_local, task_id) == status


def test_invoke_command_prints_the_functions_response(sam: str, sam_options: list[str]) -> None:
    command = [sys.executable, "-m", "local.sam", "--sam", sam, "invoke", "ReadTasksFunction"]
    arguments = ["events/read_tasks.good_task.json", *sam_options]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    task = json.loads(json.loads(done.stdout)["body"])
    assert (task["task_id"], task["status"]) == (SUCCEEDED, "succeeded")
