"""The page: served without a key, without a permission, and with as much trust in it as it needs."""

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


def asked_for(path: str, **headers: str) -> Event:
    asked = copy.deepcopy(PAGE)
    file = path.removeprefix("/")
    asked |= {"resource": "/{file}" if file else "/", "path": path, "pathParameters": {"file": file} if file else None}
    asked["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    return asked


def routed(method: str, path: str) -> Route | None:
    """The route that the local gateway finds, by API Gateway's rules."""

    def submit(function: str, _: object) -> Future[Invocation]:
        raise AssertionError(function)

    found = RestApi(API, submit, {}).find_route(method, path)
    return found[0] if found else None


def directives(answer: Any) -> dict[str, str]:
    policy = answer["headers"]["Content-Security-Policy"]
    return dict(directive.split(" ", 1) for directive in policy.split("; "))


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_shown_as_what_it_is_and_cannot_be_taken_for_anything_else(functions: Functions, path: str) -> None:
    answer = functions.invoke("show_page", asked_for(path))
    name, content_type = FILES[path]
    assert (answer["statusCode"], answer["body"]) == (200, (FOLDER / name).read_text())
    assert answer["headers"]["Content-Type"] == content_type
    assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
    assert answer["headers"]["Referrer-Policy"] == "no-referrer"
    assert functions.calls == []


def test_the_page_may_do_nothing_but_what_it_needs(functions: Functions) -> None:
    allowed = directives(functions.invoke("show_page", PAGE))
    assert allowed == {
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


def test_pictures_over_plain_http_are_for_a_page_over_plain_http(functions: Functions) -> None:
    local = functions.invoke("show_page", asked_for("/", X_Forwarded_Proto="http"))
    assert directives(local)["img-src"] == "http:"
    odd = functions.invoke("show_page", asked_for("/", X_Forwarded_Proto="*; script-src *"))
    assert directives(odd) == directives(functions.invoke("show_page", PAGE))


def test_what_a_browser_has_is_not_sent_again(functions: Functions) -> None:
    first = functions.invoke("show_page", event("show_page.good_script"))
    again = functions.invoke("show_page", asked_for("/page.js", If_None_Match=f'W/"x", {first["headers"]["ETag"]}'))
    assert (again["statusCode"], again["body"]) == (304, "")
    assert again["headers"] == first["headers"]
    other = functions.invoke("show_page", asked_for("/", If_None_Match=first["headers"]["ETag"]))
    assert other["statusCode"] == 200


@pytest.mark.parametrize(("path", "location"), [("/prod", "prod/"), ("/images/v1", "v1/")])
def test_without_the_slash_after_the_stage_the_way_to_it_is_shown(
    functions: Functions, path: str, location: str
) -> None:
    lacking = event("show_page.good_no_slash")
    lacking["requestContext"]["path"] = path
    answer = functions.invoke("show_page", lacking)
    assert (answer["statusCode"], answer["headers"]) == (307, {"Location": location})


def test_behind_the_base_path_of_a_custom_domain_the_files_are_the_same(functions: Functions) -> None:
    behind = asked_for("/page.css")
    behind["path"] = "/images/page.css"
    assert functions.invoke("show_page", behind) == functions.invoke("show_page", asked_for("/page.css"))


def test_an_unknown_file_is_a_problem(functions: Functions) -> None:
    answer = functions.http("show_page", event("show_page.bad_unknown_file"))
    assert (answer.status, answer.body["code"]) == (404, "route_not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["page.html", "app.py", "..", "../app.py", "%2e%2e%2fapp.py", "{file}", "é"])
def test_only_the_listed_names_are_files(functions: Functions, name: str) -> None:
    unlisted = event("show_page.bad_unknown_file")
    unlisted["pathParameters"] = {"file": name}
    assert functions.invoke("show_page", unlisted)["statusCode"] == 404


def test_an_unknown_file_and_an_unknown_route_have_the_same_response(functions: Functions) -> None:
    function = functions.http("show_page", event("show_page.bad_unknown_file"))
    gateway = API.responses["MISSING_AUTHENTICATION_TOKEN"]
    assert function.status == gateway.status
    assert function.headers["content-type"] == gateway.headers["Content-Type"]
    assert function.body | {"request_id": "$context.requestId"} == json.loads(gateway.body)


def test_every_file_has_an_open_route_that_is_throttled_and_no_other_route_is_open() -> None:
    routes = {"/", "/{file}"}
    assert {route.path for route in API.routes if not route.key_required} == routes
    assert {route.path for route in API.routes if route.function == "ShowPageFunction"} == routes
    assert {route.path for path in FILES if (route := routed("GET", path))} == routes
    (stage,) = of_type(TEMPLATE, "AWS::ApiGateway::Stage").values()
    throttled = {it["ResourcePath"] for it in stage["Properties"]["MethodSettings"] if it["ThrottlingRateLimit"] > 0}
    assert {path.replace("/", "").replace("~1", "/") or "/" for path in throttled} == routes


@pytest.mark.parametrize("route", API.routes, ids=lambda route: f"{route.method} {route.path}")
def test_no_route_loses_requests_to_the_files(route: Route) -> None:
    assert routed(route.method, re.sub(r"\{\w+\}", "x", route.path)) == route


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/page.css"), ("GET", "/page.css/"), ("HEAD", "/page.css"), ("POST", "/page.css"), ("PUT", "/mcp")],
)
def test_requests_that_are_no_get_of_one_segment_stay_with_the_gateway(method: str, path: str) -> None:
    assert routed(method, path) is None


def test_every_file_is_there_and_nothing_else_is_delivered() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert files == {"app.py", *(name for name, _ in FILES.values())}


def test_the_page_is_written_by_nobody_else_and_has_no_key() -> None:
    """No inline script or style, which the policy would block, no third party, and nothing inserted as HTML."""
    page, script = ((FOLDER / name).read_text() for name in ("page.html", "page.js"))
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=)", page)
    assert not re.search(r"(src|href)=\"(https?:|/)", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?:", script)
    assert "local-key" not in page + script


def test_showing_it_imports_neither_powertools_nor_pydantic_nor_boto3() -> None:
    code = "import sys, app; print(*{name.partition('.')[0] for name in sys.modules})"
    imported = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONPATH": f"{LAYER}:{FOLDER}"}, text=True)
    assert not {"aws_lambda_powertools", "pydantic", "boto3", "botocore", "requests"} & set(imported.split())
