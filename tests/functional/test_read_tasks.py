"""Reading tasks, lists, batches, models and the webhook secret: an owner sees only its own."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from fluxgate.errors import CredentialsUnavailable
from fluxgate.outcomes.signing import SigningKeys
from fluxgate.tasks.model import Image, Status
from local.seeds import SUBMITTED, SUCCEEDED
from tests.builders import a_task
from tests.functional.aws_calls import aws_response
from tests.harness import OWNER, Event, Functions, Response, event, with_body

TASK = event("read_tasks.good_task")
LIST = event("read_tasks.good_list")


def requested_by(owner: str, event: Event, **query: str) -> Event:
    """The event sent by another owner, with these query parameters."""
    event = json.loads(json.dumps(event))
    event["requestContext"]["identity"]["apiKeyId"] = owner
    event["queryStringParameters"] = query or None
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()} or None
    return event


@pytest.fixture
def owner(functions: Functions) -> str:
    """A new owner with twelve tasks, created one second apart, of which every third has succeeded."""
    name = uuid4().hex
    first = datetime(2026, 11, 22, tzinfo=UTC)
    for n in range(12):
        succeeded = n % 3 == 0
        functions.store(
            a_task(
                task_id=f"{name}-{n:02}",
                owner=name,
                status=Status.SUCCEEDED if succeeded else Status.SUBMITTED,
                created_at=first + timedelta(seconds=n),
                images=(Image(source_url="https://cdn/1.png"),) if succeeded else (),
            )
        )
    return name


def numbers(response: Response) -> list[int]:
    """The numbers of the owner's tasks in a list."""
    return [int(task["task_id"][-2:]) for task in response.body["tasks"]]


def test_a_succeeded_task_has_a_url_that_returns_the_image(functions: Functions) -> None:
    functions.seed()
    response = functions.http("read_tasks", TASK)
    assert (response.status, response.body["task_id"], response.body["status"]) == (200, SUCCEEDED, "succeeded")
    (image,) = response.body["images"]
    assert (image["archived"], image["content_type"], image["width"]) == (True, "image/png", 512)
    download = requests.get(image["url"], timeout=120)
    assert download.status_code == 200
    assert len(download.content) == image["bytes"]
    assert functions.calls == ["dynamodb:GetItem"]


def test_an_unknown_task_and_another_owners_task_have_the_same_404_response(functions: Functions) -> None:
    functions.seed()
    unknown = functions.http("read_tasks", event("read_tasks.bad_unknown_task"))
    not_owned = functions.http("read_tasks", requested_by("someone-else", TASK))
    assert unknown.status == not_owned.status == 404
    assert unknown.body == not_owned.body
    assert unknown.body["code"] == "task_not_found"


def test_a_list_is_newest_first_and_continues_at_its_cursor(functions: Functions, owner: str) -> None:
    first = functions.http("read_tasks", requested_by(owner, LIST, limit="5"))
    second = functions.http("read_tasks", requested_by(owner, LIST, limit="5", cursor=first.body["cursor"]))
    third = functions.http("read_tasks", requested_by(owner, LIST, limit="5", cursor=second.body["cursor"]))
    assert [numbers(page) for page in (first, second, third)] == [[11, 10, 9, 8, 7], [6, 5, 4, 3, 2], [1, 0]]
    assert third.body["cursor"] is None
    assert functions.calls == ["dynamodb:Query"] * 3


def test_the_last_page_has_no_cursor(functions: Functions, owner: str) -> None:
    page = functions.http("read_tasks", requested_by(owner, LIST, limit="12"))
    assert (len(page.body["tasks"]), page.body["cursor"]) == (12, None)


@pytest.mark.parametrize(
    ("status", "found"),
    [("succeeded", [9, 6, 3, 0]), ("processing", [11, 10, 8, 7, 5, 4, 2, 1]), ("failed", []), ("queued", [])],
)
def test_a_list_can_be_filtered_by_status(functions: Functions, owner: str, status: str, found: list[int]) -> None:
    assert numbers(functions.http("read_tasks", requested_by(owner, LIST, status=status))) == found


def test_a_filtered_list_is_complete_across_pages(
    functions: Functions, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxgate.tasks.store.FILTERED_PAGE", 2)
    monkeypatch.setattr("fluxgate.tasks.store.MAX_PAGES", 2)
    found: list[int] = []
    query = {"status": "succeeded", "limit": "2"}
    for _ in range(20):
        page = functions.http("read_tasks", requested_by(owner, LIST, **query))
        found += numbers(page)
        if not (cursor := page.body["cursor"]):
            break
        query["cursor"] = cursor
    assert found == [9, 6, 3, 0]


def test_a_cursor_of_another_owner_is_rejected(functions: Functions, owner: str) -> None:
    cursor = functions.http("read_tasks", requested_by(owner, LIST, limit="5")).body["cursor"]
    response = functions.http("read_tasks", requested_by("someone-else", LIST, cursor=cursor))
    assert (response.status, set(response.violations)) == (422, {"cursor"})
    assert owner not in cursor


@pytest.mark.parametrize("cursor", ["x", "%%%", "AAAA", "W10", "bnVsbA", "WyJhIiwiYiJd", "e30", "\u00e9"])
def test_a_forged_cursor_is_rejected(functions: Functions, cursor: str) -> None:
    response = functions.http("read_tasks", requested_by("local", LIST, cursor=cursor))
    assert (response.status, set(response.violations)) == (422, {"cursor"})


def test_every_invalid_query_parameter_is_reported(functions: Functions) -> None:
    response = functions.http("read_tasks", event("read_tasks.bad_query"))
    assert response.status == 422
    assert response.violations.keys() == {"status", "limit"}
    assert "processing" in response.violations["status"]


def test_models_are_listed_with_their_sizes(functions: Functions) -> None:
    response = functions.http("read_tasks", event("read_tasks.good_models"))
    assert response.status == 200
    models: dict[str, Any] = {model["name"]: model for model in response.body["models"]}
    assert len(models) == 10
    assert models["flux-dev"] == {
        "name": "flux-dev",
        "description": "Fast development model, good balance of speed and quality",
        "actions": ["generate", "edit"],
        "size": "WIDTHxHEIGHT, both from 256 to 1440 and multiples of 32",
        "sizes": ["1024x1024", "1184x896", "896x1184", "1248x832", "832x1248", "1376x768", "768x1376"],
        "pixels": {"minimum": 256, "maximum": 1440, "multiple_of": 32},
        "default_size": "1024x1024",
        "default_for": ["generate"],
    }
    assert (models["flux-kontext-pro"]["sizes"][:2], models["flux-kontext-pro"]["pixels"]) == (["1:1", "16:9"], None)
    assert "21:9" in models["flux-kontext-pro"]["size"]
    assert (response.body["max_count"], response.body["max_prompt"]) == (4, 4000)


def test_an_unknown_route_is_a_404_problem(functions: Functions) -> None:
    request = event("read_tasks.good_list")
    request["path"] = request["resource"] = "/v1/nothing"
    response = functions.http("read_tasks", request)
    assert (response.status, response.body["code"]) == (404, "route_not_found")


SECRET = event("read_tasks.good_webhook_secret")


@pytest.fixture
def signing_key(functions: Functions) -> Iterator[Callable[..., SigningKeys]]:
    """Stores another signing key in the stack, until the test ends."""
    arn = functions.stack.deployment.resources["WebhookSigningKeySecret"]
    client = functions.stack.client("secretsmanager")
    before = client.get_secret_value(SecretId=arn)["SecretString"]

    def store(**stored: str) -> SigningKeys:
        client.put_secret_value(SecretId=arn, SecretString=json.dumps(stored))
        return SigningKeys.from_secret(SecretStr(json.dumps(stored)))

    yield store
    client.put_secret_value(SecretId=arn, SecretString=before)


def test_an_owner_gets_the_webhook_secret_that_verifies_its_webhooks(
    functions: Functions, signing_key: Callable[..., SigningKeys]
) -> None:
    keys = signing_key(current="one")
    response = functions.http("read_tasks", SECRET)
    assert (response.status, response.body.keys()) == (200, {"secret"})
    assert response.body["secret"].startswith("whsec_")
    Webhook(response.body["secret"]).verify(b"{}", keys.headers(OWNER, "t.succeeded", b"{}", datetime.now(UTC)))
    assert functions.calls == ["secretsmanager:GetSecretValue"]
    assert response.body["secret"].removeprefix("whsec_") not in functions.logs()


def test_every_owner_has_its_own_secret_and_keys_with_the_same_alias_share_one(functions: Functions) -> None:
    def secret(owner: str, **environment: str) -> str:
        return str(functions.http("read_tasks", requested_by(owner, SECRET), **environment).body["secret"])

    assert secret("one") == secret("one") != secret("two")
    assert secret("key-1", OWNER_ALIASES="key-1=team,key-2=team") == secret("key-2", OWNER_ALIASES="key-2=team")


def test_during_a_rotation_the_new_secret_is_returned(
    functions: Functions, signing_key: Callable[..., SigningKeys]
) -> None:
    new = signing_key(current="two").secrets(OWNER)[0].get_secret_value()
    signing_key(current="two", previous="one")
    assert functions.http("read_tasks", SECRET).body["secret"] == new


def test_without_a_signing_key_the_secret_is_unavailable(
    functions: Functions, signing_key: Callable[..., SigningKeys]
) -> None:
    with pytest.raises(CredentialsUnavailable):
        signing_key(current="", previous="one")
    response = functions.http("read_tasks", SECRET)
    assert (response.status, response.body["code"]) == (503, "credentials_unavailable")


def test_a_batch_returns_tasks_in_the_requested_order_and_lists_missing_ids(functions: Functions) -> None:
    functions.seed()
    response = functions.http("read_tasks", event("read_tasks.good_batch"))
    assert response.status == 200
    assert [task["task_id"] for task in response.body["tasks"]] == [SUCCEEDED, SUBMITTED]
    assert response.body["tasks"][0]["images"][0]["archived"] is True
    assert response.body["missing"] == ["00000000-0000-4000-8000-000000000009"]
    assert functions.calls == ["dynamodb:BatchGetItem"]


def batch(*task_ids: Any) -> Event:
    return with_body(event("read_tasks.good_batch"), {"task_ids": list(task_ids)})


def test_a_batch_returns_only_the_owners_tasks(functions: Functions) -> None:
    functions.seed()
    table = functions.stack.deployment.resources["TasksTable"]
    functions.stack.client("dynamodb").update_item(
        TableName=table,
        Key={"task_id": {"S": SUCCEEDED}},
        AttributeUpdates={"owner": {"Action": "PUT", "Value": {"S": "somebody-else"}}},
    )
    response = functions.http("read_tasks", batch(SUCCEEDED, SUBMITTED, SUBMITTED))
    assert [task["task_id"] for task in response.body["tasks"]] == [SUBMITTED]
    assert response.body["missing"] == [SUCCEEDED]


INVALID_BATCHES = {
    "none": ((), "task_ids"),
    "too many": (("x",) * 51, "task_ids"),
    "an empty one": (("",), "task_ids.0"),
    "a number": ((7,), "task_ids.0"),
    "a long one": (("x" * 65,), "task_ids.0"),
}


@pytest.mark.parametrize(("task_ids", "field"), INVALID_BATCHES.values(), ids=INVALID_BATCHES)
def test_an_invalid_batch_is_rejected(functions: Functions, task_ids: Any, field: str) -> None:
    response = functions.http("read_tasks", batch(*task_ids))
    assert (response.status, list(response.violations)) == (422, [field])
    assert functions.calls == []


def test_tasks_that_a_throttled_table_omits_are_requested_again(functions: Functions) -> None:
    functions.seed()
    table = functions.stack.deployment.resources["TasksTable"]
    unprocessed = {table: {"Keys": [{"task_id": {"S": SUCCEEDED}}], "ConsistentRead": True}}
    throttled = aws_response({"Responses": {table: []}, "UnprocessedKeys": unprocessed})
    functions.before_call = lambda **_: throttled if len(functions.calls) == 1 else None
    response = functions.http("read_tasks", batch(SUCCEEDED))
    assert [task["task_id"] for task in response.body["tasks"]] == [SUCCEEDED]
    functions.before_call = lambda **_: throttled
    assert functions.http("read_tasks", batch(SUCCEEDED)).body["code"] == "storage_unavailable"
