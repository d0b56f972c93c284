"""What each answer and each callback of the provider means."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from fluxgate.clock import Clock
from fluxgate.errors import MalformedBody, NotSent, ProviderUnavailable, ResponseLost
from fluxgate.providers.acedata import LIST_PAGES, MAX_IMAGES, MAX_TEXT, AceData, parse_callback
from fluxgate.providers.port import (
    Accepted,
    Failed,
    Generated,
    NotAccepted,
    NotFound,
    ProviderResult,
    Refused,
    Running,
    SubmitResult,
    Unknown,
)
from fluxgate.tasks.model import Image, Status, Task, TaskError, token_hash

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CLOCK = Clock(sleep=lambda _: None)


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


def submit(session: Session, **changes: Any) -> SubmitResult:
    provider = AceData(session, "https://provider.test/", SecretStr("the-token"), CLOCK)  # type: ignore[arg-type]
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
    assert submit(Session(error=ResponseLost("ReadTimeout"))) == Unknown("ReadTimeout")


def callback(body: object) -> object:
    return parse_callback(json.dumps(body).encode(), {})


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
        assert callback({"success": True, "task_id": "p1", "data": data}) == Running("p1")
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


def test_what_no_table_can_store_is_not_kept() -> None:
    half = b"\\ud83d"  # of a surrogate pair
    failed = parse_callback(b'{"success": false, "error": {"code": "c", "message": "a %b"}}' % half, {})
    assert failed == Failed(TaskError(code="c", message="a ?"), None)
    urls = parse_callback(b'{"data": [{"image_url": "https://cdn/%b"}]}' % half, {})
    assert urls == Generated((Image(source_url="https://cdn/?"),), None)
    for seed, kept in {-(2**63): True, 2**64 - 1: True, 2**64: False, 10**40: False}.items():
        found = callback({"data": [{"image_url": "https://cdn/1", "seed": seed}]})
        assert found == Generated((Image(source_url="https://cdn/1", seed=seed if kept else None),), None)


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
        parse_callback(body, {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("success", "task_id", "data", "error"), json_values)))
def test_no_json_object_breaks_the_parser(body: dict[str, Any]) -> None:
    assert isinstance(callback(body), Running | Generated | Failed)
    assert isinstance(submit(Session(200, body)), Accepted | Refused | Unknown)


class Answers:
    """Answers each question as told, and keeps the questions."""

    def __init__(self, answer: Callable[[dict[str, Any]], tuple[int, object]]) -> None:
        self._answer = answer
        self.questions: list[dict[str, Any]] = []

    def post(self, url: str, body: dict[str, Any], headers: Any) -> tuple[int, bytes]:
        assert url == "https://provider.test/flux/tasks"
        self.questions.append(body)
        status, answer = self._answer(body)
        return status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def provider(session: object) -> AceData:
    return AceData(session, "https://provider.test", SecretStr("the-token"), CLOCK)  # type: ignore[arg-type]


def submitted(*ids: str) -> list[Task]:
    return [task(task_id=task_id, provider_task_id=task_id) for task_id in ids]


def retrieve(answers: Answers, *ids: str) -> dict[str, ProviderResult]:
    steps = provider(answers).poll(submitted(*ids))
    return {task_id: result for step in steps for task_id, result in step.items()}


def ids(number: int) -> list[str]:
    return [f"p{n}" for n in range(number)]


def show(*items: object) -> Callable[[object], tuple[int, object]]:
    return lambda _: (200, {"items": items, "count": len(items)})


def test_each_question_is_about_fifty_at_most() -> None:
    def answer(question: dict[str, Any]) -> tuple[int, object]:
        return 200, {"items": [{"id": task_id, "response": {"data": DATA}} for task_id in question["ids"]]}

    answers = Answers(answer)
    assert retrieve(answers, *ids(120)) == {task_id: Generated(IMAGES, task_id) for task_id in ids(120)}
    assert [len(question["ids"]) for question in answers.questions] == [50, 50, 20]
    assert {question["action"] for question in answers.questions} == {"retrieve_batch"}
    assert retrieve(answers) == {}
    assert len(answers.questions) == 3


def test_a_question_is_asked_only_when_its_answer_is_wanted() -> None:
    answers = Answers(show())
    steps = provider(answers).poll(submitted(*ids(120)))
    assert len(answers.questions) == 0
    next(steps)
    assert len(answers.questions) == 1


NO_REASON = "The provider gave no reason."
TASKS: list[tuple[dict[str, Any], ProviderResult]] = [
    ({"finished_at": 1, "response": {"success": True, "data": DATA}}, Generated(IMAGES, "p0")),
    ({"response": {"data": DATA}}, Generated(IMAGES, "p0")),
    ({"response": {"success": False, "data": DATA, "error": {"code": "partial"}}}, Generated(IMAGES, "p0")),
    ({}, Running("p0")),
    ({"response": None, "finished_at": None}, Running("p0")),
    ({"response": {"success": True, "task_id": "p0"}}, Running("p0")),
    ({"started_at": 1, "response": {"success": False, "error": None}}, Running("p0")),
    ({"response": {"success": False, "error": "no code"}}, Running("p0")),
    ({"response": {"success": False, "error": {"code": "c"}}}, Failed(TaskError(code="c", message=NO_REASON), "p0")),
    ({"finished_at": 1}, Failed(TaskError(code="provider_error", message=NO_REASON), "p0")),
    ({"finished_at": 1, "response": {"error": "m"}}, Failed(TaskError(code="provider_error", message="m"), "p0")),
]  # fmt: skip


@pytest.mark.parametrize(("item", "outcome"), TASKS)
def test_a_task_has_no_status_but_says_what_became_of_it(item: dict[str, Any], outcome: ProviderResult) -> None:
    assert retrieve(Answers(show({"id": "p0", **item})), "p0") == {"p0": outcome}


def test_what_the_provider_does_not_know_is_not_finished() -> None:
    odd: list[Any] = [None, "p0", [], {}, {"id": None}, {"id": ["p0"]}, {"id": "other", "response": {"data": DATA}}]
    assert retrieve(Answers(show(*odd)), "p0") == {"p0": Running("p0")}


NO_ANSWERS: list[tuple[int, object]] = [
    (500, b"<html>"),
    (502, {"message": "Bad Gateway"}),
    (404, b"<html>"),
    (400, {"error": {"message": "no code"}}),
    (429, {"error": {"code": "too_many_requests"}}),
    (429, b"<html>"),
    (401, {"error": {"code": "invalid_token"}}),
    (400, {"error": {"code": "no_token"}}),
    (400, {"success": False, "error": {"code": "disabled"}}),
    (200, b""),
    (200, {"data": []}),
    (200, {"items": None}),
    (302, {"items": []}),
]
REFUSALS_OF_ALL: list[tuple[int, object]] = [
    (500, {"error": {"code": "api_error"}, "trace_id": "x"}),
    (504, {"error": {"code": "timeout"}}),
    (403, {"error": {"code": "used_up"}}),
]
REFUSALS_OF_ONE: list[tuple[int, object]] = [
    (400, {"error": {"code": "bad_request"}}),
    (404, {"error": "not found", "trace_id": "x"}),
    (200, {"success": False, "error": None}),
]


@pytest.mark.parametrize(("status", "body"), NO_ANSWERS + REFUSALS_OF_ALL)
def test_a_provider_that_does_not_answer_has_not_said_anything(status: int, body: object) -> None:
    answers = Answers(lambda _: (status, body))
    with pytest.raises(ProviderUnavailable):
        retrieve(answers, "p0", "p1")
    assert len(answers.questions) == 1


@pytest.mark.parametrize("error", [NotSent("ConnectTimeout"), ResponseLost("ReadTimeout")])
def test_a_question_may_get_lost(error: Exception) -> None:
    for polled in (submitted("p"), [task()]):
        steps = provider(Session(error=error)).poll(polled)
        with pytest.raises(ProviderUnavailable, match=str(error)):
            next(steps)


@pytest.mark.parametrize(("status", "body"), REFUSALS_OF_ONE)
def test_one_bad_id_does_not_keep_the_others_from_being_asked(status: int, body: object) -> None:
    def answer(question: dict[str, Any]) -> tuple[int, object]:
        if "p7" in question["ids"]:
            return status, body
        return 200, {"items": [{"id": task_id, "response": {"data": DATA}} for task_id in question["ids"]]}

    answers = Answers(answer)
    found = retrieve(answers, *ids(50))
    assert found == {task_id: Running("p7") if task_id == "p7" else Generated(IMAGES, task_id) for task_id in ids(50)}
    assert len(answers.questions) <= 13


TOKEN = "the-callback-token"


def lost(task_id: str = "t", *, began: datetime = NOW, **changes: Any) -> Task:
    return task(task_id=task_id, attempted_at=began, callback_tokens=frozenset({token_hash(TOKEN)}), **changes)


def listed(task_id: str = "t", token: str = TOKEN, provider_task_id: object = "p") -> dict[str, Any]:
    url = f"https://callbacks.test/prod/callbacks/acedata/{task_id}/{token}"
    return {"id": provider_task_id, "request": {"callback_url": url}}


class OnlyLists:
    """Answers retrievals of what was found with nothing, everything else as `answers`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def post(self, url: str, body: dict[str, Any], headers: Any) -> tuple[int, bytes]:
        return (200, b'{"items": []}') if "ids" in body else self._answers.post(url, body, headers)


def find(answers: Answers, *tasks: Task) -> dict[str, str | None]:
    """The handles that polling finds; None where it finds none."""
    found: dict[str, str | None] = {}
    for step in provider(OnlyLists(answers)).poll(tasks):
        for task_id, result in step.items():
            assert isinstance(result, Running | NotFound)
            found[task_id] = result.handle if isinstance(result, Running) else None
    return found


def test_a_lost_submission_is_found_by_its_callback_url() -> None:
    answers = Answers(show(listed("other"), listed()))
    assert find(answers, lost()) == {"t": "p"}
    (question,) = answers.questions
    assert question["action"] == "retrieve_batch"
    assert question["created_at_min"] < NOW.timestamp() < question["created_at_max"]
    assert (question["limit"], question["offset"]) == (50, 0)


ELSEWHERE = [
    {}, {"id": "p"}, {"id": "p", "request": None}, {"id": "p", "request": {"callback_url": 5}},
    {"id": "p", "request": {"callback_url": "t"}}, {"id": "p", "request": {"callback_url": "https://x/\ud83d/t/y"}},
    listed(token="another"), listed(token=token_hash(TOKEN)), listed(token=TOKEN + "?"), listed(task_id="T"),
    listed(provider_task_id=None), listed(provider_task_id=""), listed(provider_task_id=5), None, "t",
]  # fmt: skip


@pytest.mark.parametrize("item", ELSEWHERE)
def test_only_id_and_token_together_are_ours(item: object) -> None:
    assert find(Answers(show(item)), lost()) == {"t": None}


@pytest.mark.parametrize(("status", "body"), REFUSALS_OF_ALL + REFUSALS_OF_ONE)
def test_a_refusal_of_the_list_means_that_nothing_is_found(status: int, body: object) -> None:
    assert find(Answers(lambda _: (status, body)), lost()) == {"t": None}


@pytest.mark.parametrize(("status", "body"), NO_ANSWERS)
def test_a_list_that_does_not_come_means_nothing(status: int, body: object) -> None:
    with pytest.raises(ProviderUnavailable):
        find(Answers(lambda _: (status, body)), lost())


def pages(size: int, items: list[Any], *, count: Callable[[int], Any]) -> Answers:
    """A list in pages of at most `size`, whatever is asked for."""

    def answer(question: dict[str, Any]) -> tuple[int, object]:
        found = items[question["offset"] : question["offset"] + min(size, question["limit"])]
        return 200, {"items": found, "count": count(len(found))}

    return Answers(answer)


@pytest.mark.parametrize(
    ("size", "count", "questions"),
    [(50, lambda _: 120, 3), (50, lambda _: None, 3), (50, lambda on_page: on_page, 3), (12, lambda _: 120, 10)],
)
def test_the_list_is_read_to_its_end(size: int, count: Callable[[int], Any], questions: int) -> None:
    items = [listed(f"other-{n}", provider_task_id=f"p{n}") for n in range(119)]
    answers = pages(size, [*items, listed()], count=count)
    assert find(answers, lost()) == {"t": "p"}
    assert len(answers.questions) == questions
    assert find(pages(size, items, count=count), lost()) == {"t": None}


def test_the_list_is_read_no_further_than_needed() -> None:
    answers = pages(50, [listed(), *[listed(f"other-{n}") for n in range(200)]], count=lambda _: 201)
    assert find(answers, lost()) == {"t": "p"}
    assert len(answers.questions) == 1


def test_a_list_without_an_end_is_left() -> None:
    answers = Answers(lambda _: (200, {"items": [listed("other")] * 50, "count": 10**9}))
    assert find(answers, lost()) == {"t": None}
    assert len(answers.questions) == LIST_PAGES


def test_distant_submissions_are_looked_for_apart() -> None:
    answers = Answers(show(listed("a", provider_task_id="pa"), listed("c", provider_task_id="pc")))
    tasks = [
        lost("c", began=NOW + timedelta(days=3)),
        lost("b", began=NOW + timedelta(seconds=30)),
        lost("a"),
        lost("d", began=NOW + timedelta(seconds=20)),
    ]
    assert find(answers, *tasks) == {"a": "pa", "b": None, "d": None, "c": "pc"}
    spans = [question["created_at_max"] - question["created_at_min"] for question in answers.questions]
    assert len(spans) == 2
    assert max(spans) < 300
    assert find(answers) == {}


items = st.lists(
    json_values
    | st.fixed_dictionaries(
        {"id": st.just("p") | json_values},
        optional={
            "request": st.fixed_dictionaries({"callback_url": json_values | st.just("x/t/" + TOKEN)}),
            "response": json_values
            | st.fixed_dictionaries({}, optional=dict.fromkeys(("success", "data", "error"), json_values)),
            "finished_at": json_values,
        },
    ),
    max_size=3,
)


@given(st.integers(200, 599), json_values | st.fixed_dictionaries({"items": items}, optional={"count": json_values}))
def test_no_json_breaks_the_questions(status: int, body: Any) -> None:
    answers = Answers(lambda _: (status, body))
    try:
        outcomes = retrieve(answers, "p", "q")
        found = find(answers, lost())
    except ProviderUnavailable:
        return
    assert outcomes.keys() == {"p", "q"}
    assert all(isinstance(outcome, Running | Generated | Failed) for outcome in outcomes.values())
    assert found.keys() == {"t"}
    assert found["t"] is None or isinstance(found["t"], str)
