"""The reference for receive_callback: the same update in a handwritten handler, with nothing else."""

import hashlib
import json
import os
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    callback = json.loads(event["body"])
    parameters = event["pathParameters"]
    dynamodb.update_item(
        TableName=os.environ["TASKS_TABLE"],
        Key={"task_id": {"S": parameters["task_id"]}},
        UpdateExpression="SET #status = :generated, images = :images",
        ConditionExpression="#status IN (:submitting, :submitted) AND contains(callback_tokens, :token)",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":generated": {"S": "generated"},
            ":submitting": {"S": "submitting"},
            ":submitted": {"S": "submitted"},
            ":token": {"S": hashlib.sha256(parameters["token"].encode()).hexdigest()},
            ":images": {"L": [{"M": {"source_url": {"S": image["image_url"]}}} for image in callback["data"]]},
        },
    )
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": '{"received": true}'}
