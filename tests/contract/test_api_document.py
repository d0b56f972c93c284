"""The OpenAPI document and its HTML page match the code and the template."""

import json
import re
from collections import defaultdict

from openapi_spec_validator import validate

from local.openapi import rest_api
from local.stack import ROOT
from local.template import translate
from tools.openapi import document, files, page

DOCUMENT = json.loads(document.PATH.read_text())
NOT_DOCUMENTED = {"/mcp"}  # not part of the REST API


def test_the_generated_files_are_current() -> None:
    """If this fails, run `make openapi`."""
    for path, content in files.generate().items():
        assert path.read_text() == content


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_exactly_the_routes_that_require_a_key_are_documented() -> None:
    template = translate(ROOT / "template.yaml", {"FluxApiToken": "unused"})
    routes = rest_api(template, defaultdict(str)).routes
    keyed = {(route.method.lower(), route.path) for route in routes if route.key_required}
    documented = {(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert documented == {(method, path) for method, path in keyed if path not in NOT_DOCUMENTED}


def test_every_operation_requires_the_key_and_documents_its_problems() -> None:
    assert DOCUMENT["security"] == [{"api_key": []}]
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            problems = [response for status, response in operation["responses"].items() if int(status) >= 400]
            assert problems
            assert all("application/problem+json" in response["content"] for response in problems)
            assert "403" in operation["responses"]
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["examples"]
                assert {"400", "413", "415", "422"} <= operation["responses"].keys()


def test_the_html_page_has_every_operation_and_no_script() -> None:
    html = page.PATH.read_text()
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            assert html.count(f'id="{operation["operationId"]}"') == 1
    anchors, targets = set(re.findall(r'href="#(\w+)"', html)), set(re.findall(r'id="(\w+)"', html))
    assert anchors <= targets
    assert "<script" not in html
    assert "style=" not in html
