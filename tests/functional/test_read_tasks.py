"""Reading: an owner sees its own tasks, newest first, with URLs that work."""

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
from fluxgate.tasks.model import Image, Status, Task
from local.seeds import SUBMITTED, SUCCEEDED
from tests.harness import OWNER, Event, Functions, Response, event, with_body

TASK = event("read_tasks.good_task")
LIST = event("read_tasks.good_list")


def asked_by(owner: str, event: Event, **query: str) -> Event:
    event = json.loads(json.dumps(event))
    event["requestContext"]["identity"]["apiKeyId"] = owner
    event["queryStringParameters"] = query or None
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()} or None
    return event


@pytest.fixture
def owner(functions: Functions) -> str:
    """A new owner with twelve tasks, one a second; every third has succeeded."""
    name = uuid4().hex
    begin = datetime(2026, 11, 22, tzinfo=UTC)
    for n in range(12):
        moment = begin + timedelta(seconds=n)
        functions.store(
            Task(
                task_id=f"{name}-{n:02}", owner=name, status=Status.SUBMITTED if n % 3 else Status.SUCCEEDED,
                action="generate", model="flux-dev", prompt="a fox", size="1024x1024", count=1, provider="acedata",
                created_at=moment, updated_at=moment, expires_at=moment,
                images=() if n % 3 else (Image(source_url="https://cdn/1.png"),),
            )
        )  # fmt: skip
    return name


def numbers(answer: Response) -> list[int]:
    return [int(task["task_id"][-2:]) for task in answer.body["tasks"]]


def test_a_succeeded_task_has_a_url_from_which_the_picture_comes(functions: Functions) -> None:
    functions.seed()
    answer = functions.http("read_tasks", TASK)
    assert (answer.status, answer.body["task_id"], answer.body["status"]) == (200, SUCCEEDED, "succeeded")
    (image,) = answer.body["images"]
    assert (image["archived"], image["content_type"], image["width"]) == (True, "image/png", 512)
    picture = requests.get(image["url"], timeout=10)
    assert picture.status_code == 200
    assert len(picture.content) == image["bytes"]
    assert functions.calls == ["dynamodb:GetItem"]


def test_an_unknown_task_and_anothers_task_are_the_same_404(functions: Functions) -> None:
    functions.seed()
    unknown = functions.http("read_tasks", event("read_tasks.bad_unknown_task"))
    anothers = functions.http("read_tasks", asked_by("someone-else", TASK))
    assert unknown.status == anothers.status == 404
    assert unknown.body == anothers.body
    assert unknown.body["code"] == "task_not_found"


def test_a_list_is_newest_first_and_goes_on_behind_its_cursor(functions: Functions, owner: str) -> None:
    first = functions.http("read_tasks", asked_by(owner, LIST, limit="5"))
    second = functions.http("read_tasks", asked_by(owner, LIST, limit="5", cursor=first.body["cursor"]))
    third = functions.http("read_tasks", asked_by(owner, LIST, limit="5", cursor=second.body["cursor"]))
    assert [numbers(page) for page in (first, second, third)] == [[11, 10, 9, 8, 7], [6, 5, 4, 3, 2], [1, 0]]
    assert third.body["cursor"] is None
    assert functions.calls == ["dynamodb:Query"] * 3


def test_a_page_that_ends_with_the_last_task_has_no_cursor(functions: Functions, owner: str) -> None:
    page = functions.http("read_tasks", asked_by(owner, LIST, limit="12"))
    assert (len(page.body["tasks"]), page.body["cursor"]) == (12, None)


@pytest.mark.parametrize(
    ("status", "found"),
    [("succeeded", [9, 6, 3, 0]), ("processing", [11, 10, 8, 7, 5, 4, 2, 1]), ("failed", []), ("queued", [])],
)
def test_a_list_can_be_of_one_status(functions: Functions, owner: str, status: str, found: list[int]) -> None:
    assert numbers(functions.http("read_tasks", asked_by(owner, LIST, status=status))) == found


def test_a_filtered_list_loses_nothing_between_pages(
    functions: Functions, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxgate.tasks.store.FILTERED_PAGE", 2)
    monkeypatch.setattr("fluxgate.tasks.store.MAX_PAGES", 2)
    found: list[int] = []
    query = {"status": "succeeded", "limit": "2"}
    for _ in range(20):
        page = functions.http("read_tasks", asked_by(owner, LIST, **query))
        found += numbers(page)
        if not (cursor := page.body["cursor"]):
            break
        query["cursor"] = cursor
    assert found == [9, 6, 3, 0]


def test_another_owner_cannot_use_the_cursor(functions: Functions, owner: str) -> None:
    cursor = functions.http("read_tasks", asked_by(owner, LIST, limit="5")).body["cursor"]
    answer = functions.http("read_tasks", asked_by("someone-else", LIST, cursor=cursor))
    assert (answer.status, set(answer.violations)) == (422, {"cursor"})
    assert owner not in cursor


@pytest.mark.parametrize("cursor", ["x", "%%%", "AAAA", "W10", "bnVsbA", "WyJhIiwiYiJd", "e30", "\u00e9"])
def test_a_cursor_that_was_made_up_is_refused(functions: Functions, cursor: str) -> None:
    answer = functions.http("read_tasks", asked_by("local", LIST, cursor=cursor))
    assert (answer.status, set(answer.violations)) == (422, {"cursor"})


def test_every_bad_query_parameter_is_named(functions: Functions) -> None:
    answer = functions.http("read_tasks", event("read_tasks.bad_query"))
    assert answer.status == 422
    assert answer.violations.keys() == {"status", "limit"}
    assert "processing" in answer.violations["status"]


def test_models_are_listed_with_their_sizes(functions: Functions) -> None:
    answer = functions.http("read_tasks", event("read_tasks.good_models"))
    assert answer.status == 200
    models: dict[str, Any] = {model["name"]: model for model in answer.body["models"]}
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
    assert (answer.body["max_count"], answer.body["max_prompt"]) == (4, 4000)


def test_an_unknown_route_is_a_problem(functions: Functions) -> None:
    lost = json.loads(json.dumps(LIST))
    lost["path"] = lost["resource"] = "/v1/nothing"
    answer = functions.http("read_tasks", lost)
    assert (answer.status, answer.body["code"]) == (404, "route_not_found")


SECRET = event("read_tasks.good_webhook_secret")


@pytest.fixture
def signing_key(functions: Functions) -> Iterator[Callable[..., SigningKeys]]:
    """Puts another signing key into the stack for the time of the test."""
    arn = functions.stack.deployment.resources["WebhookSigningKeySecret"]
    client = functions.stack.client("secretsmanager")
    before = client.get_secret_value(SecretId=arn)["SecretString"]

    def store(**stored: str) -> SigningKeys:
        client.put_secret_value(SecretId=arn, SecretString=json.dumps(stored))
        return SigningKeys.from_secret(SecretStr(json.dumps(stored)))

    yield store
    client.put_secret_value(SecretId=arn, SecretString=before)


def test_an_owner_gets_its_webhook_secret_which_verifies_what_is_signed_for_it(
    functions: Functions, signing_key: Callable[..., SigningKeys]
) -> None:
    keys = signing_key(current="one")
    answer = functions.http("read_tasks", SECRET)
    assert (answer.status, answer.body.keys()) == (200, {"secret"})
    assert answer.body["secret"].startswith("whsec_")
    Webhook(answer.body["secret"]).verify(b"{}", keys.headers(OWNER, "t.succeeded", b"{}", datetime.now(UTC)))
    assert functions.calls == ["secretsmanager:GetSecretValue"]
    assert answer.body["secret"].removeprefix("whsec_") not in functions.logs()


def test_owners_have_different_secrets_and_aliases_share_one(functions: Functions) -> None:
    def secret(owner: str, **environment: str) -> str:
        return str(functions.http("read_tasks", asked_by(owner, SECRET), **environment).body["secret"])

    assert secret("one") == secret("one") != secret("two")
    assert secret("key-1", OWNER_ALIASES="key-1=team,key-2=team") == secret("key-2", OWNER_ALIASES="key-2=team")


def test_during_a_rotation_the_new_secret_is_given(
    functions: Functions, signing_key: Callable[..., SigningKeys]
) -> None:
    new = signing_key(current="two").secrets(OWNER)[0].get_secret_value()
    signing_key(current="two", previous="one")
    assert functions.http("read_tasks", SECRET).body["secret"] == new


def test_without_a_signing_key_there_is_no_secret(
    functions: Functions, signing_key: Callable[..., SigningKeys]
) -> None:
    with pytest.raises(CredentialsUnavailable):
        signing_key(current="", previous="one")
    answer = functions.http("read_tasks", SECRET)
    assert (answer.status, answer.body["code"]) == (503, "credentials_unavailable")


def test_many_tasks_in_one_request(functions: Functions) -> None:
    functions.seed()
    answer = functions.http("read_tasks", event("read_tasks.good_batch"))
    assert answer.status == 200
    assert [task["task_id"] for task in answer.body["tasks"]] == [SUCCEEDED, SUBMITTED]
    assert answer.body["tasks"][0]["images"][0]["archived"] is True
    assert answer.body["missing"] == ["00000000-0000-4000-8000-000000000009"]
    assert functions.calls == ["dynamodb:BatchGetItem"]


def batch(*task_ids: Any) -> Event:
    return with_body(event("read_tasks.good_batch"), {"task_ids": list(task_ids)})


def test_a_batch_shows_only_ones_own(functions: Functions) -> None:
    functions.seed()
    table = functions.stack.deployment.resources["TasksTable"]
    functions.stack.client("dynamodb").update_item(
        TableName=table,
        Key={"task_id": {"S": SUCCEEDED}},
        AttributeUpdates={"owner": {"Action": "PUT", "Value": {"S": "somebody-else"}}},
    )
    answer = functions.http("read_tasks", batch(SUCCEEDED, SUBMITTED, SUBMITTED))
    assert [task["task_id"] for task in answer.body["tasks"]] == [SUBMITTED]
    assert answer.body["missing"] == [SUCCEEDED]


TOO_MUCH = {
    "none": ((), "task_ids"),
    "too many": (("x",) * 51, "task_ids"),
    "an empty one": (("",), "task_ids.0"),
    "a number": ((7,), "task_ids.0"),
    "a long one": (("x" * 65,), "task_ids.0"),
}


@pytest.mark.parametrize(("task_ids", "field"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_batch_has_its_limits(functions: Functions, task_ids: Any, field: str) -> None:
    answer = functions.http("read_tasks", batch(*task_ids))
    assert (answer.status, list(answer.violations)) == (422, [field])
    assert functions.calls == []


def test_what_a_throttled_table_leaves_out_is_asked_for_again(functions: Functions) -> None:
    functions.seed()
    table = functions.stack.deployment.resources["TasksTable"]
    nothing = {
        "Responses": {table: []},
        "UnprocessedKeys": {table: {"Keys": [{"task_id": {"S": SUCCEEDED}}], "ConsistentRead": True}},
        "ResponseMetadata": {},
    }
    response = type("Response", (), {"status_code": 200, "headers": {}, "content": b""})()
    functions.before_call = lambda **_: (response, nothing) if len(functions.calls) == 1 else None
    answer = functions.http("read_tasks", batch(SUCCEEDED))
    assert [task["task_id"] for task in answer.body["tasks"]] == [SUCCEEDED]
    functions.before_call = lambda **_: (response, nothing)
    assert functions.http("read_tasks", batch(SUCCEEDED)).body["code"] == "storage_unavailable"
