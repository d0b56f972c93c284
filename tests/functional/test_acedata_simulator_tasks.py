"""The simulator sends callbacks and returns tasks as the vendor documents, with injected failures."""

import time
from collections.abc import Iterator

import pytest
import requests

from local.providers.acedata import Behaviour, ErrorShape, Refusal, ResponseKind, Simulator
from local.providers.acedata.state import TASKS
from tests.acedata import GENERATE, HELD, QUICK, Receiver, post, retrieve, submit


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(behaviour=QUICK) as simulator:
        yield simulator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


# ---------------------------------------------------------------- callbacks


def test_a_callback_has_the_form_of_a_response(simulator: Simulator, receiver: Receiver) -> None:
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    [callback] = simulator.callbacks
    assert (callback.url, callback.status) == (receiver.url, 200)
    assert callback.body == receiver.bodies[0]
    assert set(callback.body) == {"success", "task_id", "trace_id", "data"}
    assert callback.body["task_id"] == task_id


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Refusal.of("api_error"), {"code": "api_error", "message": "fetch failed"}),
        (Refusal(500, None, "no code"), {"message": "no code"}),
        (Refusal.of("api_error", shape=ErrorShape.STRING), "fetch failed"),
        (Refusal.of("api_error", shape=ErrorShape.NULL), None),
    ],
)
def test_a_generation_can_fail(simulator: Simulator, receiver: Receiver, failure: Refusal, error: object) -> None:
    simulator.behave(QUICK.but(failure=failure))
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    assert receiver.bodies[0]["error"] == error
    assert receiver.bodies[0]["success"] is False
    assert retrieve(simulator, task_id)["response"] == receiver.bodies[0]


def test_without_a_callback_url_a_failure_is_the_response(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(failure=Refusal.of("timeout")))
    response = post(simulator, GENERATE)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")


def test_a_success_can_have_no_images(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(image_count=0))
    assert submit(simulator)["data"] == []


def test_callbacks_can_be_lost_or_repeated(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(callbacks=0))
    lost = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.behave(QUICK.but(callbacks=3))
    submit(simulator, callback_url=receiver.url)
    simulator.wait_for(lambda: len(simulator.callbacks) == 3)
    assert receiver.bodies[0] == receiver.bodies[1] == receiver.bodies[2]
    assert lost not in {body["task_id"] for body in receiver.bodies}


def test_a_callback_can_arrive_before_the_response(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(callback_early=True))
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    assert [body["task_id"] for body in receiver.bodies] == [task_id]


def test_a_callback_can_be_delayed(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(callback_delay=60))
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.wait_for(simulator.tasks[0].finished.is_set)
    assert retrieve(simulator, task_id)["response"]["success"] is True
    assert not receiver.bodies


@pytest.mark.parametrize(("retries", "statuses"), [(0, [500]), (2, [500, 200])])
def test_callbacks_are_retried_only_if_configured(simulator: Simulator, retries: int, statuses: list[int]) -> None:
    with Receiver(500, 200) as receiver:
        simulator.behave(QUICK.but(callback_retries=retries))
        submit(simulator, callback_url=receiver.url)
        simulator.wait_for(lambda: len(simulator.callbacks) == len(statuses))
        assert [callback.status for callback in simulator.callbacks] == statuses


def test_an_undelivered_callback_is_recorded(simulator: Simulator) -> None:
    submit(simulator, callback_url="http://127.0.0.1:9/")
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    assert simulator.callbacks[0].status is None


# ---------------------------------------------------------------- retrieval


def test_a_running_task_has_no_response(simulator: Simulator) -> None:
    simulator.behaviour = HELD
    task_id = submit(simulator, **{"async": True})["task_id"]
    task = retrieve(simulator, task_id)
    assert task["id"] == task_id
    assert task["request"] == GENERATE | {"async": True}
    assert task.keys().isdisjoint({"response", "finished_at", "elapsed", "status"})


def test_a_running_task_can_have_a_response_without_data(simulator: Simulator) -> None:
    simulator.behaviour = HELD.but(running_response=True)
    task_id = submit(simulator, **{"async": True})["task_id"]
    assert retrieve(simulator, task_id)["response"] == {"success": True, "task_id": task_id}


def test_a_finished_task_contains_request_and_response(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behaviour = HELD
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.release(task_id)
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    task = retrieve(simulator, task_id)
    assert task["request"]["callback_url"] == receiver.url
    assert task["response"] == receiver.bodies[0]
    assert task["created_at"] <= task["started_at"] <= task["finished_at"] <= time.time() + 1
    assert task["elapsed"] >= 0


def test_a_batch_contains_the_known_tasks(simulator: Simulator) -> None:
    known = [submit(simulator)["task_id"] for _ in range(2)]
    batch = post(simulator, {"action": "retrieve_batch", "ids": [*known, "unknown"]}, TASKS).json()
    assert batch["count"] == 2
    assert [task["id"] for task in batch["items"]] == known
    assert simulator.retrievals[-1]["ids"] == [*known, "unknown"]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "retrieve_batch", "ids": ["x"] * 51},
        {"action": "retrieve_batch", "created_at_min": 0},
        {"action": "retrieve"},
        {"action": "list"},
        [],
    ],
)
def test_invalid_retrievals_are_refused(simulator: Simulator, body: object) -> None:
    response = post(simulator, body, TASKS)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


def test_unknown_tasks_are_not_found(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(listed=False))
    hidden = submit(simulator)["task_id"]
    for task_id in (hidden, "unknown"):
        assert post(simulator, {"action": "retrieve", "id": task_id}, TASKS).status_code == 404


def test_listing_tasks_can_be_enabled() -> None:
    with Simulator(behaviour=QUICK, listing=True) as simulator:
        ids = [submit(simulator)["task_id"] for _ in range(3)]
        page = {"action": "retrieve_batch", "limit": 2, "offset": 0}
        first = post(simulator, page | {"created_at_min": time.time() - 60, "created_at_max": time.time() + 1}, TASKS)
        assert first.json()["count"] == 3
        assert [task["id"] for task in first.json()["items"]] == [ids[2], ids[1]]
        second = post(simulator, page | {"offset": 2}, TASKS)
        assert [task["id"] for task in second.json()["items"]] == [ids[0]]
        assert post(simulator, page | {"created_at_max": 0}, TASKS).json() == {"items": [], "count": 0}


def test_failures_can_be_injected_into_retrievals(simulator: Simulator) -> None:
    simulator.behave(Behaviour(refusal=Refusal.of("too_many_requests")), path=TASKS)
    assert post(simulator, {"action": "retrieve", "id": "x"}, TASKS).status_code == 429
    simulator.behave(Behaviour(response=ResponseKind.DROPPED), path=TASKS)
    with pytest.raises(requests.ConnectionError):
        post(simulator, {"action": "retrieve", "id": "x"}, TASKS)
