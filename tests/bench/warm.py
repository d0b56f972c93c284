"""Warm work: the processor time of an event, all that the function's process does for it, and its peak memory."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.bench.cold import sides

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.builds import Builds
    from tests.bench.cold import Side
    from tests.bench.flux_pro import FluxPro
    from tests.bench.sandbox import Package, Sandbox
    from tests.bench.scene import Scene

ROUNDS = 9
EVENTS = 40  # in a round
WARM_UP = 20
FLUX_PRO = "submit, mcp-flux-pro"


def measure(
    builds: Builds, scene: Scene, start: Callable[[Package, str], Sandbox], flux_pro: FluxPro
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of processor time per event by side, taken in turns; peak memory in MiB by side."""
    every = sides(builds)
    cpu: dict[str, list[float]] = {name: [] for name in (*every, FLUX_PRO)}
    with ExitStack() as parts:
        running = {name: parts.enter_context(start(side.package, side.function)) for name, side in every.items()}
        for name, side in every.items():
            _work(side, running[name], scene, WARM_UP)
        flux_pro.work(WARM_UP)
        for _ in range(ROUNDS):
            for name, side in every.items():
                cpu[name].append(_work(side, running[name], scene, EVENTS) / EVENTS)
            cpu[FLUX_PRO].append(flux_pro.work(EVENTS) / EVENTS)
        return cpu, {name: sandbox.usage().peak_mib for name, sandbox in running.items()}


def _work(side: Side, sandbox: Sandbox, scene: Scene, events: int) -> float:
    """Seconds of processor time."""
    before = sandbox.usage().cpu
    for _ in range(events):
        if side.function == "receive_callback":
            scene.restore_submitted()
        side.invoke(sandbox)
    return sandbox.usage().cpu - before
