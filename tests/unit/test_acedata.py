"""What each answer and each callback of the provider means."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from fluxgate.errors import MalformedBody
from fluxgate.outbound import AnswerLost, NotSent
from fluxgate.providers import Accepted, Failed, Generated, NotAccepted, Refused, Running, Submission, Unknown
from fluxgate.providers.acedata import MAX_IMAGES, MAX_TEXT, AceData, parse_callback
from fluxgate.tasks import Image, Status, Task, TaskError

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Session:
    """Answers every post alike and keeps the last."""

    def __init__(self, status: int = 200, body: object = None, error: Exception | None = None) -> None:
        self.answer = (status, body if isinstance(body, bytes) else json.dumps(body).encode())
        self.error = error
        self.posted: tuple[str, Any, Any] | None = None

    def post(self, url: str, body: Any, headers: Any) -> tuple[int, bytes]:
        self.posted = (url, body, headers)
        if self.error:
            raise self.error
        return self.answer


def task(**changes: Any) -> Task:
    facts: dict[str, Any] = {
        "task_id": "t", "owner": "o", "status": Status.SUBMITTING, "action": "generate", "model": "flux-dev",
        "prompt": "a fox", "size": "1024x1024", "count": 2, "provider": "acedata", "created_at": NOW, "updated_at": NOW,
        "expires_at": NOW,
    }  # fmt: skip
    return Task(**facts | changes)


def submit(session: Session, **changes: Any) -> Submission:
    provider = AceData(session, "https://provider.test/", SecretStr("the-token"))  # type: ignore[arg-type]
    return provider.submit(task(**changes), "https://callbacks.test/1")


def test_a_generation_has_exactly_the_vendors_fields() -> None:
    session = Session(body={"task_id": "p1"})
    assert submit(session) == Accepted("p1")
    assert session.posted == (
        "https://provider.test/flux/images",
        {
            "action": "generate",
            "prompt": "a fox",
            "model": "flux-dev",
            "size": "1024x1024",
            "count": 2,
            "callback_url": "https://callbacks.test/1",
        },
        {"Authorization": "Bearer the-token", "Accept": "application/json"},
    )


def test_an_edit_has_exactly_the_vendors_fields() -> None:
    session = Session(body={"success": True, "task_id": "p1"})
    assert submit(session, action="edit", image_url="https://x/1.png", size="1:1", count=1) == Accepted("p1")
    assert session.posted
    assert session.posted[1] == {
        "action": "edit",
        "prompt": "a fox",
        "model": "flux-dev",
        "size": "1:1",
        "image_url": "https://x/1.png",
        "callback_url": "https://callbacks.test/1",
    }


def test_an_answer_that_is_the_result_already_is_kept() -> None:
    answer = {"success": True, "task_id": "p1", "data": [{"image_url": "https://cdn/1.png", "seed": 7}]}
    assert submit(Session(body=answer)) == Accepted("p1", (Image(source_url="https://cdn/1.png", seed=7),))


REFUSALS = [
    (400, {"error": {"code": "bad_request", "message": "no"}, "trace_id": "x"}, "bad_request", "no"),
    (401, {"success": False, "error": {"code": "invalid_token", "message": "no"}}, "invalid_token", "no"),
    (403, {"error": {"code": "forbidden", "message": "moderated"}}, "forbidden", "moderated"),
    (500, {"error": {"code": "api_error", "message": "fetch failed"}, "trace_id": "x"}, "api_error", "fetch failed"),
    (504, {"error": {"code": "timeout"}}, "timeout", "The provider gave no reason."),
    (500, {"error": "fetch failed", "trace_id": "x"}, "http_500", "fetch failed"),
    (403, {"success": False, "error": None}, "http_403", "The provider gave no reason."),
    (200, {"success": False, "error": {"code": "used_up", "message": "no balance"}}, "used_up", "no balance"),
]


@pytest.mark.parametrize(("status", "body", "code", "message"), REFUSALS)
def test_an_error_in_the_vendors_format_is_a_refusal(status: int, body: object, code: str, message: str) -> None:
    assert submit(Session(status, body)) == Refused(TaskError(code=code, message=message))


@pytest.mark.parametrize("body", [{"error": {"code": "too_many_requests", "message": "slow"}}, b"<html>", None])
def test_429_is_not_accepted_whoever_says_it(body: object) -> None:
    submission = submit(Session(429, body))
    assert isinstance(submission, NotAccepted)
    assert submission.error.code == "too_many_requests"


UNKNOWN = [
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


@pytest.mark.parametrize(("status", "body"), UNKNOWN)
def test_any_other_answer_is_unknown(status: int, body: object) -> None:
    assert isinstance(submit(Session(status, body)), Unknown)


def test_only_what_was_not_sent_is_not_accepted() -> None:
    not_sent = submit(Session(error=NotSent("ConnectTimeout")))
    assert isinstance(not_sent, NotAccepted)
    assert not_sent.error.code == "provider_unreachable"
    assert submit(Session(error=AnswerLost("ReadTimeout"))) == Unknown("ReadTimeout")


def callback(body: object) -> object:
    return parse_callback(json.dumps(body).encode())


DATA = [
    {"prompt": "a fox", "image_url": "https://cdn/1.png", "seed": 7, "timings": 3.3},
    {"prompt": "a fox", "image_url": "https://cdn/2.png", "timings": {"inference": 3.3}},
]
IMAGES = (Image(source_url="https://cdn/1.png", seed=7), Image(source_url="https://cdn/2.png"))


def test_images_are_a_result() -> None:
    answer = {"success": True, "task_id": "p1", "trace_id": "x", "data": DATA}
    assert callback(answer) == Generated(IMAGES, "p1")
    assert callback({**answer, "success": False, "error": {"code": "partial"}}) == Generated(IMAGES, "p1")


def test_success_without_images_is_not_finished() -> None:
    for data in ([], None, [{"prompt": "a fox"}], [{"image_url": None}], "soon"):
        assert callback({"success": True, "task_id": "p1", "data": data}) == Running()
    assert callback({}) == Running()


def test_a_failure_with_and_without_a_code() -> None:
    failed = {"success": False, "task_id": "p1", "error": {"code": "api_error", "message": "fetch failed"}}
    assert callback(failed) == Failed(TaskError(code="api_error", message="fetch failed"), "p1")
    unnamed = TaskError(code="provider_error", message="The provider gave no reason.")
    for error in (None, {}, {"code": None}, 5):
        assert callback({"success": False, "task_id": "p1", "error": error}) == Failed(unnamed, "p1")
    said = Failed(TaskError(code="provider_error", message="fetch failed"), None)
    assert callback({"success": False, "error": "fetch failed"}) == said


def test_oddities_of_one_image_do_not_lose_the_others() -> None:
    odd = [
        {"image_url": "https://cdn/1.png", "seed": "7"},
        {"image_url": "file:///etc/passwd"},
        {"image_url": 5},
        None,
        "x",
    ]
    assert callback({"data": odd}) == Generated((Image(source_url="https://cdn/1.png"),), None)


def test_what_a_table_cannot_hold_does_not_lose_the_image() -> None:
    odd = [{"image_url": "https://cdn/1.png", "seed": 10**50}, {"image_url": "https://cdn/\ud800.png", "seed": 7}]
    found = callback({"data": odd, "task_id": "\ud800"})
    assert found == Generated(
        (Image(source_url="https://cdn/1.png"), Image(source_url="https://cdn/?.png", seed=7)), "?"
    )


def test_what_is_kept_of_an_answer_is_bounded() -> None:
    many = callback({"data": [{"image_url": f"https://cdn/{n}"} for n in range(100)]})
    assert isinstance(many, Generated)
    assert len(many.images) == MAX_IMAGES
    assert callback({"data": [{"image_url": "https://cdn/" + "x" * 5000}]}) == Running()
    long = callback({"success": False, "error": {"code": "c" * 5000, "message": "m" * 5000}})
    assert isinstance(long, Failed)
    assert (len(long.error.code), len(long.error.message)) == (MAX_TEXT, MAX_TEXT)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"success": tru'])
def test_a_body_that_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_callback(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("success", "task_id", "data", "error"), json_values)))
def test_no_json_object_breaks_the_parser(body: dict[str, Any]) -> None:
    assert isinstance(callback(body), Running | Generated | Failed)
    assert isinstance(submit(Session(200, body)), Accepted | Refused | Unknown)
