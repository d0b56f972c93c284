"""Requests: what is accepted, and that a refusal names every bad field at once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fluxgate.catalogue import MODELS, RATIOS
from fluxgate.tasks.model import Image, Status, Task
from fluxgate.wire.requests import EditRequest, GenerateRequest, allow_local_urls
from fluxgate.wire.task import ImageView, PublicStatus, TaskView

EDIT = {"prompt": "a fox", "image_url": "https://pictures.fluxgate.dev/fox.png"}


def refusals(request: Mapping[str, Any], kind: type[GenerateRequest | EditRequest] = GenerateRequest) -> dict[str, str]:
    """Message by field. Empty: the request is accepted."""
    try:
        kind.model_validate(request)
    except ValidationError as error:
        return {".".join(str(part) for part in fault["loc"]): fault["msg"] for fault in error.errors()}
    return {}


def valid_sizes(model: str) -> list[str]:
    if model in {"flux-dev", "flux-pro", "flux-pro-1.1"}:
        sides = range(256, 1441, 32)
        return [f"{width}x{height}" for width in sides for height in sides]
    return ["1:1", "16:9", "9:16", "4:3", "3:2", "2:3", "4:5", "5:4", "3:4", "21:9", "9:21"]


@pytest.mark.parametrize("model", list(MODELS)[:6])
def test_every_valid_combination_of_the_users_models_and_sizes_is_accepted(model: str) -> None:
    for size in valid_sizes(model):
        assert GenerateRequest.model_validate({"prompt": "a fox", "model": model, "size": size}).size == size


@pytest.mark.parametrize("model", MODELS)
def test_a_model_refuses_the_sizes_of_the_other_kind(model: str) -> None:
    wrong = ["1024x1024"] if MODELS[model].sizes is RATIOS else list(RATIOS.values)
    for size in wrong:
        assert "size" in refusals({"prompt": "a fox", "model": model, "size": size})


def test_defaults_are_those_of_the_specification() -> None:
    generate = GenerateRequest.model_validate({"prompt": "  a fox  "})
    assert (generate.prompt, generate.model, generate.size, generate.count) == ("a fox", "flux-dev", "1024x1024", 1)
    edit = EditRequest.model_validate(EDIT)
    assert (edit.model, edit.size) == ("flux-kontext-pro", "1:1")
    assert GenerateRequest.model_validate({"prompt": "a fox", "model": "flux-pro-1.1-ultra"}).size == "1:1"


def test_a_null_counts_as_an_absent_field() -> None:
    nulls = dict.fromkeys(("model", "size", "count", "callback_url", "metadata"))
    assert GenerateRequest.model_validate({"prompt": "a fox", **nulls}) == GenerateRequest(prompt="a fox")
    assert refusals({"prompt": None}).keys() == {"prompt"}
    assert refusals({"prompt": "a fox", "seed": None}).keys() == {"seed"}


def test_every_bad_field_is_named_at_once() -> None:
    bad = {
        "prompt": " ",
        "model": "flux-9",
        "size": "huge",
        "count": 5,
        "callback_url": "ftp://pictures.fluxgate.dev",
        "metadata": {"k": 1},
        "seed": 7,
    }
    named = refusals(bad)
    assert named.keys() == {"prompt", "model", "size", "count", "callback_url", "metadata.k", "seed"}
    assert "flux-dev, flux-pro," in named["model"]


def test_a_size_that_some_model_takes_is_not_blamed_for_a_wrong_model() -> None:
    for size in ("1024x1024", "16:9", ""):
        assert refusals({"prompt": "a fox", "model": "flux-9", "size": size}).keys() == {"model"}


def test_a_wrong_size_is_named_beside_a_wrong_prompt_with_the_nearest_valid_one() -> None:
    named = refusals({"prompt": "", "model": "flux-pro", "size": "1000x1000"})
    assert named.keys() == {"prompt", "size"}
    assert "multiples of 32" in named["size"]
    assert named["size"].endswith("The nearest is 992x992.")


@pytest.mark.parametrize("count", [0, 5, -1, "2", 1.5, True, 10**30])
def test_count_is_a_whole_number_from_1_to_4(count: object) -> None:
    assert refusals({"prompt": "a fox", "count": count}).keys() == {"count"}


@pytest.mark.parametrize("prompt", ["", " \n\t", "x" * 4001, 5, ["a"], "\ud800"])
def test_a_prompt_has_1_to_4000_characters_after_trimming(prompt: object) -> None:
    assert refusals({"prompt": prompt}).keys() == {"prompt"}


def test_the_longest_prompt_is_accepted_with_space_around_it() -> None:
    assert refusals({"prompt": "  " + "\U0001f98a" * 4000 + "  "}) == {}


def test_an_edit_needs_an_image_and_takes_no_count() -> None:
    assert refusals({"prompt": "a fox"}, EditRequest).keys() == {"image_url"}
    assert refusals({**EDIT, "count": 1}, EditRequest).keys() == {"count"}
    assert refusals({"prompt": "a fox", "image_url": EDIT["image_url"]}).keys() == {"image_url"}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_may_edit(model: str) -> None:
    assert refusals({**EDIT, "model": model}, EditRequest) == {}


def test_metadata_is_at_most_16_short_strings() -> None:
    assert refusals({"prompt": "a", "metadata": {str(n): "x" * 256 for n in range(16)}}) == {}
    assert refusals({"prompt": "a", "metadata": {str(n): "x" for n in range(17)}}).keys() == {"metadata"}
    assert "metadata.k" in refusals({"prompt": "a", "metadata": {"k": "x" * 257}})
    assert "metadata..[key]" in refusals({"prompt": "a", "metadata": {"": "x"}})


REFUSED_URLS = [
    "http://pictures.fluxgate.dev/fox.png",
    "ftp://pictures.fluxgate.dev/fox.png",
    "https://",
    "pictures.fluxgate.dev",
    "https://localhost/x",
    "https://printer/x",
    "https://db.internal/x",
    "https://nas.local/x",
    "https://127.0.0.1/x",
    "https://10.0.0.8/x",
    "https://172.16.0.1/x",
    "https://192.168.1.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/x",
    "https://0.0.0.0/x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://0177.0.0.1/x",
    "https://127.1/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[fd00::1]/x",
    "https://[fe80::1]/x",
    "https://user:secret@pictures.fluxgate.dev/x",
    "https://pictures.fluxgate.dev/" + "x" * 2048,
    "https://localhost./x",
    "https://pictures\u3002local/x",
    "javascript:alert(1)",
    17,
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_urls_are_https_and_public(url: object) -> None:
    assert refusals({"prompt": "a fox", "callback_url": url}).keys() == {"callback_url"}
    assert refusals({"prompt": "a fox", "image_url": url}, EditRequest).keys() == {"image_url"}


@pytest.mark.parametrize(
    "url", ["https://hooks.fluxgate.dev/x?y=z", "https://8.8.8.8/x", "https://hooks.fluxgate.dev:8443/x"]
)
def test_public_urls_are_accepted(url: str) -> None:
    assert GenerateRequest.model_validate({"prompt": "a fox", "callback_url": url}).callback_url == url


def test_plain_http_and_private_hosts_are_valid_only_where_local_urls_are_allowed() -> None:
    request = {"prompt": "a fox", "callback_url": "http://127.0.0.1:9000/hook"}
    assert refusals(request).keys() == {"callback_url"}
    token = allow_local_urls.set(True)
    try:
        assert refusals(request) == {}
        assert refusals({"prompt": "a fox", "callback_url": "ftp://127.0.0.1/hook"}).keys() == {"callback_url"}
    finally:
        allow_local_urls.reset(token)


@given(st.text(max_size=40))
def test_braces_in_what_a_client_sent_do_no_harm(text: str) -> None:
    for size in (text, "{" + text + "}", "{0}", "{message}"):
        assert "size" in refusals({"prompt": "x", "size": size}) or size == ""


def task(status: Status, *images: Image) -> Task:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return Task(
        task_id="t", owner="o", status=status, action="generate", model="flux-dev", prompt="p", size="1:1", count=2,
        provider="acedata", created_at=now, updated_at=now, expires_at=now, images=images,
    )  # fmt: skip


@pytest.mark.parametrize("status", Status)
def test_clients_see_five_words(status: Status) -> None:
    word = PublicStatus.of(status)
    assert word in {"queued", "processing", "succeeded", "failed", "expired"}
    assert status in word.statuses
    assert sum(status in other.statuses for other in PublicStatus) == 1


def test_images_are_shown_when_the_task_has_succeeded_and_not_before() -> None:
    kept = Image(source_url="https://cdn/1", key="o/t/0.png", content_type="image/png", width=8, height=9, bytes=10)
    lost = Image(source_url="https://cdn/2", seed=3)
    assert TaskView.of(task(Status.GENERATED, kept, lost), "signed:{}".format).images == []
    assert TaskView.of(task(Status.SUCCEEDED, kept, lost), "signed:{}".format).images == [
        ImageView(
            url="signed:o/t/0.png", seed=None, content_type="image/png", width=8, height=9, bytes=10, archived=True
        ),
        ImageView(url="https://cdn/2", seed=3, content_type=None, width=None, height=None, bytes=None, archived=False),
    ]
