"""Fixtures of the functional tests."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fluxgate.providers import acedata
from tests.functional.reconciler import Reconciler
from tests.functional.submissions import Received
from tests.harness import Functions


@pytest.fixture
def received(functions: Functions) -> Received:
    before = len(functions.simulator.submissions)
    return lambda: functions.simulator.submissions[before:]


@pytest.fixture
def reconciler(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reconciler]:
    """The reconciler with an empty table, and without pauses between queries to the provider."""
    monkeypatch.setattr(acedata, "PACE", timedelta(0))
    reconciler = Reconciler(functions)
    yield reconciler
    reconciler.reset()
