"""The delays between attempts at the provider."""

import pytest

from fluxgate.submission.submitter import FIRST_DELAY, MAX_DELAY, backoff


@pytest.mark.parametrize("attempts", [1, 2, 5, 9])
def test_a_delay_doubles_and_has_jitter_of_up_to_half(attempts: int) -> None:
    longest = FIRST_DELAY * 2 ** (attempts - 1)

    assert longest / 2 <= backoff(attempts) <= longest


@pytest.mark.parametrize("attempts", [10, 48, 100, 10_000])
def test_a_delay_never_exceeds_the_maximum(attempts: int) -> None:
    assert MAX_DELAY / 2 <= backoff(attempts) <= MAX_DELAY
