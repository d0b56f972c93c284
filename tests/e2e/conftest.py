"""The whole stack, once per test process: API, callbacks, queues, stream, and each function in a process of its own."""

from collections.abc import Iterator

import pytest

from local.simulator import Behaviour, Simulator
from local.stack import Stack
from local.template import Template
from tests.e2e.client import Client

API_KEYS = {"local-key": "local", "other-key": "other"}  # two owners


def impatient(template: Template) -> None:
    """Failures that AWS would take minutes to give up are given up in seconds."""
    template["Resources"]["ArchiveQueue"]["Properties"]["VisibilityTimeout"] = 1
    changes = template["Resources"]["PublishChangesFunction"]["Properties"]["Events"]["Changes"]
    changes["Properties"]["MaximumRetryAttempts"] = 1


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    simulator = Simulator(behaviour=Behaviour(latency=0.1))
    with Stack(simulator=simulator, api_keys=API_KEYS, change=impatient) as stack:
        yield stack


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, "local-key") as client:
        yield client


@pytest.fixture(scope="session")
def stranger(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, "other-key") as client:
        yield client
