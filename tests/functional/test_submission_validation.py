"""Requests that are rejected before anything is stored or submitted."""

from unittest.mock import ANY

import pytest

from tests.functional.submissions import GENERATE, Received
from tests.harness import Functions, event, with_body


def test_an_invalid_request_lists_every_violation_and_is_neither_stored_nor_submitted(
    functions: Functions, received: Received
) -> None:
    response = functions.http("submit_task", event("submit_task.bad_fields"))
    assert response.status == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.body == {
        "type": "about:blank",
        "title": ANY,
        "status": 422,
        "detail": ANY,
        "code": "invalid_request",
        "errors": ANY,
        "request_id": GENERATE["requestContext"]["requestId"],
    }
    assert response.violations.keys() == {"prompt", "size", "count", "seed"}
    assert "992x992" in response.violations["size"]
    assert response.violations["seed"] == "Unknown field. Remove it."
    assert [call for call in functions.calls if call.startswith("dynamodb")] == []
    assert received() == []


MALFORMED = {
    "not JSON": (event("submit_task.bad_json"), 400, "malformed_body"),
    "too deep": (with_body(GENERATE, "[" * 60_000), 400, "malformed_body"),
    "not an object": (with_body(GENERATE, [1]), 422, "invalid_request"),
    "empty": (with_body(GENERATE, ""), 422, "invalid_request"),
    "too large": (with_body(GENERATE, {"prompt": "x" * 70_000}), 413, "body_too_large"),
    "not text": ({**GENERATE, "body": "/////w==", "isBase64Encoded": True}, 400, "malformed_body"),
    "a form": (with_body(GENERATE, "prompt=x", Content_Type="application/x-www-form-urlencoded"), 415,
               "unsupported_media_type"),
    "text": (with_body(GENERATE, {"prompt": "x"}, Content_Type="text/plain"), 415, "unsupported_media_type"),
    "broken form": (with_body(GENERATE, {"prompt": "x"}, Content_Type="multipart/form-data"), 415,
                    "unsupported_media_type"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_body_is_rejected(functions: Functions, received: Received, name: str) -> None:
    request, status, code = MALFORMED[name]
    response = functions.http("submit_task", request)
    assert (response.status, response.body["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert received() == []


def test_a_base64_encoded_body_is_decoded(functions: Functions) -> None:
    encoded = {**GENERATE, "body": "eyJwcm9tcHQiOiAiYSBmb3gifQ==", "isBase64Encoded": True}
    assert functions.http("submit_task", encoded).body["prompt"] == "a fox"


def test_n_is_an_alias_of_count(functions: Functions, received: Received) -> None:
    assert functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "n": 3})).body["count"] == 3
    assert received()[-1].body["count"] == 3
    too_large = functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "n": 9}))
    assert too_large.violations.keys() == {"n"}
    both = functions.http("submit_task", with_body(GENERATE, {"prompt": "a fox", "n": 2, "count": 3}))
    assert both.violations.keys() == {"n"}
