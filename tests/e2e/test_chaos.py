"""`make chaos` in short: everything goes wrong for a few tasks, and nothing is lost or bought twice."""

import os
import subprocess
import sys

import pytest

from local.stack import ROOT


@pytest.mark.timeout(300)
def test_a_short_chaos_breaks_no_promise() -> None:
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
