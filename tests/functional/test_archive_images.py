"""Archiving: downloads from the provider, objects in the bucket, and retries of missing images."""

import copy
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from PIL import Image as PillowImage

from fluxgate.tasks.model import Image, Status, Task
from local.providers.acedata import Behaviour, ImageFault
from local.seeds import GENERATED
from tests.functional.aws_calls import aws_response, fail
from tests.functional.storage import bucket_object
from tests.harness import Event, Functions, event

ARCHIVE = event("archive_images.good_generated")
JOB = json.loads(ARCHIVE["Records"][0]["body"])


@pytest.fixture(autouse=True)
def _generated_task(functions: Functions) -> None:
    functions.seed()


def max_receives(functions: Functions) -> int:
    return int(functions.stack.deployment.functions["archive_images"].environment["ARCHIVE_ATTEMPTS"])


def message(functions: Functions, *urls: str, receive_count: int = 1) -> Event:
    """A message about the generated task. With the first receive, the stored task gets these images."""
    changed = copy.deepcopy(ARCHIVE)
    record = changed["Records"][0]
    images = [{"source_url": url, "seed": index} for index, url in enumerate(urls)]
    record["body"] = json.dumps({**JOB, "images": images})
    record["attributes"]["ApproximateReceiveCount"] = str(receive_count)
    if receive_count == 1:
        stored = tuple(Image(source_url=url, seed=index) for index, url in enumerate(urls))
        functions.tasks.update(GENERATED, while_in=Status.GENERATED, images=stored)
    return changed


def last_receive(functions: Functions, *urls: str, age: timedelta = timedelta(0)) -> Event:
    """The last receive of a message about images that were generated `age` ago."""
    changed = message(functions, *urls)
    record = changed["Records"][0]
    generated_at = datetime.now(UTC) - age
    functions.tasks.update(GENERATED, while_in=Status.GENERATED, generated_at=generated_at)
    record["body"] = json.dumps({**json.loads(record["body"]), "generated_at": generated_at.isoformat()})
    record["attributes"]["ApproximateReceiveCount"] = str(max_receives(functions))
    return changed


def generate(functions: Functions, behaviour: Behaviour, count: int = 1) -> list[str]:
    """URLs of images that the provider has just generated. The behaviour applies to their downloads."""
    functions.simulator.behave(behaviour.but(callbacks=0, latency=0))
    request = {
        "action": "generate",
        "prompt": "a fox",
        "model": "flux-dev",
        "size": "512x256",
        "count": count,
        "async": True,
    }
    url = f"{functions.simulator.url}/flux/images"
    task_id = requests.post(url, json=request, headers={"Authorization": "Bearer x"}, timeout=120).json()["task_id"]
    functions.simulator.wait_for(lambda: _is_finished(functions, task_id), timeout=120)
    (task,) = [task for task in functions.simulator.tasks if task.id == task_id]
    assert task.response
    return [datum["image_url"] for datum in task.response["data"]]


def _is_finished(functions: Functions, task_id: str) -> bool:
    return any(task.id == task_id and task.finished.is_set() for task in functions.simulator.tasks)


def archive(functions: Functions, message: Event) -> Task:
    assert functions.invoke("archive_images", message) == {"batchItemFailures": []}
    return functions.stored(GENERATED)


@pytest.mark.parametrize(
    ("image_format", "extension", "content_type"),
    [("png", "png", "image/png"), ("jpeg", "jpg", "image/jpeg"), ("webp", "webp", "image/webp")],
)
def test_archived_image_has_the_providers_content_and_the_detected_type(
    functions: Functions, image_format: Any, extension: str, content_type: str
) -> None:
    (url,) = generate(functions, Behaviour(image_format=image_format, image_fault=ImageFault.WRONG_TYPE))
    task = archive(functions, message(functions, url))
    (image,) = task.images
    assert (task.status, image.key) == (Status.SUCCEEDED, f"local/{GENERATED}/0.{extension}")
    content, stored_type = bucket_object(functions, image.key or "")
    assert PillowImage.open(io.BytesIO(content)).size == (image.width, image.height) == (512, 256)
    assert (image.content_type, stored_type, image.bytes) == (content_type, content_type, len(content))
    generated = next(t for t in functions.simulator.tasks if t.response and url in json.dumps(t.response)).images
    assert content == generated[0].content


def test_archiving_takes_one_put_per_image_and_one_update(functions: Functions) -> None:
    urls = generate(functions, Behaviour(), count=3)
    task = archive(functions, message(functions, *urls))
    assert functions.calls == ["s3:PutObject"] * 3 + ["dynamodb:UpdateItem"]
    assert [image.key for image in task.images] == [f"local/{GENERATED}/{n}.png" for n in range(3)]
    assert [image.seed for image in task.images] == [0, 1, 2]
    metrics = functions.metrics()
    assert metrics["TaskSucceeded"] == 1
    assert metrics["CallbackToArchived"] > 0


FAULTY_DOWNLOADS = {
    "expired": (ImageFault.EXPIRED, "http_403"),
    "missing": (ImageFault.MISSING, "http_404"),
    "unavailable": (ImageFault.UNAVAILABLE, "http_503"),
    "redirect": (ImageFault.REDIRECT, "http_302"),
    "truncated": (ImageFault.TRUNCATED, None),
    "not an image": (ImageFault.NOT_AN_IMAGE, "not_an_image"),
    "empty": (ImageFault.EMPTY, "not_an_image"),
}
RETRYABLE = ("unavailable", "truncated", "connection refused")
FINAL = ("expired", "missing", "redirect", "not an image")


def faulty_url(functions: Functions, name: str) -> str:
    if name == "connection refused":
        return "http://127.0.0.1:1/0.png"
    return generate(functions, Behaviour(image_fault=FAULTY_DOWNLOADS[name][0]))[0]


@pytest.mark.parametrize("name", FAULTY_DOWNLOADS)
def test_failed_download_is_retried(functions: Functions, name: str) -> None:
    fault, reason = FAULTY_DOWNLOADS[name]
    (url,) = generate(functions, Behaviour(image_fault=fault))
    response = functions.invoke("archive_images", message(functions, url))
    assert response == {"batchItemFailures": [{"itemIdentifier": ARCHIVE["Records"][0]["messageId"]}]}
    assert functions.stored(GENERATED).status is Status.GENERATED
    assert functions.calls == ["dynamodb:UpdateItem"]
    if reason:
        assert f'"reason":"{reason}"' in functions.logs()


def test_broken_content_behind_an_image_signature_is_not_an_image(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    (url,) = generate(functions, Behaviour())
    monkeypatch.setattr(
        "local.providers.acedata.records.Image.content", b"\x89PNG\r\n\x1a\nand then nothing of the kind"
    )
    functions.invoke("archive_images", message(functions, url))
    assert '"reason":"not_an_image"' in functions.logs()


def test_download_is_limited_in_size_and_time(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxgate.images.archive.MAX_BYTES", 100_000)
    (huge,) = generate(functions, Behaviour(image_fault=ImageFault.HUGE, huge_bytes=300_000))
    functions.invoke("archive_images", message(functions, huge))
    monkeypatch.setattr("fluxgate.workflows.archive_images.TOTAL_SECONDS", 0.5)
    (slow,) = generate(functions, Behaviour(image_fault=ImageFault.SLOW, image_delay=0.05))
    functions.invoke("archive_images", message(functions, slow))
    logs = functions.logs()
    assert '"reason":"too_large"' in logs
    assert '"reason":"too_slow"' in logs


def test_task_succeeds_without_unavailable_images_after_the_last_receive(functions: Functions) -> None:
    (good,) = generate(functions, Behaviour())
    (expired,) = generate(functions, Behaviour(image_fault=ImageFault.EXPIRED))
    functions.invoke("archive_images", message(functions, good, expired))
    task = archive(functions, message(functions, good, expired, receive_count=max_receives(functions)))
    archived, missing = task.images
    assert task.status is Status.SUCCEEDED
    assert archived.key == f"local/{GENERATED}/0.png"
    assert (missing.key, missing.source_url) == (None, expired)


@pytest.mark.parametrize("name", RETRYABLE)
def test_retryable_download_is_postponed_at_growing_intervals_after_the_last_receive(
    functions: Functions, name: str
) -> None:
    url = faulty_url(functions, name)
    for age, delay in ((timedelta(0), timedelta(minutes=10)), (timedelta(hours=5), timedelta(hours=5))):
        last = last_receive(functions, url, age=age)
        started_at = datetime.now(UTC)
        task = archive(functions, last)
        ended_at = datetime.now(UTC)
        assert task.status is Status.GENERATED
        assert task.generated_at
        assert task.due_at
        assert started_at + delay <= task.due_at <= ended_at + max(delay, ended_at - task.generated_at)


@pytest.mark.parametrize("name", RETRYABLE)
def test_retryable_download_is_given_up_after_the_maximum_age(functions: Functions, name: str) -> None:
    task = archive(functions, last_receive(functions, faulty_url(functions, name), age=timedelta(hours=25)))
    assert (task.status, task.images[0].key) == (Status.SUCCEEDED, None)


@pytest.mark.parametrize("name", FINAL)
def test_final_download_error_is_given_up_after_the_last_receive(functions: Functions, name: str) -> None:
    task = archive(functions, last_receive(functions, faulty_url(functions, name)))
    assert (task.status, task.images[0].key) == (Status.SUCCEEDED, None)


def test_final_error_of_one_image_does_not_stop_retries_of_another(functions: Functions) -> None:
    urls = [faulty_url(functions, name) for name in ("expired", "truncated")]
    task = archive(functions, last_receive(functions, *urls))
    assert task.status is Status.GENERATED


ARCHIVED_ELSEWHERE = "local/elsewhere.png"


def archive_first_image_elsewhere(functions: Functions, url: str) -> None:
    """What an overlapping message does that is faster."""
    image = Image(source_url=url, key=ARCHIVED_ELSEWHERE, content_type="image/png", width=1, height=1, bytes=1)
    functions.tasks.update(GENERATED, while_in=Status.GENERATED, **{"images[0]": image})


def test_overlapping_messages_do_not_overwrite_each_other(functions: Functions) -> None:
    """Both images are missing in the message, which is older than the archived first image."""
    urls = [faulty_url(functions, "expired"), faulty_url(functions, "truncated")]
    older = message(functions, *urls)
    archive_first_image_elsewhere(functions, urls[0])
    assert len(functions.invoke("archive_images", older)["batchItemFailures"]) == 1
    assert [image.key for image in functions.stored(GENERATED).images] == [ARCHIVED_ELSEWHERE, None]


def test_image_archived_by_an_overlapping_message_is_not_missing(functions: Functions) -> None:
    (url,) = generate(functions, Behaviour(image_fault=ImageFault.EXPIRED))
    older = message(functions, url)
    archive_first_image_elsewhere(functions, url)
    task = archive(functions, older)
    assert (task.status, task.images[0].key) == (Status.SUCCEEDED, ARCHIVED_ELSEWHERE)


def test_later_receive_fetches_only_missing_images(functions: Functions) -> None:
    (good,) = generate(functions, Behaviour())
    (late,) = generate(functions, Behaviour(image_fault=ImageFault.UNAVAILABLE, image_fault_times=1))
    functions.invoke("archive_images", message(functions, good, late))
    functions.calls.clear()
    task = archive(functions, message(functions, good, late, receive_count=2))
    assert [image.key for image in task.images] == [f"local/{GENERATED}/{n}.png" for n in range(2)]
    assert functions.calls == ["dynamodb:UpdateItem", "s3:PutObject", "dynamodb:UpdateItem"]
    assert task.archive_attempts == 2


def test_repeated_message_changes_nothing(functions: Functions) -> None:
    (url,) = generate(functions, Behaviour())
    archived = archive(functions, message(functions, url))
    functions.calls.clear()
    assert archive(functions, message(functions, url, receive_count=2)) == archived
    assert functions.calls == ["dynamodb:UpdateItem"]
    assert functions.metrics()["TaskSucceeded"] == 1


def test_message_is_retried_after_a_bucket_failure(functions: Functions) -> None:
    (url,) = generate(functions, Behaviour())
    first = message(functions, url)
    functions.before_call = fail("PutObject", "ServiceUnavailable")
    assert len(functions.invoke("archive_images", first)["batchItemFailures"]) == 1
    functions.before_call = lambda **_: None
    assert archive(functions, message(functions, url, receive_count=2)).status is Status.SUCCEEDED


def test_image_that_the_bucket_refuses_is_never_given_up(functions: Functions) -> None:
    urls = generate(functions, Behaviour(), count=3)
    last = last_receive(functions, *urls)
    unavailable = aws_response({"Error": {"Code": "ServiceUnavailable", "Message": "no"}}, 503)
    functions.before_call = lambda model, params, **_: (
        unavailable if model.name == "PutObject" and "/1.png" in params["url"] else None
    )
    assert len(functions.invoke("archive_images", last)["batchItemFailures"]) == 1
    task = functions.stored(GENERATED)
    assert task.status is Status.GENERATED
    assert [image.key is not None for image in task.images] == [True, False, True]


def test_malformed_message_fails_without_a_call_to_aws(functions: Functions) -> None:
    assert len(functions.invoke("archive_images", event("archive_images.bad_message"))["batchItemFailures"]) == 1
    assert functions.calls == []
    assert functions.metrics()["MessageFailed"] == 1


PRIVATE_URLS = [
    "https://127.0.0.1/x.png", "https://169.254.169.254/x.png", "https://localhost/x.png", "https://[::1]/x.png",
    "https://10.0.0.1/x.png", "https://100.64.0.1/x.png", "https://2130706433/x.png",
    "https://[::ffff:127.0.0.1]/x.png", "https://0/x.png",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE_URLS)
def test_private_address_is_not_fetched_at_aws(functions: Functions, url: str) -> None:
    functions.invoke("archive_images", message(functions, url), ALLOW_LOCAL_URLS="")
    assert '"reason":"address_not_public"' in functions.logs()


def test_only_https_is_fetched_at_aws(functions: Functions) -> None:
    (url,) = generate(functions, Behaviour())
    functions.invoke("archive_images", message(functions, url), ALLOW_LOCAL_URLS="")
    assert '"reason":"not_https"' in functions.logs()


def test_invalid_url_is_a_failed_download(functions: Functions) -> None:
    for url in ("https://", "https://" + "x" * 300 + ".com/", "https://exa mple.com/", "https://nowhere.invalid/"):
        assert len(functions.invoke("archive_images", message(functions, url))["batchItemFailures"]) == 1


def test_logs_contain_no_urls(functions: Functions) -> None:
    (expired,) = generate(functions, Behaviour(image_fault=ImageFault.EXPIRED))
    functions.invoke("archive_images", message(functions, expired))
    functions.invoke("archive_images", message(functions, "http://127.0.0.1:1/secret-path.png"))
    logs = functions.logs()
    assert GENERATED in logs
    assert expired not in logs
    assert "secret-path" not in logs
