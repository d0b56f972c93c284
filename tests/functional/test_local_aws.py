"""The local AWS enforces signatures, permissions and conditional writes."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
import requests
from botocore.exceptions import ClientError

from local.stack import Stack
from tests.waiting import wait_for

KEY = "owner/a b+ü/0.png"


@pytest.fixture(scope="module")
def bucket(backing: Stack) -> str:
    name = backing.deployment.resources["ImagesBucket"]
    backing.client("s3").put_object(Bucket=name, Key=KEY, Body=b"image", ContentType="image/png")
    return name


def _presigned(backing: Stack, bucket: str, role: str, seconds: int = 60, **parameters: str) -> str:
    s3 = backing.client("s3", role)
    parameters = {"Bucket": bucket, "Key": KEY, **parameters}
    return str(s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds))


def _get(url: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=120)


def test_a_presigned_url_returns_the_object(backing: Stack, bucket: str) -> None:
    response = _get(
        _presigned(backing, bucket, "read_tasks", ResponseContentDisposition='attachment; filename="ü.png"')
    )
    assert (response.status_code, response.content) == (200, b"image")
    assert response.headers["Content-Type"] == "image/png"
    assert "attachment" in response.headers["Content-Disposition"]


def test_a_presigned_url_has_only_the_permissions_of_its_signers_role(backing: Stack, bucket: str) -> None:
    response = _get(_presigned(backing, bucket, "archive_images"))
    assert response.status_code == 403
    assert "AccessDenied" in response.text


def test_a_presigned_url_expires(backing: Stack, bucket: str) -> None:
    url = _presigned(backing, bucket, "read_tasks", seconds=1)
    (response,) = wait_for(lambda: [response for response in [_get(url)] if not response.ok])
    assert response.status_code == 403
    assert "Request has expired" in response.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.png", "1.png"),
        ("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=accept"),
    ],
)
def test_a_modified_presigned_url_is_rejected(backing: Stack, bucket: str, old: str, new: str) -> None:
    url = _presigned(backing, bucket, "read_tasks")
    assert old in url
    response = _get(url.replace(old, new))
    assert response.status_code == 403
    assert "SignatureDoesNotMatch" in response.text


def test_a_url_without_a_signature_is_rejected(backing: Stack, bucket: str) -> None:
    assert _get(f"{backing.aws.endpoint}/{bucket}/{quote(KEY)}").status_code == 403


def test_a_role_can_only_access_the_table_that_its_policy_names(backing: Stack) -> None:
    table = backing.deployment.resources["TasksTable"]
    read = backing.client("dynamodb", "read_tasks")
    read.get_item(TableName=table, Key={"task_id": {"S": "none"}})
    query: dict[str, Any] = {
        "KeyConditionExpression": "due_shard = :shard",
        "ExpressionAttributeValues": {":shard": {"N": "1"}},
    }
    with pytest.raises(ClientError, match="AccessDeniedException"):
        read.query(TableName=table, IndexName="due", **query)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        read.get_item(TableName="another", Key={"task_id": {"S": "none"}})
    denied = backing.deployment.functions["read_tasks"].role, "dynamodb:GetItem"
    # Denials are reported asynchronously.
    wait_for(lambda: denied in {(denial.role, denial.action) for denial in backing.aws.denials})


def test_one_of_many_concurrent_conditional_writes_succeeds(backing: Stack) -> None:
    table = backing.deployment.resources["TasksTable"]
    dynamodb = backing.client("dynamodb")

    def claim(task: int, claimant: int) -> bool:
        item = {"task_id": {"S": f"contended-{task}"}, "owner": {"S": str(claimant)}}
        try:
            dynamodb.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(task_id)")
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        for task in range(20):
            wins = list(threads.map(lambda claimant, task=task: claim(task, claimant), range(8)))
            assert wins.count(True) == 1
