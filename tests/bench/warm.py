"""Measures warm events: the processor time per event of the whole process, and its peak memory."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.bench.cold import variants

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.backends import Backends
    from tests.bench.builds import Builds
    from tests.bench.cold import Variant
    from tests.bench.flux_pro import FluxPro
    from tests.bench.sandbox import Package, Sandbox

ROUNDS = 9
EVENTS = 40  # per round
WARM_UP = 20  # events
FLUX_PRO = "submit, mcp-flux-pro"


def measure(
    builds: Builds, backends: Backends, start: Callable[[Package, str], Sandbox], flux_pro: FluxPro
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of processor time per event and peak memory in MiB, by variant. The variants run alternately."""
    found = variants(builds)
    cpu: dict[str, list[float]] = {name: [] for name in (*found, FLUX_PRO)}
    with ExitStack() as parts:
        running = {
            name: parts.enter_context(start(variant.package, variant.function)) for name, variant in found.items()
        }
        for name, variant in found.items():
            _work(variant, running[name], backends, WARM_UP)
        flux_pro.work(WARM_UP)
        for _ in range(ROUNDS):
            for name, variant in found.items():
                cpu[name].append(_work(variant, running[name], backends, EVENTS) / EVENTS)
            cpu[FLUX_PRO].append(flux_pro.work(EVENTS) / EVENTS)
        return cpu, {name: sandbox.usage().peak_mib for name, sandbox in running.items()}


def _work(variant: Variant, sandbox: Sandbox, backends: Backends, events: int) -> float:
    """Seconds of processor time."""
    before = sandbox.usage().cpu
    for _ in range(events):
        if variant.function == "receive_callback":
            backends.restore_submitted()
        variant.invoke(sandbox)
    return sandbox.usage().cpu - before
