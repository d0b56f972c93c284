"""The whole stack, once per test process: API, callbacks, queues, bus, stream, schedule, and each function in a process
of its own. Its minutes take a second."""

from collections.abc import Iterator

import pytest

from local.providers.acedata import Behaviour, Simulator
from local.stack import Stack
from local.template import Template
from tests.e2e.client import Client
from tests.e2e.receiver import Bus, Receiver

TIME_SCALE = 60
# Owners; the last four have their galleries to themselves.
API_KEYS = {f"{owner}-key": owner for owner in ("local", "other", "page", "crowd", "nobody", "exhibition")}


def impatient(template: Template) -> None:
    """Failures that AWS would take minutes to give up are given up in seconds."""
    template["Resources"]["ArchiveQueue"]["Properties"]["VisibilityTimeout"] = 1
    changes = template["Resources"]["PublishChangesFunction"]["Properties"]["Events"]["Changes"]
    changes["Properties"]["MaximumRetryAttempts"] = 1


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    simulator = Simulator(behaviour=Behaviour(latency=0.1), listing=True)
    with Stack(simulator=simulator, api_keys=API_KEYS, change=impatient, time_scale=TIME_SCALE) as stack:
        yield stack


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, "local-key") as client:
        yield client


@pytest.fixture(scope="session")
def stranger(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, "other-key") as client:
        yield client


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def bus(stack: Stack) -> Bus:
    return Bus(stack)
