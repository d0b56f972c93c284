"""`make demo` and `make serve`, as a person runs them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from local.stack import ROOT

STEERING = {"PROMPT", "MODEL", "SIZE", "COUNT", "PORT", "FLUX_API_URL", "FLUX_API_TOKEN", "CALLBACK_BASE_URL"}


def _environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in STEERING}
    return {**inherited, "PYTHONPATH": str(ROOT), **variables}


def _demo(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", "demo"]
    environment = _environment(**variables)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_demo_ends_with_a_picture_in_a_folder(tmp_path: Path) -> None:
    demo = _demo(tmp_path, PROMPT="A fox", SIZE="512x256", AWS_PROFILE="of-somebody-else")
    assert demo.returncode == 0, demo.stderr
    task = json.loads(demo.stdout)
    assert (task["status"], task["prompt"]) == ("succeeded", "A fox")
    with Image.open(tmp_path / "images" / f"{task['task_id']}-0.png") as picture:
        assert picture.size == (512, 256)


def test_the_demo_shows_why_a_request_was_refused(tmp_path: Path) -> None:
    demo = _demo(tmp_path, MODEL="unheard-of")
    assert demo.returncode == 1
    assert [fault["field"] for fault in json.loads(demo.stdout)["errors"]] == ["model"]
    assert not (tmp_path / "images").exists()


def test_a_count_that_is_no_number_is_told_at_once(tmp_path: Path) -> None:
    demo = _demo(tmp_path, COUNT="abc")
    assert demo.returncode == 1
    assert demo.stderr == "COUNT must be a whole number, not 'abc'.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_serve_leaves_nothing_behind(number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "local", "serve"]
    with subprocess.Popen(
        command, cwd=ROOT, env=_environment(PORT=str(port)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as serve:
        assert serve.stdout
        assert str(port) in serve.stdout.readline()
        children = _children(serve.pid)
        assert len(children) > 5
        serve.send_signal(number)
        status = serve.wait(20)
        assert "Traceback" not in serve.stdout.read()
    assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_serve_says_when_its_port_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "local", "serve"]
        serve = subprocess.run(
            command, cwd=ROOT, env=_environment(PORT=str(port)), capture_output=True, text=True, timeout=60, check=False
        )
    assert serve.returncode == 1
    assert serve.stderr == f"Port {port} is in use. Choose another one: PORT={port + 1}\n"


def _children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if not listing.exists():
        pytest.skip("needs Linux's /proc")
    # Those that were started by other threads are listed with their thread.
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
