"""The whole path over HTTP, through the stack as `make serve` starts it."""

import io
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest
from PIL import Image

from local.providers.acedata import Behaviour, ImageFault, Refusal
from local.stack import Stack
from tests.e2e.client import Client, fetch

PROBLEM = "application/problem+json"


def test_a_generation_becomes_a_stored_picture(client: Client) -> None:
    answer = client.generate(size="512x768", count=2)
    assert answer.status_code == HTTPStatus.ACCEPTED
    assert answer.json()["status"] == "processing"

    task = client.settled(answer.json()["task_id"])

    assert task["status"] == "succeeded"
    assert len(task["images"]) == 2
    for image in task["images"]:
        assert image["archived"]
        stored = fetch(image["url"])
        assert stored.status_code == HTTPStatus.OK
        assert stored.headers["Content-Type"] == image["content_type"] == "image/png"
        assert len(stored.content) == image["bytes"]
        with Image.open(io.BytesIO(stored.content)) as picture:
            assert picture.size == (image["width"], image["height"]) == (512, 768)


def test_an_edit_becomes_a_stored_picture(client: Client) -> None:
    edit = {"prompt": "Make it snow", "image_url": "https://example.com/photo.png"}
    answer = client.request("POST", "/v1/images/edits", json=edit)
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    task = client.settled(answer.json()["task_id"])
    assert (task["status"], task["action"]) == ("succeeded", "edit")
    assert fetch(task["images"][0]["url"]).status_code == HTTPStatus.OK


def test_many_requests_at_once_all_become_pictures(client: Client) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda number: client.generate(prompt=f"Fox number {number}"), range(6)))
    tasks = [client.settled(answer.json()["task_id"], seconds=40) for answer in answers]
    assert [task["status"] for task in tasks] == ["succeeded"] * 6


def test_the_api_also_lives_under_its_stage(client: Client) -> None:
    assert client.get("/prod/v1/models").json() == client.get("/v1/models").json()


def test_the_page_needs_no_key_and_no_slash_after_the_stage(stack: Stack) -> None:
    shown = fetch(f"{stack.url}/")
    assert (shown.status_code, shown.headers["Content-Type"]) == (HTTPStatus.OK, "text/html; charset=utf-8")
    redirected = fetch(f"{stack.url}/prod")
    assert (redirected.url, redirected.text) == (f"{stack.url}/prod/", shown.text)


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_without_a_valid_key_the_gateway_refuses(client: Client, key: str | None) -> None:
    answer = client.get("/v1/tasks", headers={"x-api-key": key})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.json()["code"] == "invalid_api_key"
    assert answer.json()["request_id"] == answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/tasks"), ("DELETE", "/v1/models"), ("HEAD", "/v1/models")])
def test_an_unknown_route_is_not_found(client: Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert answer.headers["Content-Type"] == PROBLEM


def test_the_gateway_takes_no_more_than_ten_megabytes(client: Client) -> None:
    answer = client.request("POST", "/v1/images/generations", data=b" " * (10 * 1024 * 1024 + 1))
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert answer.json()["code"] == "body_too_large"


def test_another_owner_does_not_see_the_task(client: Client, stranger: Client) -> None:
    task_id = client.generate().json()["task_id"]
    answer = stranger.get(f"/v1/tasks/{task_id}")
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert answer.headers["Content-Type"] == PROBLEM
    assert task_id not in stranger.get("/v1/tasks").text
    assert task_id in client.get("/v1/tasks").text


def test_a_bad_request_names_the_fields(client: Client) -> None:
    answer = client.generate(count=9, colour="red")
    assert answer.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    assert answer.headers["Content-Type"] == PROBLEM
    assert {fault["field"] for fault in answer.json()["errors"]} == {"count", "colour"}


def test_a_refusal_of_the_provider_reaches_the_client(stack: Stack, client: Client) -> None:
    assert stack.simulator
    prompt = "Something that is moderated"
    refusal = Behaviour(refusal=Refusal.of("forbidden"))
    stack.simulator.behave(refusal, when=lambda body: body["prompt"] == prompt)
    task = client.settled(client.generate(prompt=prompt).json()["task_id"])
    assert task["status"] == "failed"
    assert task["error"]["code"] == "forbidden"


def test_a_picture_that_cannot_be_fetched_is_reported_as_not_archived(stack: Stack, client: Client) -> None:
    assert stack.simulator
    prompt = "A picture that is gone"
    gone = Behaviour(latency=0, image_fault=ImageFault.MISSING)
    stack.simulator.behave(gone, when=lambda body: body["prompt"] == prompt)
    task = client.settled(client.generate(prompt=prompt).json()["task_id"], seconds=40)
    assert [image["archived"] for image in task["images"]] == [False]


def test_a_forged_callback_is_refused(stack: Stack, client: Client) -> None:
    answer = client.generate()
    task_id = answer.json()["task_id"]
    with Client(stack.callback_url, "none") as forger:
        forged = forger.request("POST", f"/callbacks/acedata/{task_id}/guessed", json={"success": False})
        unrouted = forger.get("/callbacks")
    assert forged.status_code == HTTPStatus.NOT_FOUND
    assert unrouted.status_code == HTTPStatus.NOT_FOUND
    assert client.settled(task_id)["status"] == "succeeded"


def test_the_functions_send_traces(stack: Stack, client: Client) -> None:
    task_id = client.generate().json()["task_id"]
    client.settled(task_id)
    annotated = [trace for trace in stack.traces if trace.get("annotations", {}).get("task_id") == task_id]
    assert {trace["name"] for trace in annotated} >= {"## handler"}, [trace["name"] for trace in stack.traces]
