"""The schedule of delivery tries."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxgate.clock import Clock
from fluxgate.outcomes.delivery import MAX_RETRY_AFTER, RETRY_AFTER, next_try

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLOCK = Clock(now=lambda: NOW)


def test_delays_between_tries_grow_and_cover_more_than_a_day() -> None:
    delays = [delay for n in range(1, 100) if (moment := next_try(n, None, CLOCK)) and (delay := moment - NOW)]
    assert delays == list(RETRY_AFTER) == sorted(RETRY_AFTER)
    assert sum(delays, timedelta(0)) >= timedelta(days=1)
    assert next_try(len(delays) + 1, None, CLOCK) is None
    assert next_try(len(delays) + 1, "60", CLOCK) is None


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


RETRY_AFTER_HEADERS = {
    "60": timedelta(minutes=1),
    "0": RETRY_AFTER[0],
    "3": RETRY_AFTER[0],  # shorter than the regular delay
    "99999999": MAX_RETRY_AFTER,
    http_date(NOW + timedelta(minutes=5)): timedelta(minutes=5),
    http_date(NOW - timedelta(minutes=5)): RETRY_AFTER[0],
    http_date(NOW + timedelta(days=90)): MAX_RETRY_AFTER,
    "Sun, 22 Nov 2026 12:05:00": timedelta(minutes=5),  # without a time zone
    "Sun, 22 Nov 2026 13:05:00 +0100": timedelta(minutes=5),
}


@pytest.mark.parametrize("header", RETRY_AFTER_HEADERS)
def test_retry_after_is_honoured_within_limits(header: str) -> None:
    moment = next_try(1, header, CLOCK)
    assert moment
    assert moment - NOW == RETRY_AFTER_HEADERS[header]


def test_retry_after_never_shortens_a_delay() -> None:
    assert next_try(4, "60", CLOCK) == NOW + RETRY_AFTER[3]


_tokens = st.sampled_from(["Sun,", "22", "Nov", "2026", "12:05:00", "GMT", "+9999", "9" * 20, "-1", "::", "٣", "²", ""])


@given(st.text(max_size=40) | st.lists(_tokens, max_size=8).map(" ".join))
@example("9" * 5000)
@example("9" * 20)
@example("Sun, 99999999999999999999 Nov 2026 12:05:00 GMT")
@example("Sun, 22 Nov 99999999999 12:05:00 -0000")
@example("22 Nov 2026 12:05:00 +99999999999999999999")
def test_any_retry_after_gives_a_next_try_within_limits(header: str) -> None:
    moment = next_try(1, header, CLOCK)
    assert moment
    assert RETRY_AFTER[0] <= moment - NOW <= MAX_RETRY_AFTER


def test_a_scaled_clock_divides_the_delays() -> None:
    assert next_try(2, None, Clock(100, lambda: NOW)) == NOW + RETRY_AFTER[1] / 100
