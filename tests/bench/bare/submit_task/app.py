"""The reference for submit_task: the same calls in a handwritten handler, with nothing else."""

import hashlib
import json
import os
import secrets
import time
import uuid
from typing import Any

import boto3
import requests

dynamodb = boto3.client("dynamodb")
secretsmanager = boto3.client("secretsmanager")
session = requests.Session()
token = None


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    global token  # noqa: PLW0603
    if token is None:
        arn = os.environ["FLUX_API_TOKEN_SECRET_ARN"]
        token = secretsmanager.get_secret_value(SecretId=arn)["SecretString"]
    request = json.loads(event["body"])
    task_id, callback_token = str(uuid.uuid4()), secrets.token_urlsafe(32)
    model, size, count = request.get("model", "flux-dev"), request.get("size", "1024x1024"), request.get("count", 1)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    dynamodb.put_item(
        TableName=os.environ["TASKS_TABLE"],
        Item={
            "task_id": {"S": task_id},
            "owner": {"S": event["requestContext"]["identity"]["apiKeyId"]},
            "status": {"S": "submitting"},
            "prompt": {"S": request["prompt"]},
            "model": {"S": model},
            "size": {"S": size},
            "count": {"N": str(count)},
            "callback_tokens": {"SS": [hashlib.sha256(callback_token.encode()).hexdigest()]},
            "created_at": {"S": now},
        },
        ConditionExpression="attribute_not_exists(task_id)",
    )
    response = session.post(
        f"{os.environ['FLUX_API_URL']}/flux/images",
        json={
            "action": "generate",
            "prompt": request["prompt"],
            "model": model,
            "size": size,
            "count": count,
            "callback_url": f"{os.environ['CALLBACK_BASE_URL']}/callbacks/acedata/{task_id}/{callback_token}",
        },
        headers={"authorization": f"Bearer {token}"},
        timeout=15,
    )
    response.raise_for_status()
    dynamodb.update_item(
        TableName=os.environ["TASKS_TABLE"],
        Key={"task_id": {"S": task_id}},
        UpdateExpression="SET #status = :submitted, provider_task_id = :provider_task_id",
        ConditionExpression="#status = :submitting",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":submitted": {"S": "submitted"},
            ":submitting": {"S": "submitting"},
            ":provider_task_id": {"S": response.json()["task_id"]},
        },
    )
    task = {"task_id": task_id, "status": "processing", "model": model, "size": size, "count": count, "created_at": now}
    return {"statusCode": 202, "headers": {"Content-Type": "application/json"}, "body": json.dumps(task)}
