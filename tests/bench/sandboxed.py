"""The operations in sandboxes: counted with ever more tasks stored, and what else they cost beside their calls."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.containers import engine
from local.sam import ALL_INTERFACES
from tests.bench.builds import Builds
from tests.bench.calls import Counts, Invoke, count, writes_of
from tests.bench.operations import OPERATIONS, Ground, Operation
from tests.bench.sandbox import Sandbox
from tests.bench.scene import Scene
from tests.bench.wire import Wire

SIZES = (100, 2_000, 20_000)  # tasks stored
WARM_UP, TIMED = 3, 20  # events
PATIENT = {"reconcile, 6 due": 3}  # events; it pauses between its questions to the provider


@dataclass(frozen=True)
class Examined:
    """One event of a warm process, unless said otherwise."""

    function: str
    memory_mb: int
    milliseconds: float
    """Median, as the caller sees it, in front of a moto that is slower than AWS."""
    processor_milliseconds: float
    """Mean, of the process that runs the handler."""
    log_bytes: int
    metrics: list[str]
    """Each with the dimensions that make it one of its own; those of a process's first event too."""
    writes: list[dict[str, Any]]
    counts: dict[int, Counts]
    """By tasks stored."""


def examine(
    builds: Builds, *, python: Path, sam: Path, sizes: Sequence[int] = SIZES, timed: int = TIMED
) -> dict[str, Examined]:
    """All operations, by name, from what `sam build` has made; `python` and `sam` are Sandbox's."""
    with _bench(builds, python, sam) as bench:
        bench.ground.fill(sizes[0])
        cost = {operation.name: bench.cost(operation, timed) for operation in OPERATIONS}
        counts: dict[str, dict[int, Counts]] = {name: {} for name in cost}
        for size in sizes:
            bench.ground.fill(size)
            for operation in OPERATIONS:
                counts[operation.name][size], calls = count(operation, bench.ground, bench.launch)
                cost[operation.name]["writes"] = writes_of(calls, bench.ground.indexes)
    return {name: Examined(**facts, counts=counts[name]) for name, facts in cost.items()}


def as_json(examined: Mapping[str, Examined]) -> dict[str, Any]:
    """The section `operations` of bench.json."""
    return {name: asdict(facts) for name, facts in examined.items()}


class _Bench:
    def __init__(self, scene: Scene, ground: Ground, launch: Callable[..., Any]) -> None:
        self.scene, self.ground, self._launch = scene, ground, launch

    @contextmanager
    def launch(self, function: str) -> Iterator[Invoke]:
        """With the wire between."""
        with self._launch(function, FLUX_API_URL=self.ground.wire.url) as sandbox:
            yield sandbox.invoke

    def cost(self, operation: Operation, timed: int) -> dict[str, Any]:
        """Without the wire, but for the picture and the webhook."""
        times, events = [], PATIENT.get(operation.name, timed)
        direct = {"AWS_ENDPOINT_URL": self.scene.stack.aws.public_endpoint}
        with self._launch(operation.function, **direct) as sandbox:
            for _ in range(WARM_UP):
                sandbox.invoke(operation.prepare(self.ground))
            first, used = sandbox.printed(), sandbox.usage()
            for _ in range(events):
                event = operation.prepare(self.ground)
                times.append(sandbox.invoke(event)[1])
            cpu, lines = sandbox.usage().cpu - used.cpu, sandbox.printed()
        return {
            "function": operation.function,
            "memory_mb": self.scene.stack.deployment.functions[operation.function].memory,
            "milliseconds": round(statistics.median(times) * 1000, 1),
            "processor_milliseconds": round(cpu / events * 1000, 1),
            "log_bytes": round(sum(len(line.encode()) for line in lines[len(first) :]) / events),
            "metrics": metrics(lines),
        }


@contextmanager
def _bench(builds: Builds, python: Path, sam: Path) -> Iterator[_Bench]:
    found = engine()
    with Wire(ALL_INTERFACES, found.host) if found else Wire() as wire, Scene(front=wire.front) as scene:

        def launch(function: str, **environment: str) -> Sandbox:
            package = builds.function(function)
            return Sandbox(package, scene.environment(function) | environment, python=python, sam=sam)

        yield _Bench(scene, Ground(scene.stack, scene.simulator, wire), launch)


def metrics(lines: Iterable[str]) -> list[str]:
    """What CloudWatch charges for one by one: a name with the values of its dimensions."""
    found = set()
    for record in map(json.loads, lines):
        for directive in record.get("_aws", {}).get("CloudWatchMetrics", []):
            for names in directive["Dimensions"]:
                values = " ".join(str(record[name]) for name in sorted(names))
                found |= {f"{metric['Name']} {values}" for metric in directive["Metrics"]}
    return sorted(found)
