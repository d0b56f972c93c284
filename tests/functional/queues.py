"""Reading the queues of the local stack."""

import json
from typing import Any

from tests.harness import Functions, Queue
from tests.waiting import wait_for


def drain(functions: Functions, queue: str) -> list[Any]:
    """Remove the messages that are visible now and return their JSON bodies. Does not wait."""
    sqs, url = functions.stack.client("sqs"), functions.stack.deployment.resources[queue]
    bodies = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def wait_for_messages(queue: Queue, task_id: str) -> list[Any]:
    """The messages about the task, once there are any. Ignores delayed messages of earlier tests."""
    return wait_for(lambda: [message for message in queue() if message["task_id"] == task_id])
