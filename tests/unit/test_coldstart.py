"""Cold start: garbage collector settings and clients."""

import gc

from fluxgate import coldstart


def test_ready_calls_the_factories_and_restores_garbage_collection() -> None:
    coldstart.begin()
    assert gc.get_threshold()[0] == 500_000
    calls: list[str] = []
    coldstart.ready(lambda: calls.append("one"), lambda: calls.append("two"))
    assert calls == ["one", "two"]
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 10_000
    assert gc.get_freeze_count() > 0
