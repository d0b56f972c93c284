"""Archiving: what lies in the bucket afterwards, and what a task says of what could not be fetched."""

import copy
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from PIL import Image as Picture

from fluxgate.tasks.model import Image, Status, Task
from local.providers.acedata import Behaviour, ImageFault
from local.seeds import GENERATED
from tests.harness import Event, Functions, event

ARCHIVE = event("archive_images.good_generated")
JOB = json.loads(ARCHIVE["Records"][0]["body"])
ATTEMPTS = 4  # as in template.yaml, which test_settings_and_template compares


@pytest.fixture(autouse=True)
def _generated_task(functions: Functions) -> None:
    functions.seed()


def job(functions: Functions, *urls: str, attempt: int = 1, images: Any = None) -> Event:
    """The event for a stored task with these images at the provider."""
    message = copy.deepcopy(ARCHIVE)
    record = message["Records"][0]
    found = images or [{"source_url": url, "seed": n} for n, url in enumerate(urls)]
    record["body"] = json.dumps({**JOB, "images": found})
    record["attributes"]["ApproximateReceiveCount"] = str(attempt)
    stored = tuple(Image(source_url=image["source_url"], seed=image["seed"]) for image in found)
    functions.tasks.update(GENERATED, while_in=Status.GENERATED, images=stored) if attempt == 1 else None
    return message


def last(functions: Functions, *urls: str, age: timedelta = timedelta(0)) -> Event:
    """The event of the last attempt at images that the provider made so long ago."""
    message = job(functions, *urls)
    record = message["Records"][0]
    generated_at = datetime.now(UTC) - age
    functions.tasks.update(GENERATED, while_in=Status.GENERATED, generated_at=generated_at)
    record["body"] = json.dumps({**json.loads(record["body"]), "generated_at": generated_at.isoformat()})
    record["attributes"]["ApproximateReceiveCount"] = str(ATTEMPTS)
    return message


def made(functions: Functions, behaviour: Behaviour, count: int = 1, size: str = "512x256") -> list[str]:
    """URLs of pictures that the provider has just made, to be downloaded under this behaviour."""
    functions.simulator.behave(behaviour.but(callbacks=0, latency=0))
    request = {
        "action": "generate",
        "prompt": "a fox",
        "model": "flux-dev",
        "size": size,
        "count": count,
        "async": True,
    }
    url = f"{functions.simulator.url}/flux/images"
    task_id = requests.post(url, json=request, headers={"Authorization": "Bearer x"}, timeout=10).json()["task_id"]
    functions.simulator.wait_for(lambda: _finished(functions, task_id))
    (task,) = [task for task in functions.simulator.tasks if task.id == task_id]
    assert task.response
    return [datum["image_url"] for datum in task.response["data"]]


def _finished(functions: Functions, task_id: str) -> bool:
    return any(task.id == task_id and task.finished.is_set() for task in functions.simulator.tasks)


def in_bucket(functions: Functions, key: str) -> tuple[bytes, str]:
    bucket = functions.stack.deployment.resources["ImagesBucket"]
    found = functions.stack.client("s3").get_object(Bucket=bucket, Key=key)
    return found["Body"].read(), found["ContentType"]


def archived(functions: Functions, message: Event) -> Task:
    assert functions.invoke("archive_images", message) == {"batchItemFailures": []}
    return functions.stored(GENERATED)


@pytest.mark.parametrize(
    ("form", "extension", "content_type"),
    [("png", "png", "image/png"), ("jpeg", "jpg", "image/jpeg"), ("webp", "webp", "image/webp")],
)
def test_a_picture_lies_in_the_bucket_as_the_provider_made_it(
    functions: Functions, form: Any, extension: str, content_type: str
) -> None:
    (url,) = made(functions, Behaviour(image_format=form, image_fault=ImageFault.WRONG_TYPE))
    task = archived(functions, job(functions, url))
    (image,) = task.images
    assert (task.status, image.key) == (Status.SUCCEEDED, f"local/{GENERATED}/0.{extension}")
    content, stored_type = in_bucket(functions, image.key or "")
    assert Picture.open(io.BytesIO(content)).size == (image.width, image.height) == (512, 256)
    assert (image.content_type, stored_type, image.bytes) == (content_type, content_type, len(content))
    made_images = next(t for t in functions.simulator.tasks if t.response and url in json.dumps(t.response)).images
    assert content == made_images[0].content


def test_it_costs_one_put_per_image_and_one_write(functions: Functions) -> None:
    urls = made(functions, Behaviour(), count=3)
    task = archived(functions, job(functions, *urls))
    assert functions.calls == ["s3:PutObject"] * 3 + ["dynamodb:UpdateItem"]
    assert [image.key for image in task.images] == [f"local/{GENERATED}/{n}.png" for n in range(3)]
    assert [image.seed for image in task.images] == [0, 1, 2]
    metrics = functions.metrics()
    assert metrics["TaskSucceeded"] == 1
    assert metrics["CallbackToArchived"] > 0


UNFETCHABLE = {
    "expired": (ImageFault.EXPIRED, "http_403"),
    "missing": (ImageFault.MISSING, "http_404"),
    "unavailable": (ImageFault.UNAVAILABLE, "http_503"),
    "redirect": (ImageFault.REDIRECT, "http_302"),
    "truncated": (ImageFault.TRUNCATED, None),
    "not an image": (ImageFault.NOT_AN_IMAGE, "not_an_image"),
    "empty": (ImageFault.EMPTY, "not_an_image"),
}


@pytest.mark.parametrize("name", UNFETCHABLE)
def test_what_cannot_be_fetched_is_tried_again(functions: Functions, name: str) -> None:
    fault, reason = UNFETCHABLE[name]
    (url,) = made(functions, Behaviour(image_fault=fault))
    failed = functions.invoke("archive_images", job(functions, url))
    assert failed == {"batchItemFailures": [{"itemIdentifier": ARCHIVE["Records"][0]["messageId"]}]}
    assert functions.stored(GENERATED).status is Status.GENERATED
    assert functions.calls == ["dynamodb:UpdateItem"]
    if reason:
        assert f'"reason":"{reason}"' in functions.logs()


def test_a_broken_picture_is_no_image(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    (url,) = made(functions, Behaviour())
    monkeypatch.setattr(
        "local.providers.acedata.records.Image.content", b"\x89PNG\r\n\x1a\nand then nothing of the kind"
    )
    functions.invoke("archive_images", job(functions, url))
    assert '"reason":"not_an_image"' in functions.logs()


def test_a_picture_that_is_too_large_or_too_slow_is_left(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.images.archive.MAX_BYTES", 100_000)
    (huge,) = made(functions, Behaviour(image_fault=ImageFault.HUGE, huge_bytes=300_000))
    functions.invoke("archive_images", job(functions, huge))
    monkeypatch.setattr("fluxgate.workflows.archive_images.TOTAL_SECONDS", 0.5)
    (slow,) = made(functions, Behaviour(image_fault=ImageFault.SLOW, image_delay=0.05))
    functions.invoke("archive_images", job(functions, slow))
    logs = functions.logs()
    assert '"reason":"too_large"' in logs
    assert '"reason":"too_slow"' in logs


def test_after_the_last_attempt_the_task_succeeds_with_the_others(functions: Functions) -> None:
    (good,), (gone,) = made(functions, Behaviour()), made(functions, Behaviour(image_fault=ImageFault.EXPIRED))
    functions.invoke("archive_images", job(functions, good, gone))
    task = archived(functions, job(functions, good, gone, attempt=ATTEMPTS))
    kept, lost = task.images
    assert task.status is Status.SUCCEEDED
    assert kept.key == f"local/{GENERATED}/0.png"
    assert (lost.key, lost.source_url) == (None, gone)


PASSING = ("unavailable", "truncated", "refused connection")
GONE = ("expired", "missing", "redirect", "not an image")


def _url(functions: Functions, name: str) -> str:
    if name == "refused connection":
        return "http://127.0.0.1:1/0.png"
    return made(functions, Behaviour(image_fault=UNFETCHABLE[name][0]))[0]


@pytest.mark.parametrize("name", PASSING)
def test_what_may_come_yet_is_not_given_up_but_tried_ever_more_rarely(functions: Functions, name: str) -> None:
    url = _url(functions, name)
    task = archived(functions, last(functions, url))
    assert task.status is Status.GENERATED
    assert due_in(functions) == pytest.approx(600, abs=10)
    task = archived(functions, last(functions, url, age=timedelta(hours=5)))
    assert task.status is Status.GENERATED
    assert due_in(functions) == pytest.approx(5 * 3600, abs=10)


@pytest.mark.parametrize("name", PASSING)
def test_what_never_came_is_given_up_in_the_end(functions: Functions, name: str) -> None:
    task = archived(functions, last(functions, _url(functions, name), age=timedelta(hours=25)))
    assert (task.status, task.images[0].key) == (Status.SUCCEEDED, None)


@pytest.mark.parametrize("name", GONE)
def test_what_is_gone_for_good_is_given_up_after_the_last_attempt(functions: Functions, name: str) -> None:
    task = archived(functions, last(functions, _url(functions, name)))
    assert (task.status, task.images[0].key) == (Status.SUCCEEDED, None)


def test_what_is_gone_does_not_end_the_wait_for_the_others(functions: Functions) -> None:
    task = archived(functions, last(functions, *(_url(functions, name) for name in ("expired", "truncated"))))
    assert task.status is Status.GENERATED


def test_messages_that_overlap_do_not_undo_each_others_work(functions: Functions) -> None:
    """The second one has both images from its own, older message; meanwhile the first has stored one of them."""
    urls = [_url(functions, "expired"), _url(functions, "truncated")]
    other = Image(source_url=urls[0], key="local/elsewhere.png", content_type="image/png", width=1, height=1, bytes=1)
    message = job(functions, *urls)
    functions.tasks.update(GENERATED, while_in=Status.GENERATED, **{"images[0]": other})
    assert len(functions.invoke("archive_images", message)["batchItemFailures"]) == 1
    assert [image.key for image in functions.stored(GENERATED).images] == ["local/elsewhere.png", None]


def test_what_others_have_archived_by_now_is_not_missing(functions: Functions) -> None:
    (url,) = made(functions, Behaviour(image_fault=ImageFault.EXPIRED))
    message = job(functions, url)
    key = "local/elsewhere.png"
    other = Image(source_url=url, key=key, content_type="image/png", width=1, height=1, bytes=1)
    functions.tasks.update(GENERATED, while_in=Status.GENERATED, **{"images[0]": other})
    task = archived(functions, message)
    assert (task.status, task.images[0].key) == (Status.SUCCEEDED, key)


def due_in(functions: Functions) -> float:
    stored = functions.stored(GENERATED)
    assert stored.due_at
    return (stored.due_at - datetime.now(UTC)).total_seconds()


def test_a_later_attempt_fetches_only_what_is_missing(functions: Functions) -> None:
    (good,) = made(functions, Behaviour())
    (late,) = made(functions, Behaviour(image_fault=ImageFault.UNAVAILABLE, image_fault_times=1))
    functions.invoke("archive_images", job(functions, good, late))
    functions.calls.clear()
    task = archived(functions, job(functions, good, late, attempt=2))
    assert [image.key for image in task.images] == [f"local/{GENERATED}/{n}.png" for n in range(2)]
    assert functions.calls == ["dynamodb:UpdateItem", "s3:PutObject", "dynamodb:UpdateItem"]
    assert task.archive_attempts == 2


def test_a_repeated_message_does_nothing(functions: Functions) -> None:
    (url,) = made(functions, Behaviour())
    once = archived(functions, job(functions, url))
    functions.calls.clear()
    assert archived(functions, job(functions, url, attempt=2)) == once
    assert functions.calls == ["dynamodb:UpdateItem"]
    assert functions.metrics()["TaskSucceeded"] == 1


def test_a_bucket_that_fails_loses_nothing(functions: Functions) -> None:
    (url,) = made(functions, Behaviour())
    message = job(functions, url)
    functions.before_call = lambda model, **_: _unavailable() if model.name == "PutObject" else None
    assert len(functions.invoke("archive_images", message)["batchItemFailures"]) == 1
    functions.before_call = lambda **_: None
    assert archived(functions, job(functions, url, attempt=2)).status is Status.SUCCEEDED


def test_a_put_that_fails_does_not_discard_the_others_nor_end_the_task(functions: Functions) -> None:
    urls = made(functions, Behaviour(), count=3)
    message = last(functions, *urls)
    functions.before_call = lambda model, params, **_: (
        _unavailable() if model.name == "PutObject" and "/1.png" in params["url"] else None
    )
    assert len(functions.invoke("archive_images", message)["batchItemFailures"]) == 1
    kept = functions.stored(GENERATED)
    assert kept.status is Status.GENERATED
    assert [image.key is not None for image in kept.images] == [True, False, True]


def _unavailable() -> tuple[Any, dict[str, Any]]:
    error = {"Error": {"Code": "ServiceUnavailable", "Message": "no"}, "ResponseMetadata": {}}
    return type("Response", (), {"status_code": 503, "headers": {}, "content": b""})(), error


def test_a_message_that_is_no_job_is_left_to_the_dead_letters(functions: Functions) -> None:
    assert len(functions.invoke("archive_images", event("archive_images.bad_message"))["batchItemFailures"]) == 1
    assert functions.calls == []
    assert functions.metrics()["MessageFailed"] == 1


ADDRESSES = ["https://127.0.0.1/x.png", "https://169.254.169.254/x.png", "https://localhost/x.png", "https://[::1]/x.png",
             "https://10.0.0.1/x.png", "https://100.64.0.1/x.png", "https://2130706433/x.png",
             "https://[::ffff:127.0.0.1]/x.png", "https://0/x.png"]  # fmt: skip


@pytest.mark.parametrize("url", ADDRESSES)
def test_at_aws_a_private_address_is_never_connected_to(functions: Functions, url: str) -> None:
    functions.invoke("archive_images", job(functions, url), ALLOW_LOCAL_URLS="")
    assert '"reason":"address_not_public"' in functions.logs()


def test_at_aws_only_https_is_fetched(functions: Functions) -> None:
    (url,) = made(functions, Behaviour())
    functions.invoke("archive_images", job(functions, url), ALLOW_LOCAL_URLS="")
    assert '"reason":"not_https"' in functions.logs()
    for odd in ("https://", "https://" + "x" * 300 + ".com/", "https://exa mple.com/", "https://nowhere.invalid/"):
        assert len(functions.invoke("archive_images", job(functions, odd))["batchItemFailures"]) == 1


def test_logs_hold_no_urls(functions: Functions) -> None:
    (gone,) = made(functions, Behaviour(image_fault=ImageFault.EXPIRED))
    functions.invoke("archive_images", job(functions, gone))
    functions.invoke("archive_images", job(functions, "http://127.0.0.1:1/secret-path.png"))
    logs = functions.logs()
    assert GENERATED in logs
    assert gone not in logs
    assert "secret-path" not in logs
