"""`make bench`: measures what the README says of speed, prints it as a table, writes bench.json and docs/cost.md anew.

Ratios of medians, the sides taken in turns: what else the machine does meets both.
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
from tests.bench.builds import DEPENDENCIES, Builds, layer_sizes
from tests.bench.cost import __main__ as cost
from tests.bench.cost.__main__ import RECORD
from tests.bench.flux_pro import FluxPro
from tests.bench.report import Figure, counted, ratio, table, write
from tests.bench.sandbox import Sandbox
from tests.bench.sandboxed import as_json, examine
from tests.bench.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.sandbox import Package
    from tests.bench.sandboxed import Examined

MEGABYTE = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--python", type=Path, required=True, help="the functions' Python, with requirements.txt beside this"
    )
    python: Path = parser.parse_args().python.absolute()
    sam = find_sam()
    builds = Builds.make(sam)
    with Scene() as scene:

        def start(package: Package, function: str) -> Sandbox:
            return Sandbox(package, scene.environment(function), python=python, sam=Path(sam))

        _say("cold starts")
        cold_seconds = cold.measure(builds, scene, start)
        _say("warm events")
        with FluxPro(python, scene.simulator.url) as flux_pro:
            cpu, peak = warm.measure(builds, scene, start, flux_pro)
    _say("requests and items, with ever more tasks stored")
    examined = examine(builds, python=python, sam=Path(sam))
    figures = [*_ratios(cold_seconds, cpu), *_absolutes(builds, peak["submit"]), _growth(examined)]
    print(table(figures))
    print()
    print(counted(examined))
    write(RECORD, _machine(), figures, {"operations": as_json(examined)})
    cost.main()
    return 0 if all(figure.holds for figure in figures) else 1


def _growth(examined: Mapping[str, Examined]) -> Figure:
    growing = []
    for name, facts in examined.items():
        first, *others = facts.counts.values()
        if any(counts != first for counts in others):
            growing.append(name)
    return Figure(f"operations that ask for more with more tasks, of {len(examined)}", len(growing), "", 0)


def _ratios(cold_seconds: Mapping[str, Sequence[float]], cpu: Mapping[str, Sequence[float]]) -> list[Figure]:
    start = partial(ratio, samples=cold_seconds)
    work = partial(ratio, samples=cpu)
    return [
        start("cold start, submit_task", "bare handler", sides=("submit", "submit, bare"), most=1.5),
        start("cold start, submit_task", "default build", sides=("submit", "submit, default build"), most=0.4),
        start("cold start, receive_callback", "bare handler", sides=("callback", "callback, bare"), most=1.5),
        work("CPU per submission, warm", "bare handler", sides=("submit", "submit, bare"), most=1.5),
        work("CPU per submission, warm", "mcp-flux-pro", sides=("submit", warm.FLUX_PRO), most=0.33),
        work("CPU per callback, warm", "bare handler", sides=("callback", "callback, bare"), most=1.6),
    ]


def _absolutes(builds: Builds, peak_mib: float) -> list[Figure]:
    zipped, unzipped = layer_sizes(builds.ours / DEPENDENCIES)
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


def _say(what: str) -> None:
    print(f"Measuring {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
