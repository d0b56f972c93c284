"""What the tests share: one moto server and one simulator per test process, and handlers that run against them."""

import os
import sys
from collections.abc import Iterator

import pytest

from local.providers.acedata import Behaviour
from local.stack import Stack

# Read by Powertools when fluxgate.telemetry is imported; at AWS they come from template.yaml.
os.environ.update(POWERTOOLS_SERVICE_NAME="fluxgate", POWERTOOLS_METRICS_NAMESPACE="fluxgate")

from fluxgate.telemetry import logger
from tests.harness import Functions, Queue, forget


class _Stdout:
    """Whatever is standard output now: the logger lives longer than what captures a test's."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


logger.registered_handler.stream = _Stdout()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def backing() -> Iterator[Stack]:
    """template.yaml deployed into moto's server, and the simulator; no functions."""
    with Stack(functions=False) as stack:
        yield stack


@pytest.fixture
def functions(
    backing: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Functions]:
    """Handlers in this process; the provider in good order, quick, and without callbacks of its own."""
    assert backing.simulator
    backing.simulator.behaviour = Behaviour(callbacks=0, latency=0)
    yield Functions(backing, monkeypatch, capsys)
    forget()


@pytest.fixture
def submissions(functions: Functions) -> Queue:
    """What has been sent to the submission queue."""
    return functions.queue("SubmissionQueue")
