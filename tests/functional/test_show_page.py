"""The page's files: served without a key, under a strict policy, by routes that serve nothing else."""

import copy
import json
import re
import subprocess
import sys
from concurrent.futures import Future
from typing import Any

import pytest

from fluxgate.api.files import FILES, POLICY
from local.openapi import Route, rest_api
from local.rest_api import RestApi
from local.stack import LAYER, ROOT
from local.template import of_type, translate
from local.worker import Invocation
from tests.harness import Event, Functions, event

PAGE = event("show_page.good_page")
FOLDER = ROOT / "functions/show_page"
TEMPLATE = translate(ROOT / "template.yaml", {"FluxApiToken": "unused"})
API = rest_api(TEMPLATE, {name: name for name in of_type(TEMPLATE, "AWS::Lambda::Function")})


def request_for(path: str, **headers: str) -> Event:
    request = copy.deepcopy(PAGE)
    file = path.removeprefix("/")
    request |= {
        "resource": "/{file}" if file else "/",
        "path": path,
        "pathParameters": {"file": file} if file else None,
    }
    request["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    return request


def routed(method: str, path: str) -> Route | None:
    """The route that the local gateway selects by API Gateway's rules. None if there is none."""

    def submit(function: str, _: object) -> Future[Invocation]:
        raise AssertionError(function)

    found = RestApi(API, submit, {}).find_route(method, path)
    return found[0] if found else None


def directives(response: Any) -> dict[str, str]:
    policy = response["headers"]["Content-Security-Policy"]
    return dict(directive.split(" ", 1) for directive in policy.split("; "))


@pytest.mark.parametrize("path", FILES)
def test_a_file_has_its_content_type_and_is_never_sniffed(functions: Functions, path: str) -> None:
    response = functions.invoke("show_page", request_for(path))
    name, content_type = FILES[path]
    assert (response["statusCode"], response["body"]) == (200, (FOLDER / name).read_text())
    assert response["headers"]["Content-Type"] == content_type
    assert response["headers"]["X-Content-Type-Options"] == "nosniff"
    assert response["headers"]["Referrer-Policy"] == "no-referrer"
    assert functions.calls == []


def test_the_policy_allows_only_what_the_page_needs(functions: Functions) -> None:
    assert directives(functions.invoke("show_page", PAGE)) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "https:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert "unsafe" not in POLICY


def test_images_over_plain_http_are_allowed_only_to_a_page_over_plain_http(functions: Functions) -> None:
    local = functions.invoke("show_page", request_for("/", X_Forwarded_Proto="http"))
    assert directives(local)["img-src"] == "http:"
    forged = functions.invoke("show_page", request_for("/", X_Forwarded_Proto="*; script-src *"))
    assert directives(forged) == directives(functions.invoke("show_page", PAGE))


def test_a_file_that_the_client_has_is_not_sent_again(functions: Functions) -> None:
    first = functions.invoke("show_page", event("show_page.good_script"))
    etag = first["headers"]["ETag"]
    repeated = functions.invoke("show_page", request_for("/page.js", If_None_Match=f'W/"x", {etag}'))
    assert (repeated["statusCode"], repeated["body"]) == (304, "")
    assert repeated["headers"] == first["headers"]
    other = functions.invoke("show_page", request_for("/", If_None_Match=etag))
    assert other["statusCode"] == 200


@pytest.mark.parametrize(("path", "location"), [("/prod", "prod/"), ("/images/v1", "v1/")])
def test_a_path_without_a_trailing_slash_is_redirected(functions: Functions, path: str, location: str) -> None:
    request = event("show_page.good_no_slash")
    request["requestContext"]["path"] = path
    response = functions.invoke("show_page", request)
    assert (response["statusCode"], response["headers"]) == (307, {"Location": location})


def test_the_base_path_of_a_custom_domain_is_ignored(functions: Functions) -> None:
    request = request_for("/page.css")
    request["path"] = "/images/page.css"
    assert functions.invoke("show_page", request) == functions.invoke("show_page", request_for("/page.css"))


def test_an_unknown_file_is_a_404_problem(functions: Functions) -> None:
    response = functions.http("show_page", event("show_page.bad_unknown_file"))
    assert (response.status, response.body["code"]) == (404, "route_not_found")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["page.html", "app.py", "..", "../app.py", "%2e%2e%2fapp.py", "{file}", "é"])
def test_only_listed_names_are_served(functions: Functions, name: str) -> None:
    request = event("show_page.bad_unknown_file")
    request["pathParameters"] = {"file": name}
    assert functions.invoke("show_page", request)["statusCode"] == 404


def test_an_unknown_file_and_an_unknown_route_have_the_same_response(functions: Functions) -> None:
    function = functions.http("show_page", event("show_page.bad_unknown_file"))
    gateway = API.responses["MISSING_AUTHENTICATION_TOKEN"]
    assert function.status == gateway.status
    assert function.headers["content-type"] == gateway.headers["Content-Type"]
    assert function.body | {"request_id": "$context.requestId"} == json.loads(gateway.body)


def test_the_only_routes_without_a_key_are_those_of_the_files_and_they_are_throttled() -> None:
    routes = {"/", "/{file}"}
    assert {route.path for route in API.routes if not route.key_required} == routes
    assert {route.path for route in API.routes if route.function == "ShowPageFunction"} == routes
    assert {route.path for path in FILES if (route := routed("GET", path))} == routes
    (stage,) = of_type(TEMPLATE, "AWS::ApiGateway::Stage").values()
    settings = stage["Properties"]["MethodSettings"]
    throttled = {method["ResourcePath"] for method in settings if method["ThrottlingRateLimit"] > 0}
    assert {path.replace("/", "").replace("~1", "/") or "/" for path in throttled} == routes


@pytest.mark.parametrize("route", API.routes, ids=lambda route: f"{route.method} {route.path}")
def test_the_files_take_no_requests_from_another_route(route: Route) -> None:
    assert routed(route.method, re.sub(r"\{\w+\}", "x", route.path)) == route


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/page.css"), ("GET", "/page.css/"), ("HEAD", "/page.css"), ("POST", "/page.css"), ("PUT", "/mcp")],
)
def test_only_a_get_of_one_path_segment_is_routed_to_the_files(method: str, path: str) -> None:
    assert routed(method, path) is None


def test_the_function_contains_every_file_and_nothing_else() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert files == {"app.py", *(name for name, _ in FILES.values())}


def test_the_page_has_no_inline_code_no_third_party_resources_and_no_key() -> None:
    """The policy would block inline scripts and styles. Nothing is inserted as HTML."""
    page, script = ((FOLDER / name).read_text() for name in ("page.html", "page.js"))
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=)", page)
    assert not re.search(r"(src|href)=\"(https?:|/)", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?:", script)
    assert "local-key" not in page + script


def test_the_function_imports_neither_powertools_nor_pydantic_nor_boto3() -> None:
    code = "import sys, app; print(*{name.partition('.')[0] for name in sys.modules})"
    imported = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONPATH": f"{LAYER}:{FOLDER}"}, text=True)
    assert not {"aws_lambda_powertools", "pydantic", "boto3", "botocore", "requests"} & set(imported.split())
