"""The simulator accepts and refuses submissions as the vendor documents, and injects failures on request."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local import options
from local.providers.acedata import DOCUMENTED, Behaviour, ErrorShape, Refusal, ResponseKind, Simulator
from local.providers.acedata.state import TASKS
from local.providers.acedata.validation import NEWEST_MODELS
from tests.acedata import AUTHORIZED, EDIT, GENERATE, HELD, QUICK, Receiver, post, retrieve, submit


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(behaviour=QUICK) as simulator:
        yield simulator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_without_a_callback_url_the_response_contains_the_images(simulator: Simulator) -> None:
    response = submit(simulator, count=2)
    assert set(response) == {"success", "task_id", "trace_id", "data"}
    assert response["success"] is True
    first, second = response["data"]
    assert set(first) == {"prompt", "image_url", "seed", "timings"}
    assert first["prompt"] == second["prompt"] == "a white siamese cat"
    assert first["image_url"] != second["image_url"]
    assert first["timings"] == {"inference": 3.328}


def test_seeds_can_be_missing_and_timings_a_number(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(seeds=False, timings="number"))
    datum = submit(simulator)["data"][0]
    assert set(datum) == {"prompt", "image_url", "timings"}
    assert isinstance(datum["timings"], int)


def test_with_a_callback_url_the_response_contains_only_the_id(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behaviour = HELD
    assert set(submit(simulator, callback_url=receiver.url)) == {"task_id"}
    simulator.behaviour = HELD.but(response_success=True)
    assert submit(simulator, callback_url=receiver.url)["success"] is True


def test_async_returns_the_id_without_a_callback(simulator: Simulator) -> None:
    task_id = submit(simulator, **{"async": True})["task_id"]
    simulator.wait_for(simulator.tasks[0].finished.is_set)
    assert retrieve(simulator, task_id)["response"]["data"]


def test_submissions_are_recorded_as_received(simulator: Simulator) -> None:
    submit(simulator, unknown_field=1)
    post(simulator, {})
    accepted, rejected = simulator.submissions
    assert accepted.body == GENERATE | {"unknown_field": 1}
    assert accepted.headers["authorization"] == "Bearer some-token"
    assert accepted.accepted
    assert accepted.task_id == simulator.tasks[0].id
    assert (rejected.body, rejected.accepted, rejected.task_id) == ({}, False, None)


@pytest.mark.parametrize(
    "body",
    [
        EDIT,
        GENERATE | {"count": 4},
        GENERATE | {"size": "1440x256"},
        GENERATE | {"model": "flux-pro-1.1"},
        GENERATE | {"model": "flux-pro-1.1-ultra", "size": "21:9"},
        GENERATE | {"model": "flux-2-pro", "size": "64x2048"},
        GENERATE | {"model": "flux-2-max", "size": "16:9"},
        {"action": "generate", "prompt": "the default model", "size": "1024x1024"},
    ],
)
def test_valid_requests_are_accepted(simulator: Simulator, body: dict[str, Any]) -> None:
    assert post(simulator, body).status_code == 200


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ([], "JSON object"),
        (GENERATE | {"action": "draw"}, "action"),
        (GENERATE | {"action": {}}, "action"),
        ({key: value for key, value in GENERATE.items() if key != "action"}, "action"),
        (GENERATE | {"prompt": " "}, "prompt"),
        (GENERATE | {"model": "flux-schnell"}, "model"),
        (GENERATE | {"model": []}, "model"),
        ({key: value for key, value in GENERATE.items() if key != "size"}, "size"),
        (GENERATE | {"size": "1024x1000"}, "size"),
        (GENERATE | {"size": "224x256"}, "size"),
        (GENERATE | {"size": "1472x256"}, "size"),
        (GENERATE | {"size": "1:1"}, "size"),
        (EDIT | {"size": "1024x1024"}, "size"),
        (GENERATE | {"count": 5}, "count"),
        (GENERATE | {"count": 0}, "count"),
        (GENERATE | {"count": True}, "count"),
        (GENERATE | {"count": 1.0}, "count"),
        (EDIT | {"count": 1}, "count"),
        (EDIT | {"image_url": "cat.png"}, "image_url"),
        (GENERATE | {"callback_url": "ftp://example.com/"}, "callback_url"),
        (GENERATE | {"callback_url": "http://[/"}, "callback_url"),
        (GENERATE | {"async": "yes"}, "async"),
    ],
)
def test_invalid_requests_are_rejected(simulator: Simulator, body: object, word: str) -> None:
    response = post(simulator, body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "bad_request")
    assert word in error["message"]
    assert not simulator.submissions[0].accepted
    assert not simulator.tasks


def test_the_newest_models_exclude_two_that_the_guides_name() -> None:
    with Simulator(models=NEWEST_MODELS, behaviour=QUICK) as simulator:
        assert post(simulator, GENERATE | {"model": "flux-pro-1.1"}).status_code == 400
        assert post(simulator, GENERATE).status_code == 200


def test_a_valid_token_is_required() -> None:
    with Simulator(token="the-one", behaviour=QUICK) as simulator:
        for headers, status, code in [
            ({}, 400, "no_token"),
            ({"authorization": "Bearer "}, 400, "no_token"),
            ({"authorization": "the-one"}, 401, "invalid_token"),
            ({"authorization": "Bearer another"}, 401, "invalid_token"),
        ]:
            for path in ("/flux/images", TASKS):
                response = post(simulator, GENERATE, path, headers=headers)
                assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert post(simulator, GENERATE, headers={"authorization": "Bearer the-one"}).status_code == 200


def test_unknown_routes_are_not_found(simulator: Simulator) -> None:
    assert post(simulator, {}, "/flux/videos").json()["error"]["code"] == "no_api"
    assert requests.get(f"{simulator.url}/flux/images", timeout=120).status_code == 404


# ---------------------------------------------------------------- injected failures


@pytest.mark.parametrize("refusal", DOCUMENTED, ids=lambda refusal: f"{refusal.status}-{refusal.code}")
def test_each_documented_error_can_be_injected(simulator: Simulator, refusal: Refusal) -> None:
    simulator.behave(QUICK.but(refusal=refusal))
    response = post(simulator, GENERATE)
    assert response.status_code == refusal.status
    assert response.json()["error"] == {"code": refusal.code, "message": refusal.message}
    assert "success" not in response.json()
    assert not simulator.submissions[0].accepted
    assert post(simulator, GENERATE).status_code == 200, "by default a behaviour applies to one request"


def test_errors_have_several_shapes(simulator: Simulator) -> None:
    bodies = {}
    for shape in ErrorShape:
        simulator.behave(QUICK.but(refusal=Refusal.of("used_up", shape=shape)))
        bodies[shape] = post(simulator, GENERATE).json()
    assert bodies[ErrorShape.FLAGGED]["success"] is False
    assert bodies[ErrorShape.FLAGGED]["error"]["code"] == "used_up"
    assert bodies[ErrorShape.STRING]["error"] == "Your balance is not sufficient for current request."
    assert bodies[ErrorShape.NULL]["error"] is None


def test_a_behaviour_can_be_limited_to_matching_requests(simulator: Simulator) -> None:
    refused = QUICK.but(refusal=Refusal.of("forbidden"))
    simulator.behave(refused, times=None, when=lambda body: "weapon" in body["prompt"])
    assert post(simulator, GENERATE | {"prompt": "a weapon"}).status_code == 403
    assert post(simulator, GENERATE).status_code == 200
    assert post(simulator, GENERATE | {"prompt": "more weapons"}).status_code == 403


@pytest.mark.parametrize("kind", [ResponseKind.DROPPED, ResponseKind.RESET])
def test_the_response_to_an_accepted_submission_can_be_lost(
    simulator: Simulator, receiver: Receiver, kind: ResponseKind
) -> None:
    simulator.behave(QUICK.but(response=kind))
    with pytest.raises(requests.ConnectionError):
        submit(simulator, callback_url=receiver.url)
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    assert receiver.bodies[0]["task_id"] == simulator.submissions[0].task_id


def test_a_lost_submission_creates_no_task(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(accepted=False))
    with pytest.raises(requests.ConnectionError):
        submit(simulator, callback_url=receiver.url)
    assert not simulator.tasks
    assert not simulator.submissions[0].accepted


def test_an_incomplete_request_is_ignored(simulator: Simulator) -> None:
    """As sent by a client that is killed while it sends."""
    head = b"POST /flux/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=120) as connection:
        connection.sendall(head + b'{"action": ')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert not simulator.submissions


def test_a_response_can_hang_until_the_client_times_out(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(response=ResponseKind.HANGING))
    with pytest.raises(requests.ReadTimeout):
        post(simulator, GENERATE, timeout=0.1)
    simulator.wait_for(lambda: [submission.accepted for submission in simulator.submissions] == [True], timeout=120)


def test_closing_the_simulator_ends_a_hanging_response() -> None:
    with Simulator(behaviour=HELD) as simulator:
        session = requests.Session()
        with session, pytest.raises(requests.ReadTimeout):
            session.post(simulator.url + "/flux/images", json=GENERATE, headers=AUTHORIZED, timeout=0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 60


def test_responses_can_be_a_gateways_or_malformed(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(response=ResponseKind.HTML))
    response = post(simulator, GENERATE)
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    simulator.behave(QUICK.but(response=ResponseKind.GARBLED, response_status=200))
    with pytest.raises(requests.JSONDecodeError):
        post(simulator, GENERATE).json()


def test_keep_alive_can_be_disabled() -> None:
    for seconds, kept in ((60, True), (0, False)):
        with Simulator(behaviour=QUICK, keep_alive=seconds) as simulator, requests.Session() as session:
            response = session.post(simulator.url + "/flux/images", json=GENERATE, headers=AUTHORIZED, timeout=120)
            assert (response.headers.get("connection") != "close") is kept


def test_flags_are_read_from_the_simulator_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUX_API_URL", "")
    monkeypatch.setenv("FLUX_API_TOKEN", "")
    monkeypatch.setenv("SIMULATOR", "--latency 0 --refuse 1 --refuse-code used_up --repeat 3 --late 2 --early")
    simulator = options.provider()["simulator"]
    with simulator:
        refused = requests.post(f"{simulator.url}/flux/images", json=GENERATE, headers=AUTHORIZED, timeout=120)
    assert refused.json()["error"]["code"] == "used_up"
    assert simulator.behaviour == Behaviour(latency=0, callbacks=3, callback_delay=2, callback_early=True)
