"""Requests over HTTP to the stack that `make serve` starts."""

import io
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest
from PIL import Image

from local.providers.acedata import Behaviour, ImageFault, Refusal
from local.stack import Stack
from tests.e2e.client import Client, fetch

PROBLEM = "application/problem+json"


def test_generate_request_results_in_archived_images(client: Client) -> None:
    response = client.generate(size="512x768", count=2)
    assert response.status_code == HTTPStatus.ACCEPTED
    assert response.json()["status"] == "processing"

    task = client.outcome(response.json()["task_id"])

    assert task["status"] == "succeeded"
    assert len(task["images"]) == 2
    for image in task["images"]:
        assert image["archived"]
        stored = fetch(image["url"])
        assert stored.status_code == HTTPStatus.OK
        assert stored.headers["Content-Type"] == image["content_type"] == "image/png"
        assert len(stored.content) == image["bytes"]
        with Image.open(io.BytesIO(stored.content)) as download:
            assert download.size == (image["width"], image["height"]) == (512, 768)


def test_edit_request_results_in_an_archived_image(client: Client) -> None:
    edit = {"prompt": "Make it snow", "image_url": "https://example.com/photo.png"}
    response = client.request("POST", "/v1/images/edits", json=edit)
    assert response.status_code == HTTPStatus.ACCEPTED, response.text
    task = client.outcome(response.json()["task_id"])
    assert (task["status"], task["action"]) == ("succeeded", "edit")
    assert fetch(task["images"][0]["url"]).status_code == HTTPStatus.OK


def test_concurrent_requests_all_succeed(client: Client) -> None:
    with ThreadPoolExecutor(6) as threads:
        responses = list(threads.map(lambda number: client.generate(prompt=f"Fox number {number}"), range(6)))
    tasks = [client.outcome(response.json()["task_id"]) for response in responses]
    assert [task["status"] for task in tasks] == ["succeeded"] * 6


def test_api_is_also_served_under_its_stage(client: Client) -> None:
    assert client.get("/prod/v1/models").json() == client.get("/v1/models").json()


def test_page_needs_no_key_and_redirects_to_a_slash_after_the_stage(stack: Stack) -> None:
    shown = fetch(f"{stack.url}/")
    assert (shown.status_code, shown.headers["Content-Type"]) == (HTTPStatus.OK, "text/html; charset=utf-8")
    redirected = fetch(f"{stack.url}/prod")
    assert (redirected.url, redirected.text) == (f"{stack.url}/prod/", shown.text)


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_request_without_a_valid_key_is_forbidden(client: Client, key: str | None) -> None:
    response = client.get("/v1/tasks", headers={"x-api-key": key})
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert response.headers["Content-Type"] == PROBLEM
    assert response.json()["code"] == "invalid_api_key"
    assert response.json()["request_id"] == response.headers["x-amzn-requestid"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/tasks"), ("DELETE", "/v1/models"), ("HEAD", "/v1/models")])
def test_unknown_route_is_not_found(client: Client, method: str, path: str) -> None:
    response = client.request(method, path)
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response.headers["Content-Type"] == PROBLEM


def test_body_over_ten_megabytes_is_too_large(client: Client) -> None:
    response = client.request("POST", "/v1/images/generations", data=b" " * (10 * 1024 * 1024 + 1))
    assert response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert response.json()["code"] == "body_too_large"


def test_task_is_not_visible_to_another_owner(client: Client, stranger: Client) -> None:
    task_id = client.generate().json()["task_id"]
    response = stranger.get(f"/v1/tasks/{task_id}")
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response.headers["Content-Type"] == PROBLEM
    assert task_id not in stranger.get("/v1/tasks").text
    assert task_id in client.get("/v1/tasks").text


def test_invalid_request_names_the_fields(client: Client) -> None:
    response = client.generate(count=9, colour="red")
    assert response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    assert response.headers["Content-Type"] == PROBLEM
    assert {error["field"] for error in response.json()["errors"]} == {"count", "colour"}


def test_refusal_by_the_provider_is_the_tasks_error(stack: Stack, client: Client) -> None:
    assert stack.simulator
    prompt = "Something that is moderated"
    refusal = Behaviour(refusal=Refusal.of("forbidden"))
    stack.simulator.behave(refusal, when=lambda body: body["prompt"] == prompt)
    task = client.outcome(client.generate(prompt=prompt).json()["task_id"])
    assert task["status"] == "failed"
    assert task["error"]["code"] == "forbidden"


def test_image_that_cannot_be_downloaded_is_not_archived(stack: Stack, client: Client) -> None:
    assert stack.simulator
    prompt = "An image that is missing"
    missing = Behaviour(latency=0, image_fault=ImageFault.MISSING)
    stack.simulator.behave(missing, when=lambda body: body["prompt"] == prompt)
    task = client.outcome(client.generate(prompt=prompt).json()["task_id"])
    assert [image["archived"] for image in task["images"]] == [False]


def test_callback_with_a_wrong_token_is_not_found(stack: Stack, client: Client) -> None:
    response = client.generate()
    task_id = response.json()["task_id"]
    with Client(stack.callback_url, "none") as forger:
        forged = forger.request("POST", f"/callbacks/acedata/{task_id}/guessed", json={"success": False})
        unrouted = forger.get("/callbacks")
    assert forged.status_code == HTTPStatus.NOT_FOUND
    assert unrouted.status_code == HTTPStatus.NOT_FOUND
    assert client.outcome(task_id)["status"] == "succeeded"


def test_functions_send_traces(stack: Stack, client: Client) -> None:
    task_id = client.generate().json()["task_id"]
    client.outcome(task_id)
    annotated = [trace for trace in stack.traces if trace.get("annotations", {}).get("task_id") == task_id]
    assert {trace["name"] for trace in annotated} >= {"## handler"}, [trace["name"] for trace in stack.traces]
