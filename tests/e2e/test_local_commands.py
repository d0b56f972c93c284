"""The commands behind `make demo` and `make serve`."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from local.stack import ROOT
from tests.waiting import wait_for

OPTIONS = {
    "PROMPT",
    "MODEL",
    "SIZE",
    "COUNT",
    "PORT",
    "FLUX_API_URL",
    "FLUX_API_TOKEN",
    "CALLBACK_BASE_URL",
    "CALLBACK_PORT",
}


def _environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in OPTIONS}
    return {**inherited, "PYTHONPATH": str(ROOT), **variables}


def _demo(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", "demo"]
    environment = _environment(**variables)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_demo_saves_the_image_in_a_folder(tmp_path: Path) -> None:
    demo = _demo(tmp_path, PROMPT="A fox", SIZE="512x256", AWS_PROFILE="unknown")
    assert demo.returncode == 0, demo.stderr
    task = json.loads(demo.stdout)
    assert (task["status"], task["prompt"]) == ("succeeded", "A fox")
    with Image.open(tmp_path / "images" / f"{task['task_id']}-0.png") as image:
        assert image.size == (512, 256)


@pytest.mark.exhaustive
def test_demo_prints_the_violations_of_an_invalid_request(tmp_path: Path) -> None:
    demo = _demo(tmp_path, MODEL="unknown")
    assert demo.returncode == 1
    assert [error["field"] for error in json.loads(demo.stdout)["errors"]] == ["model"]
    assert not (tmp_path / "images").exists()


def test_demo_rejects_a_count_that_is_not_a_number(tmp_path: Path) -> None:
    demo = _demo(tmp_path, COUNT="abc")
    assert demo.returncode == 1
    assert demo.stderr == "COUNT must be a whole number, not 'abc'.\n"


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGKILL, marks=pytest.mark.exhaustive),
    ],
)
def test_serve_ends_all_its_processes(number: signal.Signals) -> None:
    port, callback_port = _free_port(), _free_port()
    command = [sys.executable, "-m", "local", "serve"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(PORT=str(port), CALLBACK_PORT=str(callback_port)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as serve:
        assert serve.stdout
        assert str(port) in serve.stdout.readline()
        children = _children(serve.pid)
        assert len(children) > 5
        serve.send_signal(number)
        status = serve.wait(120)
        output = serve.stdout.read()
    assert f"Callbacks  http://127.0.0.1:{callback_port} " in output
    assert "Traceback" not in output
    assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


@pytest.mark.parametrize("variable", ["PORT", "CALLBACK_PORT"])
def test_serve_reports_a_port_in_use(variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"PORT": str(_free_port()), variable: str(port)}
        command = [sys.executable, "-m", "local", "serve"]
        serve = subprocess.run(
            command,
            cwd=ROOT,
            env=_environment(**ports),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert serve.returncode == 1
    assert serve.stderr == f"Port {port} is in use. Choose another one: {variable}={port + 1}\n"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if not listing.exists():
        pytest.skip("needs /proc, which Linux has")
    # Each thread lists the processes that it started.
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
