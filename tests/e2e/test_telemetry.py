"""A task's id links its logs and traces in all functions, and telemetry contains no secrets."""

import json
import time
from collections.abc import Callable

import pytest

from local.stack import Stack
from tests.e2e.client import Client

FUNCTIONS = {"submit_task", "receive_callback", "publish_changes", "archive_images"}
TIMEOUT = 120  # seconds

pytestmark = pytest.mark.timeout(2 * TIMEOUT)


def test_task_id_links_logs_and_traces_without_secrets(stack: Stack, client: Client) -> None:
    prompt = "a confidential prompt"
    task_id = client.generate(prompt=prompt, metadata={"note": prompt}).json()["task_id"]
    image_url = client.outcome(task_id)["images"][0]["url"]
    assert stack.simulator
    submission = next(s for s in stack.simulator.submissions if task_id in s.body["callback_url"])
    callback = next(c for c in stack.simulator.callbacks if task_id in c.url)
    source_url = callback.body["data"][0]["image_url"]

    wait_for(FUNCTIONS, lambda: logging_functions(stack, task_id))
    # At least one call of each function, and of read_tasks.
    wait_for({"PutItem", "UpdateItem", "SendMessage", "PutObject", "GetItem"}, lambda: traced_calls(stack, task_id))
    token = submission.body["callback_url"].rpartition("/")[2]
    telemetry = "\n".join([line.text for line in stack.logs.lines()] + [json.dumps(trace) for trace in stack.traces])
    for secret in (prompt, token, "Bearer", source_url.rpartition("/")[2], image_url.rpartition("Signature=")[2]):
        assert secret not in telemetry


def wait_for(expected: set[str], observe: Callable[[], set[str]]) -> None:
    """Wait until the observed set contains the expected one."""
    deadline = time.monotonic() + TIMEOUT
    while missing := expected - observe():
        assert time.monotonic() < deadline, f"missing: {missing}"
        time.sleep(0.05)


def logging_functions(stack: Stack, task_id: str) -> set[str]:
    return {line.function for line in stack.logs.lines() if line.record and line.record.get("task_id") == task_id}


def traced_calls(stack: Stack, task_id: str) -> set[str]:
    traces = stack.traces
    trace_ids = {segment["trace_id"] for segment in traces if segment.get("annotations", {}).get("task_id") == task_id}
    return {segment["aws"]["operation"] for segment in traces if segment["trace_id"] in trace_ids and "aws" in segment}
