"""`make bench`: measures performance, prints the figures, and writes bench.json and docs/cost.md.

Timings are ratios of medians. Compared variants run alternately, so that other load on the machine affects all alike.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.build import find_sam
from local.containers import engine
from tests.bench import cold, warm
from tests.bench.backends import Backends
from tests.bench.builds import DEPENDENCIES, Builds, layer_sizes
from tests.bench.cost import __main__ as cost
from tests.bench.cost.__main__ import RECORD
from tests.bench.flux_pro import FluxPro
from tests.bench.measurements import as_json, measure_operations
from tests.bench.report import Figure, counts_table, ratio, table, write
from tests.bench.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.measurements import Measurement
    from tests.bench.sandbox import Package

MEGABYTE = 1_000_000


def main() -> int:
    """The exit code: 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--python", type=Path, required=True, help="the functions' Python, with tests/bench/requirements.txt installed"
    )
    python: Path = parser.parse_args().python.absolute()
    sam = find_sam()
    builds = Builds.make(sam)
    with Backends() as backends:

        def start(package: Package, function: str) -> Sandbox:
            return Sandbox(package, backends.environment(function), python=python, sam=Path(sam))

        _progress("cold starts")
        cold_seconds = cold.measure(builds, backends, start)
        _progress("warm events")
        with FluxPro(python, backends.simulator.url) as flux_pro:
            cpu, peak = warm.measure(builds, backends, start, flux_pro)
    _progress("requests and items, by number of stored tasks")
    operations = measure_operations(builds, python=python, sam=Path(sam))
    figures = [*_ratios(cold_seconds, cpu), *_absolutes(builds, peak["submit"]), _growth(operations)]
    print(table(figures))
    print()
    print(counts_table(operations))
    write(RECORD, _machine(), figures, {"operations": as_json(operations)})
    cost.main()
    return 0 if all(figure.meets_target for figure in figures) else 1


def _growth(operations: Mapping[str, Measurement]) -> Figure:
    growing = []
    for name, measurement in operations.items():
        first, *others = measurement.counts.values()
        if any(counts != first for counts in others):
            growing.append(name)
    return Figure(f"operations that ask for more with more tasks, of {len(operations)}", len(growing), "", 0)


def _ratios(cold_seconds: Mapping[str, Sequence[float]], cpu: Mapping[str, Sequence[float]]) -> list[Figure]:
    start = partial(ratio, samples=cold_seconds)
    work = partial(ratio, samples=cpu)
    return [
        start("cold start, submit_task", "bare handler", variants=("submit", "submit, bare"), most=1.5),
        start("cold start, submit_task", "default build", variants=("submit", "submit, default build"), most=0.4),
        start("cold start, receive_callback", "bare handler", variants=("callback", "callback, bare"), most=1.5),
        work("CPU per submission, warm", "bare handler", variants=("submit", "submit, bare"), most=1.5),
        work("CPU per submission, warm", "mcp-flux-pro", variants=("submit", warm.FLUX_PRO), most=0.33),
        work("CPU per callback, warm", "bare handler", variants=("callback", "callback, bare"), most=1.6),
    ]


def _absolutes(builds: Builds, peak_mib: float) -> list[Figure]:
    zipped, unzipped = layer_sizes(builds.product / DEPENDENCIES)
    return [
        Figure("peak memory, submit_task", peak_mib, "MiB", 100),
        Figure("dependencies layer, zipped", zipped / MEGABYTE, "MB", 20),
        Figure("dependencies layer, unzipped", unzipped / MEGABYTE, "MB", 70),
    ]


def _machine() -> dict[str, Any]:
    found = engine()
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "functions run": f"in containers of {found.name}" if found else "as processes under the emulator",
    }


def _progress(subject: str) -> None:
    print(f"Measuring {subject}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
