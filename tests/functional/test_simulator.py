"""The simulated provider behaves as the vendor's documents say, and misbehaves as it is told."""

import json
import math
import socket
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
import requests
from PIL import Image

from local import options
from local.providers.acedata import DOCUMENTED, Answer, Behaviour, Form, ImageFault, Refusal, Simulator
from local.providers.acedata.ledger import TASKS
from local.providers.acedata.listener import Listener, Reply, Request
from local.providers.acedata.rules import NEWEST_MODELS

AUTHORIZED = {"authorization": "Bearer some-token"}
GENERATE = {"action": "generate", "prompt": "a white siamese cat", "model": "flux-dev", "size": "256x256"}
EDIT = {
    "action": "edit",
    "prompt": "with a hat",
    "model": "flux-kontext-pro",
    "size": "1:1",
    "image_url": "https://example.com/cat.png",
}
QUICK = Behaviour(latency=0)
HELD = Behaviour(latency=math.inf)


class Receiver:
    """Where callbacks go; `statuses` are its answers in order, the last one repeated."""

    def __init__(self, *statuses: int) -> None:
        self.bodies: list[Any] = []
        self._statuses = list(statuses) or [200]
        self._listener = Listener(self._receive, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.port}/callbacks/acedata/some-task/some-token"

    def _receive(self, request: Request) -> Reply:
        self.bodies.append(json.loads(request.body))
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return Reply(status, "application/json", b"{}")

    def __enter__(self) -> "Receiver":
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(behaviour=QUICK) as simulator:
        yield simulator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def post(simulator: Simulator, body: object, path: str = "/flux/images", **options: Any) -> requests.Response:
    return requests.post(simulator.url + path, json=body, **{"headers": AUTHORIZED, "timeout": 5, **options})


def submit(simulator: Simulator, **fields: Any) -> Any:
    response = post(simulator, GENERATE | fields)
    assert response.status_code == 200, response.text
    return response.json()


def retrieve(simulator: Simulator, task_id: str) -> Any:
    return post(simulator, {"action": "retrieve", "id": task_id}, TASKS).json()


def image_of(simulator: Simulator, **behaviour: Any) -> requests.Response:
    simulator.behave(QUICK.but(**behaviour))
    return requests.get(submit(simulator)["data"][0]["image_url"], timeout=5)


# ---------------------------------------------------------------- submitting


def test_without_a_callback_url_the_answer_holds_the_images(simulator: Simulator) -> None:
    answer = submit(simulator, count=2)
    assert set(answer) == {"success", "task_id", "trace_id", "data"}
    assert answer["success"] is True
    first, second = answer["data"]
    assert set(first) == {"prompt", "image_url", "seed", "timings"}
    assert first["prompt"] == second["prompt"] == "a white siamese cat"
    assert first["image_url"] != second["image_url"]
    assert first["timings"] == {"inference": 3.328}


def test_seeds_may_be_missing_and_timings_a_number(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(seeds=False, timings="number"))
    datum = submit(simulator)["data"][0]
    assert set(datum) == {"prompt", "image_url", "timings"}
    assert isinstance(datum["timings"], int)


def test_with_a_callback_url_only_the_id_comes_back(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behaviour = HELD
    assert set(submit(simulator, callback_url=receiver.url)) == {"task_id"}
    simulator.behaviour = HELD.but(answer_success=True)
    assert submit(simulator, callback_url=receiver.url)["success"] is True


def test_async_gives_the_id_without_a_callback(simulator: Simulator) -> None:
    task_id = submit(simulator, **{"async": True})["task_id"]
    simulator.wait_for(simulator.tasks[0].finished.is_set)
    assert retrieve(simulator, task_id)["response"]["data"]


def test_submissions_are_recorded_field_by_field(simulator: Simulator) -> None:
    submit(simulator, unknown_field=1)
    post(simulator, {})
    good, bad = simulator.submissions
    assert good.body == GENERATE | {"unknown_field": 1}
    assert good.headers["authorization"] == "Bearer some-token"
    assert good.accepted
    assert good.task_id == simulator.tasks[0].id
    assert (bad.body, bad.accepted, bad.task_id) == ({}, False, None)


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
def test_what_the_vendor_accepts(simulator: Simulator, body: dict[str, Any]) -> None:
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
def test_what_the_vendor_rejects(simulator: Simulator, body: object, word: str) -> None:
    response = post(simulator, body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "bad_request")
    assert word in error["message"]
    assert not simulator.submissions[0].accepted
    assert not simulator.tasks


def test_the_newest_models_leave_out_two_that_the_guides_name() -> None:
    with Simulator(models=NEWEST_MODELS, behaviour=QUICK) as simulator:
        assert post(simulator, GENERATE | {"model": "flux-pro-1.1"}).status_code == 400
        assert post(simulator, GENERATE).status_code == 200


def test_tokens_are_asked_for() -> None:
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


def test_other_routes_do_not_exist(simulator: Simulator) -> None:
    assert post(simulator, {}, "/flux/videos").json()["error"]["code"] == "no_api"
    assert requests.get(f"{simulator.url}/flux/images", timeout=5).status_code == 404


# ---------------------------------------------------------------- faults of the API


@pytest.mark.parametrize("refusal", DOCUMENTED, ids=lambda refusal: f"{refusal.status}-{refusal.code}")
def test_each_documented_error_can_be_had(simulator: Simulator, refusal: Refusal) -> None:
    simulator.behave(QUICK.but(refusal=refusal))
    response = post(simulator, GENERATE)
    assert response.status_code == refusal.status
    assert response.json()["error"] == {"code": refusal.code, "message": refusal.message}
    assert "success" not in response.json()
    assert not simulator.submissions[0].accepted
    assert post(simulator, GENERATE).status_code == 200, "an order counts once unless it says otherwise"


def test_errors_come_in_several_forms(simulator: Simulator) -> None:
    bodies = {}
    for form in Form:
        simulator.behave(QUICK.but(refusal=Refusal.of("used_up", form=form)))
        bodies[form] = post(simulator, GENERATE).json()
    assert bodies[Form.FLAGGED]["success"] is False
    assert bodies[Form.FLAGGED]["error"]["code"] == "used_up"
    assert bodies[Form.STRING]["error"] == "Your balance is not sufficient for current request."
    assert bodies[Form.NULL]["error"] is None


def test_orders_can_choose_their_requests(simulator: Simulator) -> None:
    refused = QUICK.but(refusal=Refusal.of("forbidden"))
    simulator.behave(refused, times=None, when=lambda body: "weapon" in body["prompt"])
    assert post(simulator, GENERATE | {"prompt": "a weapon"}).status_code == 403
    assert post(simulator, GENERATE).status_code == 200
    assert post(simulator, GENERATE | {"prompt": "more weapons"}).status_code == 403


@pytest.mark.parametrize("answer", [Answer.DROPPED, Answer.RESET])
def test_an_accepted_submission_may_lose_its_answer(simulator: Simulator, receiver: Receiver, answer: Answer) -> None:
    simulator.behave(QUICK.but(answer=answer))
    with pytest.raises(requests.ConnectionError):
        submit(simulator, callback_url=receiver.url)
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    assert receiver.bodies[0]["task_id"] == simulator.submissions[0].task_id


def test_a_lost_submission_leaves_nothing(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(accepted=False))
    with pytest.raises(requests.ConnectionError):
        submit(simulator, callback_url=receiver.url)
    assert not simulator.tasks
    assert not simulator.submissions[0].accepted


def test_half_a_request_is_none(simulator: Simulator) -> None:
    """Its client was killed while it sent."""
    head = b"POST /flux/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=5) as connection:
        connection.sendall(head + b'{"action": ')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert not simulator.submissions


def test_an_answer_may_hang_until_the_client_gives_up(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(answer=Answer.HANGING))
    with pytest.raises(requests.ReadTimeout):
        post(simulator, GENERATE, timeout=0.1)
    assert simulator.submissions[0].accepted


def test_closing_ends_a_hanging_answer() -> None:
    with Simulator(behaviour=HELD) as simulator:
        session = requests.Session()
        with session, pytest.raises(requests.ReadTimeout):
            session.post(simulator.url + "/flux/images", json=GENERATE, headers=AUTHORIZED, timeout=0.1)
        began = time.monotonic()
    assert time.monotonic() - began < 2


def test_gateways_answer_in_words_of_their_own(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(answer=Answer.HTML))
    response = post(simulator, GENERATE)
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    simulator.behave(QUICK.but(answer=Answer.GARBLED, answer_status=200))
    with pytest.raises(requests.JSONDecodeError):
        post(simulator, GENERATE).json()


def test_connections_are_kept_alive_or_not() -> None:
    for seconds, kept in ((60, True), (0, False)):
        with Simulator(behaviour=QUICK, keep_alive=seconds) as simulator, requests.Session() as session:
            response = session.post(simulator.url + "/flux/images", json=GENERATE, headers=AUTHORIZED, timeout=5)
            assert (response.headers.get("connection") != "close") is kept


# ---------------------------------------------------------------- callbacks


def test_the_callback_has_the_answers_form(simulator: Simulator, receiver: Receiver) -> None:
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
        (Refusal.of("api_error", form=Form.STRING), "fetch failed"),
        (Refusal.of("api_error", form=Form.NULL), None),
    ],
)
def test_a_generation_may_fail(simulator: Simulator, receiver: Receiver, failure: Refusal, error: object) -> None:
    simulator.behave(QUICK.but(failure=failure))
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    assert receiver.bodies[0]["error"] == error
    assert receiver.bodies[0]["success"] is False
    assert retrieve(simulator, task_id)["response"] == receiver.bodies[0]


def test_a_failure_without_a_callback_is_the_answer(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(failure=Refusal.of("timeout")))
    response = post(simulator, GENERATE)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")


def test_a_success_may_have_no_images(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(image_count=0))
    assert submit(simulator)["data"] == []


def test_callbacks_get_lost_and_repeated(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(callbacks=0))
    lost = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.behave(QUICK.but(callbacks=3))
    submit(simulator, callback_url=receiver.url)
    simulator.wait_for(lambda: len(simulator.callbacks) == 3)
    assert receiver.bodies[0] == receiver.bodies[1] == receiver.bodies[2]
    assert lost not in {body["task_id"] for body in receiver.bodies}


def test_a_callback_may_overtake_the_answer(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(callback_early=True))
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    assert [body["task_id"] for body in receiver.bodies] == [task_id]


def test_a_callback_may_come_long_after_the_task_is_finished(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behave(QUICK.but(callback_delay=60))
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.wait_for(simulator.tasks[0].finished.is_set)
    assert retrieve(simulator, task_id)["response"]["success"] is True
    assert not receiver.bodies


@pytest.mark.parametrize(("retries", "statuses"), [(0, [500]), (2, [500, 200])])
def test_callbacks_are_retried_only_when_told(simulator: Simulator, retries: int, statuses: list[int]) -> None:
    with Receiver(500, 200) as receiver:
        simulator.behave(QUICK.but(callback_retries=retries))
        submit(simulator, callback_url=receiver.url)
        simulator.wait_for(lambda: len(simulator.callbacks) == len(statuses))
        assert [callback.status for callback in simulator.callbacks] == statuses


def test_a_callback_that_nobody_takes_is_recorded(simulator: Simulator) -> None:
    submit(simulator, callback_url="http://127.0.0.1:9/")
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    assert simulator.callbacks[0].status is None


# ---------------------------------------------------------------- retrieving


def test_a_running_task_has_no_response(simulator: Simulator) -> None:
    simulator.behaviour = HELD
    task_id = submit(simulator, **{"async": True})["task_id"]
    task = retrieve(simulator, task_id)
    assert task["id"] == task_id
    assert task["request"] == GENERATE | {"async": True}
    assert task.keys().isdisjoint({"response", "finished_at", "elapsed", "status"})


def test_a_running_task_may_show_a_response_without_data(simulator: Simulator) -> None:
    simulator.behaviour = HELD.but(running_response=True)
    task_id = submit(simulator, **{"async": True})["task_id"]
    assert retrieve(simulator, task_id)["response"] == {"success": True, "task_id": task_id}


def test_a_finished_task_echoes_request_and_response(simulator: Simulator, receiver: Receiver) -> None:
    simulator.behaviour = HELD
    task_id = submit(simulator, callback_url=receiver.url)["task_id"]
    simulator.release(task_id)
    simulator.wait_for(lambda: len(simulator.callbacks) == 1)
    task = retrieve(simulator, task_id)
    assert task["request"]["callback_url"] == receiver.url
    assert task["response"] == receiver.bodies[0]
    assert task["created_at"] <= task["started_at"] <= task["finished_at"] <= time.time() + 1
    assert task["elapsed"] >= 0


def test_a_batch_holds_the_known_tasks(simulator: Simulator) -> None:
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
def test_bad_retrievals_are_refused(simulator: Simulator, body: object) -> None:
    response = post(simulator, body, TASKS)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


def test_unknown_tasks_are_refused(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(listed=False))
    hidden = submit(simulator)["task_id"]
    for task_id in (hidden, "unknown"):
        assert post(simulator, {"action": "retrieve", "id": task_id}, TASKS).status_code == 404


def test_tasks_are_listed_where_that_is_switched_on() -> None:
    with Simulator(behaviour=QUICK, listing=True) as simulator:
        ids = [submit(simulator)["task_id"] for _ in range(3)]
        page = {"action": "retrieve_batch", "limit": 2, "offset": 0}
        first = post(simulator, page | {"created_at_min": time.time() - 60, "created_at_max": time.time() + 1}, TASKS)
        assert first.json()["count"] == 3
        assert [task["id"] for task in first.json()["items"]] == [ids[2], ids[1]]
        second = post(simulator, page | {"offset": 2}, TASKS)
        assert [task["id"] for task in second.json()["items"]] == [ids[0]]
        assert post(simulator, page | {"created_at_max": 0}, TASKS).json() == {"items": [], "count": 0}


def test_retrievals_can_be_disturbed(simulator: Simulator) -> None:
    simulator.behave(Behaviour(refusal=Refusal.of("too_many_requests")), path=TASKS)
    assert post(simulator, {"action": "retrieve", "id": "x"}, TASKS).status_code == 429
    simulator.behave(Behaviour(answer=Answer.DROPPED), path=TASKS)
    with pytest.raises(requests.ConnectionError):
        post(simulator, {"action": "retrieve", "id": "x"}, TASKS)


# ---------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("model", "size", "dimensions"),
    [
        ("flux-dev", "1024x1024", (1024, 1024)),
        ("flux-dev", "256x1440", (256, 1440)),
        ("flux-kontext-pro", "1:1", (1024, 1024)),
        ("flux-kontext-pro", "21:9", (1568, 672)),
        ("flux-pro-1.1-ultra", "9:16", (768, 1360)),
    ],
)
def test_images_have_the_asked_size(simulator: Simulator, model: str, size: str, dimensions: tuple[int, int]) -> None:
    answer = submit(simulator, model=model, size=size)
    response = requests.get(answer["data"][0]["image_url"], timeout=5)
    assert response.headers["content-type"] == "image/png"
    with Image.open(BytesIO(response.content)) as picture:
        assert (picture.format, picture.size) == ("PNG", dimensions)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_images_come_in_three_formats(simulator: Simulator, image_format: str) -> None:
    response = image_of(simulator, image_format=image_format)
    assert response.headers["content-type"] == f"image/{image_format}"
    with Image.open(BytesIO(response.content)) as picture:
        assert picture.format == image_format.upper()


@pytest.mark.parametrize(
    "prompt", ["日本語 العربية 🎉", "\ud800 \x00 \r\n \u202e", "x" * 5000, "many words " * 500, "e\u0301\u200d" * 50]
)
def test_any_prompt_can_be_drawn(simulator: Simulator, prompt: str) -> None:
    answer = submit(simulator, prompt=prompt, size="256x256")
    assert requests.get(answer["data"][0]["image_url"], timeout=5).status_code == 200
    assert answer["data"][0]["prompt"] == prompt


def test_pictures_differ_by_prompt_and_seed_and_stay_the_same(simulator: Simulator) -> None:
    urls = [datum["image_url"] for datum in submit(simulator, count=2)["data"]]
    first, second, again = (requests.get(url, timeout=5).content for url in [*urls, urls[0]])
    assert first == again != second


@pytest.mark.parametrize(
    ("fault", "status"), [(ImageFault.EXPIRED, 403), (ImageFault.MISSING, 404), (ImageFault.UNAVAILABLE, 503)]
)
def test_image_urls_die(simulator: Simulator, fault: ImageFault, status: int) -> None:
    assert image_of(simulator, image_fault=fault).status_code == status


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (ImageFault.WRONG_TYPE, lambda r: r.headers["content-type"] == "text/plain" and r.content[1:4] == b"PNG"),
        (ImageFault.NOT_AN_IMAGE, lambda r: r.headers["content-type"] == "image/png" and b"html" in r.content),
        (ImageFault.EMPTY, lambda r: r.content == b""),
        (ImageFault.REDIRECT, lambda r: r.history[0].status_code == 302 and r.content[1:4] == b"PNG"),
        (ImageFault.HUGE, lambda r: len(r.content) == 500_000 and "content-length" not in r.headers),
    ],
)
def test_downloads_go_wrong(
    simulator: Simulator, fault: ImageFault, holds: Callable[[requests.Response], bool]
) -> None:
    assert holds(image_of(simulator, image_fault=fault, huge_bytes=500_000))


def test_a_download_may_end_too_early(simulator: Simulator) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        image_of(simulator, image_fault=ImageFault.TRUNCATED)


def test_a_download_may_be_slow(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(image_fault=ImageFault.SLOW, image_delay=60))
    url = submit(simulator)["data"][0]["image_url"]
    with requests.get(url, stream=True, timeout=0.2) as response:
        assert len(response.raw.read(64)) == 64
        with pytest.raises(requests.ConnectionError):
            list(response.iter_content(64))


def test_a_download_may_work_at_the_second_try(simulator: Simulator) -> None:
    simulator.behave(QUICK.but(image_fault=ImageFault.UNAVAILABLE, image_fault_times=1))
    url = submit(simulator)["data"][0]["image_url"]
    assert [requests.get(url, timeout=5).status_code for _ in range(2)] == [503, 200]


def test_image_urls_begin_with_the_public_url() -> None:
    with Simulator(public_url="http://host.docker.internal:{port}", behaviour=QUICK) as simulator:
        url = submit(simulator)["data"][0]["image_url"]
        assert url.startswith(f"http://host.docker.internal:{simulator.port}/images/")


def test_a_picture_can_be_published_without_a_submission(simulator: Simulator) -> None:
    simulator.publish("sample.png", "a red fox", "512x512", 1)
    assert requests.get(f"{simulator.url}/images/sample.png", timeout=5).content[1:4] == b"PNG"
    assert not simulator.tasks


def test_its_flags_can_be_given_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUX_API_URL", "")
    monkeypatch.setenv("FLUX_API_TOKEN", "")
    monkeypatch.setenv("SIMULATOR", "--latency 0 --refuse 1 --refuse-code used_up --repeat 3 --late 2 --early")
    simulator = options.provider()["simulator"]
    with simulator:
        refused = requests.post(f"{simulator.url}/flux/images", json=GENERATE, headers=AUTHORIZED, timeout=5)
    assert refused.json()["error"]["code"] == "used_up"
    assert simulator.behaviour == Behaviour(latency=0, callbacks=3, callback_delay=2, callback_early=True)
