"""Shared fixtures: one moto server and one simulator per test process, and handlers that run against them."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from local.providers.acedata import Behaviour
from local.stack import Stack

# Powertools reads these when fluxgate.telemetry is imported. At AWS they come from template.yaml.
os.environ.update(POWERTOOLS_SERVICE_NAME="fluxgate", POWERTOOLS_METRICS_NAMESPACE="fluxgate")

from fluxgate.telemetry import logger
from tests.harness import Functions, Queue, forget

# A busy machine may need any time for an example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


E2E = "tests/e2e/"
POLICIES = "tests/e2e/test_policies.py"  # half of the time of all end-to-end tests, so worth a stack of its own
# Tests that share an expensive fixture.
GROUPS = (E2E, "tests/functional/test_calls.py", "tests/contract/test_versions.py", "tests/container/")


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Runs each group in one worker, so that its fixture starts once, and every other test in any worker.

    `--dist=loadgroup` does the same in theory. With pytest 9.2, xdist 3.8 ignores its marks:
    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """

    def _split_scope(self, nodeid: str) -> str:
        groups = GROUPS if self.config.option.markexpr else (POLICIES, *GROUPS)
        return next((group for group in groups if nodeid.startswith(group)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    config.option.loadscopereorder = False  # keep the order of collection
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """End-to-end tests first: they form the longest group, and mostly wait."""
    items.sort(key=lambda item: not item.nodeid.startswith(E2E))


class _Stdout:
    """The current standard output. The logger outlives pytest's capture of a single test."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


logger.registered_handler.stream = _Stdout()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def backing() -> Iterator[Stack]:
    """template.yaml deployed into moto's server, and the simulator, without functions."""
    with Stack(functions=False) as stack:
        yield stack


@pytest.fixture
def functions(
    backing: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Functions]:
    """Handlers in this process. The simulator finishes at once and sends no callbacks."""
    assert backing.simulator
    backing.simulator.behaviour = Behaviour(callbacks=0, latency=0)
    yield Functions(backing, monkeypatch, capsys)
    forget()


@pytest.fixture
def submissions(functions: Functions) -> Queue:
    """The messages sent to the submission queue."""
    return functions.queue("SubmissionQueue")
