"""Cold starts: the time from an event to its answer, in an execution environment that has seen none before."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tests.harness import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.builds import Builds
    from tests.bench.sandbox import Package, Sandbox
    from tests.bench.scene import Scene

ROUNDS = 15
SUBMIT, CALLBACK = event("submit_task.good_generate"), event("receive_callback.good_success")


@dataclass(frozen=True)
class Side:
    """One of those that are compared: a package, and the function whose place it takes."""

    name: str
    function: str
    package: Package
    event: dict[str, Any]
    status: HTTPStatus
    seconds: list[float] = field(default_factory=list)

    def invoke(self, sandbox: Sandbox) -> float:
        answer, took = sandbox.invoke(self.event)
        assert answer["statusCode"] == self.status, answer
        return took


def sides(builds: Builds) -> dict[str, Side]:
    """By name."""
    submit, callback = "submit_task", "receive_callback"
    every = [
        Side("submit", submit, builds.function(submit), SUBMIT, HTTPStatus.ACCEPTED),
        Side("submit, bare", submit, builds.bare(submit), SUBMIT, HTTPStatus.ACCEPTED),
        Side("callback", callback, builds.function(callback), CALLBACK, HTTPStatus.OK),
        Side("callback, bare", callback, builds.bare(callback), CALLBACK, HTTPStatus.OK),
    ]
    return {side.name: side for side in every}


def by_default(builds: Builds) -> Side:
    """The product by `sam build`'s own build method."""
    package = builds.by_default("submit_task")
    return Side("submit, default build", "submit_task", package, SUBMIT, HTTPStatus.ACCEPTED)


def measure(builds: Builds, scene: Scene, start: Callable[[Package, str], Sandbox]) -> dict[str, list[float]]:
    """Seconds by side, taken in turns."""
    every = [*sides(builds).values(), by_default(builds)]
    for _ in range(ROUNDS):
        for side in every:
            scene.restore_submitted()
            with start(side.package, side.function) as sandbox:
                side.seconds.append(side.invoke(sandbox))
    return {side.name: side.seconds for side in every}
