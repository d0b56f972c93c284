"""What each operation asks for: requests by service, items read and written, counted where they pass.

`python -m tests.bench.calls` counts, and writes the table with which `make test` compares.
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
from tests.bench.operations import OPERATIONS, Ground, Operation
from tests.bench.wire import Call, Wire
from tests.harness import Event

TABLE = Path(__file__).with_name("calls.json")
SIZES = (100, 2_000)  # tasks stored, in `make test`

Invoke = Callable[[Event], Any]
Open = Callable[[str], AbstractContextManager[Invoke]]
"""A function by its folder's name, in a process that has just started: its first event is a cold start's."""


@dataclass(frozen=True)
class Counts:
    """Of one event in a warm process. `first` is what a process asks for with its first event besides."""

    requests: dict[str, int]
    first: dict[str, int]
    items_read: int
    items_written: int
    read_units: float
    write_units: int

    @classmethod
    def of(cls, calls: Sequence[Call], first: Sequence[Call], indexes: Sequence[Index]) -> Counts:
        warm, cold = (Counter(call.name for call in some) for some in (calls, first))
        writes = [call.write for call in calls if call.write]
        return cls(
            requests=dict(sorted(warm.items())),
            first=dict(sorted((cold - warm).items())),
            items_read=sum(call.read.items for call in calls),
            items_written=len(writes),
            read_units=sum(call.read.units for call in calls),
            write_units=sum(sum(write.units(indexes).values()) for write in writes),
        )


def count(operation: Operation, ground: Ground, launch: Open) -> tuple[Counts, list[Call]]:
    """The figures, and the calls of the warm event. Raises AssertionError where one was refused."""
    with launch(operation.function) as invoke:
        first = _calls(operation, ground, invoke)
        calls = _calls(operation, ground, invoke)
    return Counts.of(calls, first, ground.indexes), calls


def _calls(operation: Operation, ground: Ground, invoke: Invoke) -> list[Call]:
    event = operation.prepare(ground)
    ground.wire.take()
    invoke(event)
    calls = ground.wire.take()
    assert all(call.status < 300 for call in calls), (operation.name, calls)
    return calls


def writes_of(calls: Sequence[Call], indexes: Sequence[Index]) -> list[dict[str, Any]]:
    """What is written: the item's size, and what becomes of it in each index."""
    return [
        {
            "bytes_before": item_bytes(call.write.before),
            "bytes": item_bytes(call.write.after),
            "indexes": call.write.places(indexes),
            "units": call.write.units(indexes),
        }
        for call in calls
        if call.write
    ]


class Processes(CompositeContext):
    """A context manager: counts all operations, their handlers in local processes."""

    def _start(self, parts: ExitStack) -> None:
        self._wire = parts.enter_context(Wire())
        simulator = parts.enter_context(Simulator(behaviour=Behaviour(callbacks=0, latency=0)))
        self._xray = parts.enter_context(XRayDaemon())
        self._stack = parts.enter_context(
            Stack(functions=False, flux_api_url=self._wire.url, aws_proxy=self._wire.front)
        )
        self._ground = Ground(self._stack, simulator, self._wire)

    def count(self, size: int) -> dict[str, Counts]:
        """With so many tasks stored, at least: they only become more."""
        return {operation.name: self.count_one(operation, size) for operation in OPERATIONS}

    def count_one(self, operation: Operation, size: int) -> Counts:
        self._ground.fill(size)
        return count(operation, self._ground, self._launch)[0]

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
    """What has changed, a line for each figure."""
    now = {name: asdict(counts) for name, counts in counted.items()}
    return [
        f"{name}: {figure} {_figure(table, name, figure)} -> {_figure(now, name, figure)}"
        for name in {**table, **now}
        for figure in Counts.__annotations__
        if _figure(table, name, figure) != _figure(now, name, figure)
    ]


def _figure(table: Mapping[str, Any], name: str, figure: str) -> Any:
    return table.get(name, {}).get(figure)


def written(counted: Mapping[str, Counts]) -> str:
    return json.dumps({name: asdict(counts) for name, counts in counted.items()}, indent=2) + "\n"


if __name__ == "__main__":
    with Processes() as processes:
        counted = processes.count(SIZES[0])
    for change in differences(json.loads(TABLE.read_text()), counted):
        print(change)
    TABLE.write_text(written(counted))
