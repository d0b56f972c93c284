"""schemathesis: valid and invalid requests generated from the API document get documented responses and no 5xx."""

import sys
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from local.stack import Stack
from tools.openapi import document as api_document

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

api = schemathesis.openapi.from_path(api_document.PATH)
counted: list[int] = []


@pytest.fixture(scope="module")
def session(stack: Stack) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        yield session
    sys.stdout.write(f"\nschemathesis: {sum(counted)} cases\n")


def cases(number: int) -> settings:
    """For each operation."""
    return settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@api.parametrize()
@seed(1)
@cases(3)
def test_responses_are_documented(case: Any, stack: Stack, session: requests.Session) -> None:
    assert_documented(case, stack, session)


@pytest.mark.exhaustive
@api.parametrize()
@seed(2)
@cases(40)
def test_responses_to_many_requests_are_documented(case: Any, stack: Stack, session: requests.Session) -> None:
    assert_documented(case, stack, session)


def assert_documented(case: Any, stack: Stack, session: requests.Session) -> None:
    counted.append(1)
    if case.headers and "prefer" in {name.lower() for name in case.headers}:
        case.headers["prefer"] = "wait=0"  # other values wait up to 25 s and are tested elsewhere
    response = case.call(base_url=stack.url, session=session, headers={"x-api-key": "local-key"})
    case.validate_response(response, checks=CHECKS)
