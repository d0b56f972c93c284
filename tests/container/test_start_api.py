"""One generation from the request to the image, with every function in a container and real events.

`sam local` has no stream or queue triggers: the test passes their records to the next function.
"""

import json
from io import BytesIO
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from local.sam import SamLocal

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]

PROMPT = "A lighthouse in a storm"


def change_to(sam_local: SamLocal, status: str, task_id: str) -> Any:
    """The stream event about a task's transition to a status."""
    dynamodb, streams = (sam_local.stack.client(service) for service in ("dynamodb", "dynamodbstreams"))
    table = sam_local.stack.deployment.resources["TasksTable"]
    arn = dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    position = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    records = streams.get_records(ShardIterator=streams.get_shard_iterator(**position)["ShardIterator"])["Records"]
    (record,) = (
        record
        for record in records
        if record["dynamodb"].get("NewImage", {}).get("status") == {"S": status}
        and record["dynamodb"]["Keys"]["task_id"] == {"S": task_id}
    )
    return {"Records": [record | {"eventSourceARN": arn}]}


def message_on(sam_local: SamLocal, queue: str) -> Any:
    """The event about the only message in a queue."""
    url = sam_local.stack.deployment.resources[queue]
    sqs = sam_local.stack.client("sqs")
    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    record = {"messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"]}
    return {"Records": [record | {"attributes": message["Attributes"], "eventSource": "aws:sqs"}]}


def download(sam_local: SamLocal, url: str) -> bytes:
    """Connect to the local endpoint with the signed Host header, which is this machine's name in containers."""
    signed = urlsplit(url)
    local_url = signed._replace(netloc=urlsplit(sam_local.stack.aws.endpoint).netloc).geturl()
    response = requests.get(local_url, headers={"Host": signed.netloc}, timeout=120)
    assert response.status_code == 200, response.text
    return response.content


def test_generation_from_request_to_stored_image(sam_local: SamLocal, tmp_path: Path) -> None:
    def invoke(function: str, event: Any) -> None:
        file = tmp_path / f"{function}.json"
        file.write_text(json.dumps(event, default=lambda moment: moment.timestamp()))
        done = sam_local.invoke(function, file, stdout=PIPE, stderr=PIPE)
        assert json.loads(done.stdout) == {"batchItemFailures": []}, done.stderr

    resources = sam_local.stack.deployment.resources
    sam_local.stack.client("sqs").purge_queue(QueueUrl=resources["ArchiveQueue"])
    with (tmp_path / "sam.log").open("w+") as log, sam_local.api(stderr=log, stdout=log):
        request = {"prompt": PROMPT, "size": "256x320"}
        accepted = requests.post(f"{sam_local.url}/v1/images/generations", json=request, timeout=120)
        assert accepted.status_code == 202, accepted.text
        task = accepted.json()
        assert task["status"] == "processing"

        simulator = sam_local.simulator
        simulator.wait_for(lambda: [callback.status for callback in simulator.callbacks[-1:]] == [200], timeout=120)
        assert simulator.submissions[-1].body["prompt"] == PROMPT
        invoke("PublishChangesFunction", change_to(sam_local, "generated", task["task_id"]))
        invoke("ArchiveImagesFunction", message_on(sam_local, "ArchiveQueue"))

        done = requests.get(f"{sam_local.url}/v1/tasks/{task['task_id']}", timeout=120).json()
        assert done["status"] == "succeeded"
        with Image.open(BytesIO(download(sam_local, done["images"][0]["url"]))) as image:
            assert (image.format, image.size) == ("PNG", (256, 320))
