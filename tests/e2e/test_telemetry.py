"""A task can be followed through all functions by its id, and nothing secret stands in what is watched."""

import json
import time

from local.stack import Stack
from tests.e2e.client import Client

PATH = ["submit_task", "receive_callback", "publish_changes", "archive_images"]


def test_a_tasks_id_ties_the_logs_and_traces_of_all_functions_together(stack: Stack, client: Client) -> None:
    prompt = "nobody may read this"
    task_id = client.generate(prompt=prompt, metadata={"note": prompt}).json()["task_id"]
    image_url = client.settled(task_id)["images"][0]["url"]
    assert stack.simulator
    submission = next(s for s in stack.simulator.submissions if task_id in s.body["callback_url"])
    callback = next(c for c in stack.simulator.callbacks if task_id in c.url)
    source_url = callback.body["data"][0]["image_url"]
    assert stack.logs.wait_for("Task succeeded", function="archive_images")

    records = [line for line in stack.logs.lines() if line.record and line.record.get("task_id") == task_id]
    assert {line.function for line in records} >= set(PATH)
    wait_for_calls(stack, task_id, {"PutItem", "UpdateItem", "SendMessage", "PutObject", "GetItem"})
    token = submission.body["callback_url"].rpartition("/")[2]
    watched = "\n".join([line.text for line in stack.logs.lines()] + [json.dumps(trace) for trace in stack.traces])
    for secret in (prompt, token, "Bearer", source_url.rpartition("/")[2], image_url.rpartition("Signature=")[2]):
        assert secret not in watched


def wait_for_calls(stack: Stack, task_id: str, operations: set[str]) -> None:
    """Until the traces that carry the task's id show these calls to AWS: one of each function."""
    deadline = time.monotonic() + 5
    while operations - (found := traced_calls(stack, task_id)):
        assert time.monotonic() < deadline, f"only {found}"
        time.sleep(0.05)


def traced_calls(stack: Stack, task_id: str) -> set[str]:
    traces = stack.traces
    ours = {part["trace_id"] for part in traces if part.get("annotations", {}).get("task_id") == task_id}
    return {part["aws"]["operation"] for part in traces if part["trace_id"] in ours and "aws" in part}
