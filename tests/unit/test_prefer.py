"""The `Prefer` header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxgate.api.prefer import preferred_wait


@pytest.mark.parametrize(
    "header",
    ["wait=5", "WAIT=5", "wait = 5", 'wait="5"', " wait=5 ", "respond-async, wait=5", "respond-async,wait=5",
     "wait=5, respond-async", "wait=5; x=y", "wait=005", "wait=5, wait=6"],
)  # fmt: skip
def test_wait_is_read_in_every_form_of_the_standard(header: str) -> None:
    assert preferred_wait(header) == 5


def test_wait_may_be_zero_and_is_not_limited_here() -> None:
    assert preferred_wait("wait=0") == 0
    assert preferred_wait("wait=999999999") == 999_999_999


@pytest.mark.parametrize(
    "header",
    ["", "wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=5s", "wait=5 6", "await=5", "respond-async",
     "wait=9999999999", "x; wait=5"],
)  # fmt: skip
def test_other_preferences_are_ignored(header: str) -> None:
    assert preferred_wait(header) is None


@given(st.text(max_size=40) | st.from_regex(r"[waitWAIT=;, \"0-9]{0,30}"))
def test_any_header_gives_seconds_or_none(header: str) -> None:
    seconds = preferred_wait(header)
    assert seconds is None or 0 <= seconds < 10**9
