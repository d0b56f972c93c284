"""A task's id links its logs and traces in all functions, and telemetry contains no secrets."""

import json

from local.stack import Stack
from tests.e2e.client import Client
from tests.waiting import wait_for

FUNCTIONS = {"submit_task", "receive_callback", "publish_changes", "archive_images"}
CALLS = {"PutItem", "UpdateItem", "SendMessage", "PutObject", "GetItem"}  # at least one of each of them and read_tasks


def test_task_id_links_logs_and_traces_without_secrets(stack: Stack, client: Client) -> None:
    prompt = "a confidential prompt"
    task_id = client.generate(prompt=prompt, metadata={"note": prompt}).json()["task_id"]
    image_url = client.outcome(task_id)["images"][0]["url"]
    assert stack.simulator
    submission = next(s for s in stack.simulator.submissions if task_id in s.body["callback_url"])
    callback = next(c for c in stack.simulator.callbacks if task_id in c.url)
    source_url = callback.body["data"][0]["image_url"]

    wait_for(lambda: logging_functions(stack, task_id) >= FUNCTIONS)
    wait_for(lambda: traced_calls(stack, task_id) >= CALLS)
    token = submission.body["callback_url"].rpartition("/")[2]
    telemetry = "\n".join([line.text for line in stack.logs.lines()] + [json.dumps(trace) for trace in stack.traces])
    for secret in (prompt, token, "Bearer", source_url.rpartition("/")[2], image_url.rpartition("Signature=")[2]):
        assert secret not in telemetry


def logging_functions(stack: Stack, task_id: str) -> set[str]:
    return {line.function for line in stack.logs.lines() if line.record and line.record.get("task_id") == task_id}


def traced_calls(stack: Stack, task_id: str) -> set[str]:
    traces = stack.traces
    trace_ids = {segment["trace_id"] for segment in traces if segment.get("annotations", {}).get("task_id") == task_id}
    return {segment["aws"]["operation"] for segment in traces if segment["trace_id"] in trace_ids and "aws" in segment}
