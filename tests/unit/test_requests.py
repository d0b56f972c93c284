"""Requests: which fields and values are valid, and that all violations are reported together."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fluxgate.catalogue import MODELS, RATIOS
from fluxgate.wire.requests import EditRequest, GenerateRequest, allow_local_urls

EDIT = {"prompt": "a fox", "image_url": "https://images.fluxgate.dev/fox.png"}


def violations(
    request: Mapping[str, Any], model: type[GenerateRequest | EditRequest] = GenerateRequest
) -> dict[str, str]:
    """Messages by field. Empty if the request is valid."""
    try:
        model.model_validate(request)
    except ValidationError as error:
        return {".".join(str(part) for part in details["loc"]): details["msg"] for details in error.errors()}
    return {}


def valid_sizes(model: str) -> list[str]:
    if model in {"flux-dev", "flux-pro", "flux-pro-1.1"}:
        sides = range(256, 1441, 32)
        return [f"{width}x{height}" for width in sides for height in sides]
    return ["1:1", "16:9", "9:16", "4:3", "3:2", "2:3", "4:5", "5:4", "3:4", "21:9", "9:21"]


@pytest.mark.parametrize("model", list(MODELS)[:6])
def test_every_size_of_a_model_is_valid(model: str) -> None:
    for size in valid_sizes(model):
        assert GenerateRequest.model_validate({"prompt": "a fox", "model": model, "size": size}).size == size


@pytest.mark.parametrize("model", MODELS)
def test_sizes_of_the_other_format_are_invalid(model: str) -> None:
    sizes = ["1024x1024"] if MODELS[model].sizes is RATIOS else list(RATIOS.values)
    for size in sizes:
        assert "size" in violations({"prompt": "a fox", "model": model, "size": size})


def test_defaults_of_both_requests() -> None:
    generate = GenerateRequest.model_validate({"prompt": "  a fox  "})
    assert (generate.prompt, generate.model, generate.size, generate.count) == ("a fox", "flux-dev", "1024x1024", 1)
    edit = EditRequest.model_validate(EDIT)
    assert (edit.model, edit.size) == ("flux-kontext-pro", "1:1")
    assert GenerateRequest.model_validate({"prompt": "a fox", "model": "flux-pro-1.1-ultra"}).size == "1:1"


def test_null_is_an_absent_field_where_the_field_is_optional() -> None:
    nulls = dict.fromkeys(("model", "size", "count", "callback_url", "metadata"))
    assert GenerateRequest.model_validate({"prompt": "a fox", **nulls}) == GenerateRequest(prompt="a fox")
    assert violations({"prompt": None}).keys() == {"prompt"}
    assert violations({"prompt": "a fox", "seed": None}).keys() == {"seed"}


def test_every_invalid_field_is_reported() -> None:
    invalid = {
        "prompt": " ",
        "model": "flux-9",
        "size": "huge",
        "count": 5,
        "callback_url": "ftp://images.fluxgate.dev",
        "metadata": {"k": 1},
        "seed": 7,
    }
    found = violations(invalid)
    assert found.keys() == {"prompt", "model", "size", "count", "callback_url", "metadata.k", "seed"}
    assert "flux-dev, flux-pro," in found["model"]


def test_an_unknown_model_is_not_reported_as_a_wrong_size() -> None:
    for size in ("1024x1024", "16:9", ""):
        assert violations({"prompt": "a fox", "model": "flux-9", "size": size}).keys() == {"model"}


def test_size_violation_names_the_nearest_valid_size_beside_other_violations() -> None:
    found = violations({"prompt": "", "model": "flux-pro", "size": "1000x1000"})
    assert found.keys() == {"prompt", "size"}
    assert "multiples of 32" in found["size"]
    assert found["size"].endswith("The nearest is 992x992.")


@pytest.mark.parametrize("count", [0, 5, -1, "2", 1.5, True, 10**30])
def test_count_outside_1_to_4_or_of_another_type_is_invalid(count: object) -> None:
    assert violations({"prompt": "a fox", "count": count}).keys() == {"count"}


@pytest.mark.parametrize("prompt", ["", " \n\t", "x" * 4001, 5, ["a"], "\ud800"])
def test_prompt_must_be_text_of_1_to_4000_characters_after_trimming(prompt: object) -> None:
    assert violations({"prompt": prompt}).keys() == {"prompt"}


def test_longest_prompt_is_valid_with_surrounding_space() -> None:
    assert violations({"prompt": "  " + "\U0001f98a" * 4000 + "  "}) == {}


def test_edit_requires_an_image_url_and_has_no_count() -> None:
    assert violations({"prompt": "a fox"}, EditRequest).keys() == {"image_url"}
    assert violations({**EDIT, "count": 1}, EditRequest).keys() == {"count"}
    assert violations({"prompt": "a fox", "image_url": EDIT["image_url"]}).keys() == {"image_url"}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_accepts_edits(model: str) -> None:
    assert violations({**EDIT, "model": model}, EditRequest) == {}


def test_metadata_has_at_most_16_pairs_of_short_strings() -> None:
    assert violations({"prompt": "a", "metadata": {str(n): "x" * 256 for n in range(16)}}) == {}
    assert violations({"prompt": "a", "metadata": {str(n): "x" for n in range(17)}}).keys() == {"metadata"}
    assert "metadata.k" in violations({"prompt": "a", "metadata": {"k": "x" * 257}})
    assert "metadata..[key]" in violations({"prompt": "a", "metadata": {"": "x"}})


INVALID_URLS = [
    "http://images.fluxgate.dev/fox.png",
    "ftp://images.fluxgate.dev/fox.png",
    "https://",
    "images.fluxgate.dev",
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
    "https://user:secret@images.fluxgate.dev/x",
    "https://images.fluxgate.dev/" + "x" * 2048,
    "https://localhost./x",
    "https://images\u3002local/x",
    "javascript:alert(1)",
    17,
]


@pytest.mark.parametrize("url", INVALID_URLS)
def test_urls_must_be_https_and_public(url: object) -> None:
    assert violations({"prompt": "a fox", "callback_url": url}).keys() == {"callback_url"}
    assert violations({"prompt": "a fox", "image_url": url}, EditRequest).keys() == {"image_url"}


@pytest.mark.parametrize(
    "url", ["https://hooks.fluxgate.dev/x?y=z", "https://8.8.8.8/x", "https://hooks.fluxgate.dev:8443/x"]
)
def test_public_urls_are_valid(url: str) -> None:
    assert GenerateRequest.model_validate({"prompt": "a fox", "callback_url": url}).callback_url == url


def test_plain_http_and_private_hosts_are_valid_only_with_allow_local_urls() -> None:
    request = {"prompt": "a fox", "callback_url": "http://127.0.0.1:9000/hook"}
    assert violations(request).keys() == {"callback_url"}
    token = allow_local_urls.set(True)
    try:
        assert violations(request) == {}
        assert violations({"prompt": "a fox", "callback_url": "ftp://127.0.0.1/hook"}).keys() == {"callback_url"}
    finally:
        allow_local_urls.reset(token)


@given(st.text(max_size=40))
def test_braces_in_a_size_do_not_break_the_message(text: str) -> None:
    for size in (text, "{" + text + "}", "{0}", "{message}"):
        assert "size" in violations({"prompt": "x", "size": size}) or size == ""
