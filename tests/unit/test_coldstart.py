"""What a function does once, while Lambda starts it."""

import gc

from fluxgate import coldstart


def test_ready_calls_the_factories_and_restores_garbage_collection() -> None:
    coldstart.begin()
    assert gc.get_threshold()[0] == 500_000
    made: list[str] = []
    coldstart.ready(lambda: made.append("one"), lambda: made.append("two"))
    assert made == ["one", "two"]
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 10_000
    assert gc.get_freeze_count() > 0
