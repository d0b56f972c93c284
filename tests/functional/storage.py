"""Direct reads of the deployed table and bucket, with the deployer's permissions."""

from datetime import datetime
from typing import Any

from tests.harness import Functions


def stored_item(functions: Functions, task_id: str) -> dict[str, Any] | None:
    """The task's item in DynamoDB's attribute format. None if there is none."""
    table = functions.stack.deployment.resources["TasksTable"]
    response = functions.stack.client("dynamodb").get_item(TableName=table, Key={"task_id": {"S": task_id}})
    return dict(response["Item"]) if "Item" in response else None


def stored_due_at(functions: Functions, task_id: str) -> datetime | None:
    """When the task is due. None if it is not in the `due` index."""
    item = stored_item(functions, task_id)
    assert item
    assert ("due_at" in item) == ("due_shard" in item)
    return datetime.fromisoformat(item["due_at"]["S"]) if "due_at" in item else None


def bucket_keys(functions: Functions) -> list[str]:
    bucket = functions.stack.deployment.resources["ImagesBucket"]
    contents = functions.stack.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return [entry["Key"] for entry in contents]


def bucket_object(functions: Functions, key: str) -> tuple[bytes, str]:
    """Content and content type."""
    bucket = functions.stack.deployment.resources["ImagesBucket"]
    response = functions.stack.client("s3").get_object(Bucket=bucket, Key=key)
    return response["Body"].read(), response["ContentType"]
