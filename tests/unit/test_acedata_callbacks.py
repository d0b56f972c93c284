"""AceData: the result in each callback."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxgate.errors import MalformedBody
from fluxgate.providers.acedata import MAX_IMAGES, MAX_TEXT, parse_callback
from fluxgate.providers.port import Failed, Generated, ProviderResult, Running
from fluxgate.tasks.model import Image, TaskError
from tests.unit.acedata_session import DATA, IMAGES, NO_REASON, json_values


def parse(body: object) -> ProviderResult:
    return parse_callback(json.dumps(body).encode(), {})


def test_images_are_generated_whatever_success_says() -> None:
    body = {"success": True, "task_id": "p1", "trace_id": "x", "data": DATA}
    assert parse(body) == Generated(IMAGES, "p1")
    assert parse({**body, "success": False, "error": {"code": "partial"}}) == Generated(IMAGES, "p1")


def test_success_without_images_is_running() -> None:
    for data in ([], None, [{"prompt": "a fox"}], [{"image_url": None}], "soon"):
        assert parse({"success": True, "task_id": "p1", "data": data}) == Running("p1")
    assert parse({}) == Running()


def test_failure_has_the_vendors_code_and_message_or_defaults() -> None:
    body = {"success": False, "task_id": "p1", "error": {"code": "api_error", "message": "fetch failed"}}
    assert parse(body) == Failed(TaskError(code="api_error", message="fetch failed"), "p1")
    default = TaskError(code="provider_error", message=NO_REASON)
    for error in (None, {}, {"code": None}, 5):
        assert parse({"success": False, "task_id": "p1", "error": error}) == Failed(default, "p1")
    message_only = Failed(TaskError(code="provider_error", message="fetch failed"), None)
    assert parse({"success": False, "error": "fetch failed"}) == message_only


def test_invalid_image_entries_do_not_affect_valid_ones() -> None:
    data = [
        {"image_url": "https://cdn/1.png", "seed": "7"},
        {"image_url": "file:///etc/passwd"},
        {"image_url": 5},
        None,
        "x",
    ]
    assert parse({"data": data}) == Generated((Image(source_url="https://cdn/1.png"),), None)


def test_unpaired_surrogates_are_replaced() -> None:
    surrogate = b"\\ud83d"  # half of a pair
    failed = parse_callback(b'{"success": false, "error": {"code": "c", "message": "a %b"}}' % surrogate, {})
    assert failed == Failed(TaskError(code="c", message="a ?"), None)
    generated = parse_callback(b'{"data": [{"image_url": "https://cdn/%b"}]}' % surrogate, {})
    assert generated == Generated((Image(source_url="https://cdn/?"),), None)


def test_seeds_beyond_64_bits_are_dropped() -> None:
    for seed, stored in {-(2**63): True, 2**64 - 1: True, 2**64: False, 10**40: False}.items():
        result = parse({"data": [{"image_url": "https://cdn/1", "seed": seed}]})
        assert result == Generated((Image(source_url="https://cdn/1", seed=seed if stored else None),), None)


def test_number_of_images_and_length_of_texts_are_limited() -> None:
    many = parse({"data": [{"image_url": f"https://cdn/{n}"} for n in range(100)]})
    assert isinstance(many, Generated)
    assert len(many.images) == MAX_IMAGES
    assert parse({"data": [{"image_url": "https://cdn/" + "x" * 5000}]}) == Running()
    long = parse({"success": False, "error": {"code": "c" * 5000, "message": "m" * 5000}})
    assert isinstance(long, Failed)
    assert (len(long.error.code), len(long.error.message)) == (MAX_TEXT, MAX_TEXT)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"success": tru'])
def test_body_that_is_not_a_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_callback(body, {})


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("success", "task_id", "data", "error"), json_values)))
def test_any_json_object_gives_a_result(body: dict[str, Any]) -> None:
    assert isinstance(parse(body), Running | Generated | Failed)
