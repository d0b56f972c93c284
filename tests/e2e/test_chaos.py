"""A short `make chaos`: a few tasks with injected faults."""

import os
import subprocess
import sys

import pytest

from local.stack import ROOT


@pytest.mark.timeout(300)
def test_guarantees_hold_under_injected_faults() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--tasks", "60", "--seed", "7", "--list", "on"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers/fluxgate/python")])
    chaos = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
