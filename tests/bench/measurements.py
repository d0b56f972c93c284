"""Measures the operations in sandboxes: counts with growing numbers of stored tasks, durations, logs and metrics."""

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
from tests.bench.backends import Backends
from tests.bench.builds import Builds
from tests.bench.calls import Counts, Invoke, count, writes_of
from tests.bench.operations import OPERATIONS, FixtureStore, Operation
from tests.bench.recording_proxy import RecordingProxy
from tests.bench.sandbox import Sandbox

SIZES = (100, 2_000, 20_000)  # stored tasks
WARM_UP, TIMED = 3, 20  # events
TIMED_BY_OPERATION = {"reconcile, 6 due": 3}  # events; it pauses between polls of the provider


@dataclass(frozen=True)
class Measurement:
    """Values per event in a warm process. The field names are keys of bench.json."""

    function: str
    memory_mb: int
    milliseconds: float
    """Median latency for the caller, with moto, which is slower than AWS."""
    processor_milliseconds: float
    """Mean processor time of the handler's process."""
    log_bytes: int
    metrics: list[str]
    """Names with dimension values, including those of a process's first event."""
    writes: list[dict[str, Any]]
    counts: dict[int, Counts]
    """By number of stored tasks."""


def measure_operations(
    builds: Builds, *, python: Path, sam: Path, sizes: Sequence[int] = SIZES, timed: int = TIMED
) -> dict[str, Measurement]:
    """By name of the operation. `python` and `sam` as for `Sandbox`."""
    with _bench(builds, python, sam) as bench:
        bench.fixtures.fill(sizes[0])
        facts = {operation.name: bench.measure(operation, timed) for operation in OPERATIONS}
        counts: dict[str, dict[int, Counts]] = {name: {} for name in facts}
        for size in sizes:
            bench.fixtures.fill(size)
            for operation in OPERATIONS:
                counts[operation.name][size], calls = count(operation, bench.fixtures, bench.launch)
                facts[operation.name]["writes"] = writes_of(calls, bench.fixtures.indexes)
    return {name: Measurement(**values, counts=counts[name]) for name, values in facts.items()}


def as_json(measurements: Mapping[str, Measurement]) -> dict[str, Any]:
    """The section `operations` of bench.json."""
    return {name: asdict(measurement) for name, measurement in measurements.items()}


class _Bench:
    def __init__(self, backends: Backends, fixtures: FixtureStore, launch: Callable[..., Any]) -> None:
        self.backends, self.fixtures, self._launch = backends, fixtures, launch

    @contextmanager
    def launch(self, function: str) -> Iterator[Invoke]:
        """Sends all calls through the recording proxy."""
        with self._launch(function, FLUX_API_URL=self.fixtures.proxy.url) as sandbox:
            yield sandbox.invoke

    def measure(self, operation: Operation, timed: int) -> dict[str, Any]:
        """Bypasses the recording proxy, except for image downloads and webhooks."""
        times, events = [], TIMED_BY_OPERATION.get(operation.name, timed)
        direct = {"AWS_ENDPOINT_URL": self.backends.stack.aws.public_endpoint}
        with self._launch(operation.function, **direct) as sandbox:
            for _ in range(WARM_UP):
                sandbox.invoke(operation.prepare(self.fixtures))
            first, used = sandbox.log_lines(), sandbox.usage()
            for _ in range(events):
                event = operation.prepare(self.fixtures)
                times.append(sandbox.invoke(event)[1])
            cpu, lines = sandbox.usage().cpu - used.cpu, sandbox.log_lines()
        return {
            "function": operation.function,
            "memory_mb": self.backends.stack.deployment.functions[operation.function].memory,
            "milliseconds": round(statistics.median(times) * 1000, 1),
            "processor_milliseconds": round(cpu / events * 1000, 1),
            "log_bytes": round(sum(len(line.encode()) for line in lines[len(first) :]) / events),
            "metrics": metrics(lines),
        }


@contextmanager
def _bench(builds: Builds, python: Path, sam: Path) -> Iterator[_Bench]:
    found = engine()
    proxy = RecordingProxy(ALL_INTERFACES, found.host) if found else RecordingProxy()
    with proxy, Backends(front=proxy.forward_to) as backends:

        def launch(function: str, **environment: str) -> Sandbox:
            package = builds.function(function)
            return Sandbox(package, backends.environment(function) | environment, python=python, sam=sam)

        yield _Bench(backends, FixtureStore(backends.stack, backends.simulator, proxy), launch)


def metrics(lines: Iterable[str]) -> list[str]:
    """The metrics that CloudWatch bills individually: each name with its dimension values."""
    found = set()
    for record in map(json.loads, lines):
        for directive in record.get("_aws", {}).get("CloudWatchMetrics", []):
            for names in directive["Dimensions"]:
                values = " ".join(str(record[name]) for name in sorted(names))
                found |= {f"{metric['Name']} {values}" for metric in directive["Metrics"]}
    return sorted(found)
