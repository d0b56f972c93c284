"""Measures cold starts: the time from the first event of an execution environment to its response."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tests.harness import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.backends import Backends
    from tests.bench.builds import Builds
    from tests.bench.sandbox import Package, Sandbox

ROUNDS = 15
SUBMIT, CALLBACK = event("submit_task.good_generate"), event("receive_callback.good_success")


@dataclass(frozen=True)
class Variant:
    """A package to compare, running with the environment and role of a function."""

    name: str
    function: str
    package: Package
    event: dict[str, Any]
    status: HTTPStatus
    seconds: list[float] = field(default_factory=list)

    def invoke(self, sandbox: Sandbox) -> float:
        response, took = sandbox.invoke(self.event)
        assert response["statusCode"] == self.status, response
        return took


def variants(builds: Builds) -> dict[str, Variant]:
    """By name."""
    submit, callback = "submit_task", "receive_callback"
    found = [
        Variant("submit", submit, builds.function(submit), SUBMIT, HTTPStatus.ACCEPTED),
        Variant("submit, bare", submit, builds.bare(submit), SUBMIT, HTTPStatus.ACCEPTED),
        Variant("callback", callback, builds.function(callback), CALLBACK, HTTPStatus.OK),
        Variant("callback, bare", callback, builds.bare(callback), CALLBACK, HTTPStatus.OK),
    ]
    return {variant.name: variant for variant in found}


def default_build(builds: Builds) -> Variant:
    """The product, built by SAM's default build method."""
    package = builds.by_default("submit_task")
    return Variant("submit, default build", "submit_task", package, SUBMIT, HTTPStatus.ACCEPTED)


def measure(builds: Builds, backends: Backends, start: Callable[[Package, str], Sandbox]) -> dict[str, list[float]]:
    """Seconds by variant. The variants run alternately."""
    found = [*variants(builds).values(), default_build(builds)]
    for _ in range(ROUNDS):
        for variant in found:
            backends.restore_submitted()
            with start(variant.package, variant.function) as sandbox:
                variant.seconds.append(variant.invoke(sandbox))
    return {variant.name: variant.seconds for variant in found}
