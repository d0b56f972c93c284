"""AceData: requests that submit a task, and the result of each response."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxgate.errors import NotSent, ResponseLost
from fluxgate.providers.port import Accepted, NotAccepted, Refused, SubmitResult, Unknown
from fluxgate.tasks.model import Image, TaskError
from tests.builders import a_task
from tests.unit.acedata_session import NO_REASON, Session, json_values, provider, raising

CALLBACK_URL = "https://callbacks.test/1"


def submit(session: Session, **fields: Any) -> SubmitResult:
    return provider(session, "https://provider.test/").submit(a_task(**fields), CALLBACK_URL)


def responding(status: int, body: object) -> Session:
    return Session("/flux/images", lambda _: (status, body))


def test_generate_request_has_exactly_the_documented_fields() -> None:
    session = responding(200, {"task_id": "p1"})
    assert submit(session, action="generate", prompt="a fox", model="flux-dev", size="1024x1024", count=2) == Accepted(
        "p1"
    )
    assert session.requests == [
        {
            "action": "generate",
            "prompt": "a fox",
            "model": "flux-dev",
            "size": "1024x1024",
            "count": 2,
            "callback_url": CALLBACK_URL,
        }
    ]
    assert session.headers == [{"Authorization": "Bearer the-token", "Accept": "application/json"}]


def test_edit_request_has_exactly_the_documented_fields() -> None:
    session = responding(200, {"success": True, "task_id": "p1"})
    edit = {"action": "edit", "prompt": "a fox", "model": "flux-dev", "size": "1:1", "image_url": "https://x/1.png"}
    assert submit(session, **edit, count=1) == Accepted("p1")
    assert session.requests == [{**edit, "callback_url": CALLBACK_URL}]


def test_response_with_images_is_accepted_with_those_images() -> None:
    response = {"success": True, "task_id": "p1", "data": [{"image_url": "https://cdn/1.png", "seed": 7}]}
    assert submit(responding(200, response)) == Accepted("p1", (Image(source_url="https://cdn/1.png", seed=7),))


VENDOR_ERRORS = [
    (400, {"error": {"code": "bad_request", "message": "no"}, "trace_id": "x"}, "bad_request", "no"),
    (401, {"success": False, "error": {"code": "invalid_token", "message": "no"}}, "invalid_token", "no"),
    (403, {"error": {"code": "forbidden", "message": "moderated"}}, "forbidden", "moderated"),
    (500, {"error": {"code": "api_error", "message": "fetch failed"}, "trace_id": "x"}, "api_error", "fetch failed"),
    (504, {"error": {"code": "timeout"}}, "timeout", NO_REASON),
    (500, {"error": "fetch failed", "trace_id": "x"}, "http_500", "fetch failed"),
    (403, {"success": False, "error": None}, "http_403", NO_REASON),
    (200, {"success": False, "error": {"code": "used_up", "message": "no balance"}}, "used_up", "no balance"),
]


@pytest.mark.parametrize(("status", "body", "code", "message"), VENDOR_ERRORS)
def test_error_in_the_vendors_format_is_refused(status: int, body: object, code: str, message: str) -> None:
    assert submit(responding(status, body)) == Refused(TaskError(code=code, message=message))


@pytest.mark.parametrize("body", [{"error": {"code": "too_many_requests", "message": "slow"}}, b"<html>", None])
def test_429_is_not_accepted_whatever_its_body(body: object) -> None:
    result = submit(responding(429, body))
    assert isinstance(result, NotAccepted)
    assert result.error.code == "too_many_requests"


UNRECOGNIZED = [
    (500, b"<html>Internal Server Error</html>"),
    (502, {"message": "Bad Gateway"}),
    (500, {"error": "Internal Server Error"}),
    (503, {"error": None}),
    (500, {"error": {"message": "no code"}}),
    (200, {}),
    (200, {"success": True}),
    (200, {"task_id": 17}),
    (200, b""),
    (200, b"[" * 100_000),
    (200, [1]),
    (200, {"success": False}),
    (302, {"task_id": "p1"}),
    (204, b""),
]


@pytest.mark.parametrize(("status", "body"), UNRECOGNIZED)
def test_unrecognized_response_is_unknown(status: int, body: object) -> None:
    assert isinstance(submit(responding(status, body)), Unknown)


def test_request_that_was_not_sent_is_not_accepted() -> None:
    result = submit(Session("/flux/images", raising(NotSent("ConnectTimeout"))))
    assert isinstance(result, NotAccepted)
    assert result.error.code == "provider_unreachable"


def test_lost_response_is_unknown() -> None:
    assert submit(Session("/flux/images", raising(ResponseLost("ReadTimeout")))) == Unknown("ReadTimeout")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("success", "task_id", "data", "error"), json_values)))
def test_any_json_object_gives_a_submit_result(body: dict[str, Any]) -> None:
    assert isinstance(submit(responding(200, body)), Accepted | Refused | Unknown)
