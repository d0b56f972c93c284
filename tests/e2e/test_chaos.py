"""A short `make chaos`: a few tasks with injected faults."""

import os
import subprocess
import sys

import pytest

from local.stack import ROOT


@pytest.mark.timeout(600)
@pytest.mark.parametrize("tasks", [4, pytest.param(60, marks=pytest.mark.exhaustive)])
def test_guarantees_hold_under_injected_faults(tasks: int) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--tasks", str(tasks), "--seed", "7", "--list", "on"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers/fluxgate/python")])
    chaos = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
    )
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
