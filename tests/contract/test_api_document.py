"""The OpenAPI document in the repository is what the code says."""

import json
import re
from collections import defaultdict

from openapi_spec_validator import validate

from local.openapi import rest_api
from local.stack import ROOT
from local.template import translate
from tools.openapi import document as api_document
from tools.openapi import page as docs_page

DOCUMENT = json.loads(api_document.PATH.read_text())
NOT_DOCUMENTED = {"/mcp"}  # other protocols than this API's


def test_the_document_is_the_codes() -> None:
    """If not: `make openapi`."""
    for path, content in api_document.written().items():
        assert path.read_text() == content


def test_it_is_valid() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_with_a_key_is_documented_and_nothing_else() -> None:
    template = translate(ROOT / "template.yaml", {"FluxApiToken": "unused"})
    routes = rest_api(template, defaultdict(str)).routes
    keyed = {(route.method.lower(), route.path) for route in routes if route.key_required}
    documented = {(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert documented == {(method, path) for method, path in keyed if path not in NOT_DOCUMENTED}


def test_every_operation_asks_for_the_key_and_names_its_refusals() -> None:
    assert DOCUMENT["security"] == [{"api_key": []}]
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            problems = [answer for status, answer in operation["responses"].items() if int(status) >= 400]
            assert problems
            assert all("application/problem+json" in answer["content"] for answer in problems)
            assert "403" in operation["responses"]
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["examples"]
                assert {"400", "413", "415", "422"} <= operation["responses"].keys()


def test_the_page_for_people_has_every_operation_and_no_script() -> None:
    page = docs_page.PATH.read_text()
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert page.count(f'id="{operation["operationId"]}"') == 1
    anchors, targets = set(re.findall(r'href="#(\w+)"', page)), set(re.findall(r'id="(\w+)"', page))
    assert anchors <= targets
    assert "<script" not in page
    assert "style=" not in page
