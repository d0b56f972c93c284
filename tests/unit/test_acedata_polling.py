"""AceData: queries for the results of submitted tasks, and searches for submissions without a handle."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxgate.errors import NotSent, ProviderUnavailable, ResponseLost
from fluxgate.providers.acedata import LIST_PAGES
from fluxgate.providers.port import Failed, Generated, NotFound, ProviderResult, Running
from fluxgate.tasks.model import Task, TaskError, token_hash
from tests.builders import a_task
from tests.unit.acedata_session import DATA, IMAGES, NO_REASON, Respond, Session, json_values, provider, raising

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TOKEN = "the-callback-token"


def queried(respond: Respond) -> Session:
    return Session("/flux/tasks", respond)


def items_response(*items: object) -> Respond:
    return lambda _: (200, {"items": items, "count": len(items)})


# ---------------------------------------------------------------- retrieving by handle


def with_handles(*handles: str) -> list[Task]:
    return [a_task(task_id=handle, provider_task_id=handle) for handle in handles]


def retrieve(session: Session, *handles: str) -> dict[str, ProviderResult]:
    steps = provider(session).poll(with_handles(*handles))
    return {task_id: result for step in steps for task_id, result in step.items()}


def handles(number: int) -> list[str]:
    return [f"p{n}" for n in range(number)]


def finished(query: dict[str, Any]) -> tuple[int, object]:
    return 200, {"items": [{"id": handle, "response": {"data": DATA}} for handle in query["ids"]]}


def test_retrieve_queries_at_most_fifty_handles_each() -> None:
    session = queried(finished)
    assert retrieve(session, *handles(120)) == {handle: Generated(IMAGES, handle) for handle in handles(120)}
    assert [len(query["ids"]) for query in session.requests] == [50, 50, 20]
    assert {query["action"] for query in session.requests} == {"retrieve_batch"}
    assert retrieve(session) == {}
    assert len(session.requests) == 3


def test_each_step_sends_one_query() -> None:
    session = queried(items_response())
    steps = provider(session).poll(with_handles(*handles(120)))
    assert len(session.requests) == 0
    next(steps)
    assert len(session.requests) == 1


ITEMS: list[tuple[dict[str, Any], ProviderResult]] = [
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


@pytest.mark.parametrize(("item", "result"), ITEMS)
def test_result_follows_from_response_and_finish_time(item: dict[str, Any], result: ProviderResult) -> None:
    assert retrieve(queried(items_response({"id": "p0", **item})), "p0") == {"p0": result}


def test_handle_missing_from_the_response_is_running() -> None:
    others: list[Any] = [None, "p0", [], {}, {"id": None}, {"id": ["p0"]}, {"id": "other", "response": {"data": DATA}}]
    assert retrieve(queried(items_response(*others)), "p0") == {"p0": Running("p0")}


# ---------------------------------------------------------------- unavailable and refused

UNAVAILABLE: list[tuple[int, object]] = [
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
REFUSALS_OF_ALL_HANDLES: list[tuple[int, object]] = [
    (500, {"error": {"code": "api_error"}, "trace_id": "x"}),
    (504, {"error": {"code": "timeout"}}),
    (403, {"error": {"code": "used_up"}}),
]
REFUSALS_OF_ONE_HANDLE: list[tuple[int, object]] = [
    (400, {"error": {"code": "bad_request"}}),
    (404, {"error": "not found", "trace_id": "x"}),
    (200, {"success": False, "error": None}),
]


@pytest.mark.parametrize(("status", "body"), UNAVAILABLE + REFUSALS_OF_ALL_HANDLES)
def test_retrieve_raises_provider_unavailable_without_repeating(status: int, body: object) -> None:
    session = queried(lambda _: (status, body))
    with pytest.raises(ProviderUnavailable):
        retrieve(session, "p0", "p1")
    assert len(session.requests) == 1


@pytest.mark.parametrize("error", [NotSent("ConnectTimeout"), ResponseLost("ReadTimeout")])
def test_connection_error_raises_provider_unavailable(error: Exception) -> None:
    for tasks in (with_handles("p"), [a_task()]):
        steps = provider(queried(raising(error))).poll(tasks)
        with pytest.raises(ProviderUnavailable, match=str(error)):
            next(steps)


@pytest.mark.parametrize(("status", "body"), REFUSALS_OF_ONE_HANDLE)
def test_one_refused_handle_does_not_block_the_others(status: int, body: object) -> None:
    session = queried(lambda query: (status, body) if "p7" in query["ids"] else finished(query))
    results = retrieve(session, *handles(50))
    assert results == {handle: Running("p7") if handle == "p7" else Generated(IMAGES, handle) for handle in handles(50)}
    assert len(session.requests) <= 13


# ---------------------------------------------------------------- searching the list


def without_handle(task_id: str = "t", *, attempted_at: datetime = NOW) -> Task:
    return a_task(task_id=task_id, attempted_at=attempted_at, callback_tokens=frozenset({token_hash(TOKEN)}))


def listed(task_id: str = "t", token: str = TOKEN, handle: object = "p") -> dict[str, Any]:
    url = f"https://callbacks.test/prod/callbacks/acedata/{task_id}/{token}"
    return {"id": handle, "request": {"callback_url": url}}


class SearchSession:
    """Passes searches to `session`. Retrievals of found handles have no items."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def post(self, url: str, body: dict[str, Any], headers: Any) -> tuple[int, bytes]:
        return (200, b'{"items": []}') if "ids" in body else self._session.post(url, body, headers)


def search(session: Session, *tasks: Task) -> dict[str, str | None]:
    """Found handles by task id; None if there is none."""
    found: dict[str, str | None] = {}
    for step in provider(SearchSession(session)).poll(tasks):
        for task_id, result in step.items():
            assert isinstance(result, Running | NotFound)
            found[task_id] = result.handle if isinstance(result, Running) else None
    return found


def test_search_finds_a_submission_by_its_callback_url() -> None:
    session = queried(items_response(listed("other"), listed()))
    assert search(session, without_handle()) == {"t": "p"}
    (query,) = session.requests
    assert query["action"] == "retrieve_batch"
    assert query["created_at_min"] < NOW.timestamp() < query["created_at_max"]
    assert (query["limit"], query["offset"]) == (50, 0)


OTHER_ITEMS = [
    {}, {"id": "p"}, {"id": "p", "request": None}, {"id": "p", "request": {"callback_url": 5}},
    {"id": "p", "request": {"callback_url": "t"}}, {"id": "p", "request": {"callback_url": "https://x/\ud83d/t/y"}},
    listed(token="another"), listed(token=token_hash(TOKEN)), listed(token=TOKEN + "?"), listed(task_id="T"),
    listed(handle=None), listed(handle=""), listed(handle=5), None, "t",
]  # fmt: skip


@pytest.mark.parametrize("item", OTHER_ITEMS)
def test_search_requires_both_task_id_and_token(item: object) -> None:
    assert search(queried(items_response(item)), without_handle()) == {"t": None}


@pytest.mark.parametrize(("status", "body"), REFUSALS_OF_ALL_HANDLES + REFUSALS_OF_ONE_HANDLE)
def test_refused_search_finds_nothing(status: int, body: object) -> None:
    assert search(queried(lambda _: (status, body)), without_handle()) == {"t": None}


@pytest.mark.parametrize(("status", "body"), UNAVAILABLE)
def test_search_raises_provider_unavailable(status: int, body: object) -> None:
    with pytest.raises(ProviderUnavailable):
        search(queried(lambda _: (status, body)), without_handle())


def paged(size: int, items: list[Any], *, count: Callable[[int], Any]) -> Session:
    """A list in pages of at most `size`, whatever limit the query has. `count` gives the count of a page."""

    def respond(query: dict[str, Any]) -> tuple[int, object]:
        page = items[query["offset"] : query["offset"] + min(size, query["limit"])]
        return 200, {"items": page, "count": count(len(page))}

    return queried(respond)


@pytest.mark.parametrize(
    ("size", "count", "queries"),
    [(50, lambda _: 120, 3), (50, lambda _: None, 3), (50, lambda on_page: on_page, 3), (12, lambda _: 120, 10)],
)
def test_search_reads_every_page(size: int, count: Callable[[int], Any], queries: int) -> None:
    items = [listed(f"other-{n}", handle=f"p{n}") for n in range(119)]
    session = paged(size, [*items, listed()], count=count)
    assert search(session, without_handle()) == {"t": "p"}
    assert len(session.requests) == queries
    assert search(paged(size, items, count=count), without_handle()) == {"t": None}


def test_search_stops_when_everything_is_found() -> None:
    session = paged(50, [listed(), *[listed(f"other-{n}") for n in range(200)]], count=lambda _: 201)
    assert search(session, without_handle()) == {"t": "p"}
    assert len(session.requests) == 1


def test_search_stops_after_a_limited_number_of_pages() -> None:
    session = queried(lambda _: (200, {"items": [listed("other")] * 50, "count": 10**9}))
    assert search(session, without_handle()) == {"t": None}
    assert len(session.requests) == LIST_PAGES


def test_distant_submissions_are_searched_separately() -> None:
    session = queried(items_response(listed("a", handle="pa"), listed("c", handle="pc")))
    tasks = [
        without_handle("c", attempted_at=NOW + timedelta(days=3)),
        without_handle("b", attempted_at=NOW + timedelta(seconds=30)),
        without_handle("a"),
        without_handle("d", attempted_at=NOW + timedelta(seconds=20)),
    ]
    assert search(session, *tasks) == {"a": "pa", "b": None, "d": None, "c": "pc"}
    spans = [query["created_at_max"] - query["created_at_min"] for query in session.requests]
    assert len(spans) == 2
    assert max(spans) < 300
    assert search(session) == {}


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
def test_any_json_gives_results_or_provider_unavailable(status: int, body: Any) -> None:
    session = queried(lambda _: (status, body))
    try:
        results = retrieve(session, "p", "q")
        found = search(session, without_handle())
    except ProviderUnavailable:
        return
    assert results.keys() == {"p", "q"}
    assert all(isinstance(result, Running | Generated | Failed) for result in results.values())
    assert found.keys() == {"t"}
    assert found["t"] is None or isinstance(found["t"], str)
