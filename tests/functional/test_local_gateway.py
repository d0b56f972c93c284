"""The local API Gateway: the events that functions receive, and the responses made from their results."""

import json
from concurrent.futures import Future
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from local.http_api import HttpApi
from local.openapi import Api, GatewayResponse, Route
from local.rest_api import RestApi
from local.worker import Invocation

ROUTES = (
    Route("GET", "/v1/tasks/{task_id}", "read_tasks", key_required=True, timeout=29),
    Route("POST", "/v1/images", "submit_task", key_required=True, timeout=0.01),
    Route("GET", "/", "show_page", key_required=False, timeout=29),
    Route("POST", "/open/{path+}", "open", key_required=False, timeout=29),
)
RESPONSES = {
    "INTEGRATION_TIMEOUT": GatewayResponse(504, {"Content-Type": "x/timeout"}, '{"id":"$context.requestId"}'),
    "DEFAULT_4XX": GatewayResponse(400, {"Content-Type": "x/client"}, "{}"),
    "DEFAULT_5XX": GatewayResponse(500, {"Content-Type": "x/server"}, "{}"),
}
API = Api("prod", ROUTES, RESPONSES, ())
OK = {"statusCode": 200, "body": "{}"}


class Functions:
    """Completes every invocation with `result`: a payload or an error. None never completes."""

    def __init__(self) -> None:
        self.result: object = OK
        self.events: list[Any] = []

    def submit(self, _: str, event: object) -> Future[Invocation]:
        self.events.append(json.loads(json.dumps(event)))
        future: Future[Invocation] = Future()
        if isinstance(self.result, Invocation):
            future.set_result(self.result)
        elif self.result is not None:
            future.set_result(Invocation("id", self.result))
        return future


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def rest(functions: Functions) -> Client:
    return Client(RestApi(API, functions.submit, {"the-key": "the-id"}))


@pytest.fixture
def http(functions: Functions) -> Client:
    return Client(HttpApi(API, functions.submit))


def _get(rest: Client, path: str = "/v1/tasks/t1") -> TestResponse:
    return rest.get(path, headers={"x-api-key": "the-key", "Accept": "application/json"})


@pytest.mark.parametrize("prefix", ["", "/prod"])
def test_a_rest_api_sends_payload_format_1(rest: Client, functions: Functions, prefix: str) -> None:
    _get(rest, f"{prefix}/v1/tasks/t%201?a=1&a=2&b=%C3%BC")
    (event,) = functions.events
    assert event["resource"] == "/v1/tasks/{task_id}"
    assert event["path"] == "/v1/tasks/t 1"
    assert event["pathParameters"] == {"task_id": "t 1"}
    assert event["queryStringParameters"] == {"a": "2", "b": "ü"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["ü"]}
    assert event["headers"]["Accept"] == "application/json"
    assert event["multiValueHeaders"]["Accept"] == ["application/json"]
    assert event["body"] is None
    context = event["requestContext"]
    assert (context["stage"], context["path"], context["httpMethod"]) == ("prod", "/prod/v1/tasks/t 1", "GET")
    assert context["identity"]["apiKeyId"] == "the-id"


def test_an_http_api_sends_payload_format_2(http: Client, functions: Functions) -> None:
    http.post("/open/a/b?x=1&x=2", data=b"\xff\x00", headers={"X-Some": "Thing", "Content-Type": "image/png"})
    (event,) = functions.events
    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /open/{path+}"
    assert (event["rawPath"], event["rawQueryString"]) == ("/open/a/b", "x=1&x=2")
    assert event["pathParameters"] == {"path": "a/b"}
    assert event["queryStringParameters"] == {"x": "1,2"}
    assert event["headers"]["x-some"] == "Thing"
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)
    assert event["requestContext"]["http"]["method"] == "POST"


def test_a_json_body_is_not_base64_encoded(http: Client, functions: Functions) -> None:
    http.post("/open/a", json={"ü": 1})
    assert json.loads(functions.events[0]["body"]) == {"ü": 1}
    assert functions.events[0]["isBase64Encoded"] is False


def test_responses_keep_their_headers_and_cookies(rest: Client, functions: Functions) -> None:
    functions.result = {
        "statusCode": 202,
        "headers": {"Location": "x"},
        "multiValueHeaders": {"Content-Type": ["a/b"], "Set-Cookie": ["a=1", "b=2"]},
        "body": "text",
    }
    response = _get(rest)
    assert (response.status_code, response.text, response.headers["Content-Type"]) == (202, "text", "a/b")
    assert response.headers["Location"] == "x"
    assert response.headers.getlist("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "result",
    [
        Invocation.failed("id", "ValueError", "secret details"),
        {"no": "status"},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": "many", "body": ""},
    ],
)
def test_a_failed_function_is_a_server_error(rest: Client, functions: Functions, result: object) -> None:
    functions.result = result
    response = _get(rest)
    assert (response.status_code, response.text) == (500, "{}")
    assert response.headers["Content-Type"] == "x/server"


def test_a_failed_function_of_an_http_api_is_a_server_error(http: Client, functions: Functions) -> None:
    functions.result = Invocation.failed("id", "ValueError", "secret details")
    response = http.post("/open/a")
    assert (response.status_code, response.json) == (500, {"message": "Internal Server Error"})


def test_the_gateway_responds_after_the_routes_timeout(rest: Client, http: Client, functions: Functions) -> None:
    functions.result = None
    response = rest.post("/v1/images", headers={"x-api-key": "the-key"})
    assert response.status_code == 504
    assert json.loads(response.text) == {"id": response.headers["x-amzn-requestid"]}
    assert http.post("/v1/images").status_code == 503


@pytest.mark.parametrize(("requested", "path"), [("/", "/prod/"), ("/prod/", "/prod/"), ("/prod", "/prod")])
def test_the_stages_root_is_routed_with_and_without_a_slash(
    rest: Client, functions: Functions, requested: str, path: str
) -> None:
    assert rest.get(requested).status_code == 200
    (event,) = functions.events
    assert (event["path"], event["requestContext"]["path"]) == ("/", path)


def test_an_open_route_needs_no_key(rest: Client, functions: Functions) -> None:
    assert rest.post("/open/x").status_code == 200
    assert "apiKeyId" not in functions.events[0]["requestContext"]["identity"]


@pytest.mark.parametrize("path", ["/v1/tasks/", "/v1//tasks/t1", "/prod/prod/v1/tasks/t1", "/v1/tasks/t1/"])
def test_other_paths_are_not_routed(rest: Client, functions: Functions, path: str) -> None:
    assert _get(rest, path).headers["Content-Type"] == "x/client"
    assert functions.events == []
