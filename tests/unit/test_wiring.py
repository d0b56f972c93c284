"""What a function does once, while it starts."""

import gc

from fluxgate import wiring


def test_preparing_makes_what_is_asked_for_and_lets_the_collector_work_again() -> None:
    gc.set_threshold(500_000)  # as fluxgate/__init__.py does
    made: list[str] = []
    wiring.prepare(lambda: made.append("one"), lambda: made.append("two"))
    assert made == ["one", "two"]
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 10_000
    assert gc.get_freeze_count() > 0
