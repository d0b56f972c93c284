"""Counts the requests, items and capacity units of each operation.

`python -m tests.bench.calls` writes them to calls.json; `make test` compares new counts with that file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.composite import CompositeContext
from local.providers.acedata import Behaviour, Simulator
from local.runtime import Runtime
from local.stack import LAYER, Stack
from local.telemetry import XRayDaemon
from tests.bench.capacity import Index, item_bytes
from tests.bench.operations import OPERATIONS, FixtureStore, Operation
from tests.bench.recording_proxy import Call, RecordingProxy
from tests.harness import Event

TABLE = Path(__file__).with_name("calls.json")
SIZES = (100, 2_000)  # stored tasks, in `make test`

Invoke = Callable[[Event], Any]
Launch = Callable[[str], AbstractContextManager[Invoke]]
"""Starts a process for a function, given by its folder's name. The first event is a cold start."""


@dataclass(frozen=True)
class Counts:
    """Counts of one event in a warm process. `first`: requests that only a process's first event makes."""

    requests: dict[str, int]
    first: dict[str, int]
    items_read: int
    items_written: int
    read_units: float
    write_units: int

    @classmethod
    def of(cls, calls: Sequence[Call], first: Sequence[Call], indexes: Sequence[Index]) -> Counts:
        warm, cold = (Counter(call.name for call in group) for group in (calls, first))
        writes = [call.write for call in calls if call.write]
        return cls(
            requests=dict(sorted(warm.items())),
            first=dict(sorted((cold - warm).items())),
            items_read=sum(call.read.items for call in calls),
            items_written=len(writes),
            read_units=sum(call.read.units for call in calls),
            write_units=sum(sum(write.units(indexes).values()) for write in writes),
        )


def count(operation: Operation, fixtures: FixtureStore, launch: Launch) -> tuple[Counts, list[Call]]:
    """The counts and the calls of the warm event. Raises AssertionError if a call was refused."""
    with launch(operation.function) as invoke:
        first = _calls(operation, fixtures, invoke)
        calls = _calls(operation, fixtures, invoke)
    return Counts.of(calls, first, fixtures.indexes), calls


def _calls(operation: Operation, fixtures: FixtureStore, invoke: Invoke) -> list[Call]:
    event = operation.prepare(fixtures)
    fixtures.proxy.drain()
    invoke(event)
    calls = fixtures.proxy.drain()
    assert all(call.status < 300 for call in calls), (operation.name, calls)
    return calls


def writes_of(calls: Sequence[Call], indexes: Sequence[Index]) -> list[dict[str, Any]]:
    """Each write: item sizes in bytes, changes in the indexes, write units."""
    return [
        {
            "bytes_before": item_bytes(call.write.before),
            "bytes": item_bytes(call.write.after),
            "indexes": call.write.index_changes(indexes),
            "units": call.write.units(indexes),
        }
        for call in calls
        if call.write
    ]


class OperationCounter(CompositeContext):
    """A context manager. Runs the handlers in local processes."""

    def _start(self, parts: ExitStack) -> None:
        self._proxy = parts.enter_context(RecordingProxy())
        simulator = parts.enter_context(Simulator(behaviour=Behaviour(callbacks=0, latency=0)))
        self._xray = parts.enter_context(XRayDaemon())
        self._stack = parts.enter_context(
            Stack(functions=False, flux_api_url=self._proxy.url, aws_proxy=self._proxy.forward_to)
        )
        self._fixtures = FixtureStore(self._stack, simulator, self._proxy)

    def count(self, size: int) -> dict[str, Counts]:
        """Counts by operation, with at least `size` tasks stored."""
        return {operation.name: self.count_one(operation, size) for operation in OPERATIONS}

    def count_one(self, operation: Operation, size: int) -> Counts:
        self._fixtures.fill(size)
        return count(operation, self._fixtures, self._launch)[0]

    @contextmanager
    def _launch(self, function: str) -> Iterator[Invoke]:
        stack = self._stack
        runtime = Runtime(
            {function: stack.deployment.functions[function]},
            stack.aws.credentials,
            layer=LAYER,
            xray_address=self._xray.address,
            log=stack.logs.add,
        )
        with closing(runtime):
            yield lambda event: runtime.invoke(function, event)


def differences(table: Mapping[str, Any], counted: Mapping[str, Counts]) -> list[str]:
    """One line for each changed count."""
    now = {name: asdict(counts) for name, counts in counted.items()}
    return [
        f"{name}: {figure} {_figure(table, name, figure)} -> {_figure(now, name, figure)}"
        for name in {**table, **now}
        for figure in Counts.__annotations__
        if _figure(table, name, figure) != _figure(now, name, figure)
    ]


def _figure(table: Mapping[str, Any], name: str, figure: str) -> Any:
    return table.get(name, {}).get(figure)


def as_json(counted: Mapping[str, Counts]) -> str:
    return json.dumps({name: asdict(counts) for name, counts in counted.items()}, indent=2) + "\n"


if __name__ == "__main__":
    with OperationCounter() as counter:
        counted = counter.count(SIZES[0])
    for change in differences(json.loads(TABLE.read_text()), counted):
        print(change)
    TABLE.write_text(as_json(counted))
