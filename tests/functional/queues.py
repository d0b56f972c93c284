"""Reading the queues of the local stack."""

import json
from typing import Any

from tests.harness import Functions


def drain(functions: Functions, queue: str) -> list[Any]:
    """Remove the messages that are visible now and return their JSON bodies. Does not wait."""
    sqs, url = functions.stack.client("sqs"), functions.stack.deployment.resources[queue]
    bodies = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies
