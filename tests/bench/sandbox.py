"""One Lambda execution environment: AWS's runtime client and a built handler, under the SAM CLI's emulator."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import docker
import requests

from local.composite import CompositeContext
from local.containers import Engine, architecture, engine, image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RIE = "samcli/local/rapid/aws-lambda-rie-{}"  # in the SAM CLI's environment
INVOKE = "/2015-03-31/functions/function/invocations"
PORT = 8080  # in the container
LOG_ERRORS_ONLY = ("--log-level", "error")
INSTRUMENTATION = Path(__file__).with_name("instrumentation.py")
HANDLER = "instrumentation.handler"
USAGE = "usage"  # the event that instrumentation.py handles itself
FUNCTION_TIMEOUT = 60  # seconds


@dataclass(frozen=True)
class Package:
    """The unpacked code as at AWS: a function's folder, and the layers merged into /opt. Read-only."""

    task: Path
    opt: Path

    @classmethod
    def of(cls, function: Path, layers: list[Path], into: Path) -> Self:
        """Copy a function's folder, `instrumentation.py` and the layers into the new folder `into`."""
        task, opt = into / "task", into / "opt"
        shutil.copytree(function, task)
        shutil.copy(INSTRUMENTATION, task)
        opt.mkdir()
        for layer in layers:
            shutil.copytree(layer, opt, copy_function=os.link, dirs_exist_ok=True)
        return cls(task, opt)


@dataclass(frozen=True)
class Usage:
    """Resource usage of the handler's process since it started."""

    cpu: float  # seconds
    peak_mib: float


class Sandbox(CompositeContext):
    """A context manager. The first event starts the handler's process: its duration is a cold start."""

    def __init__(self, package: Package, environment: Mapping[str, str], *, python: Path, sam: Path) -> None:
        """`python` has awslambdaric installed; `sam` is the SAM CLI's program, whose environment has the emulator."""
        self._package = package
        self._python, self._rie = python, emulator(sam)
        self._environment = {
            "PYTHONDONTWRITEBYTECODE": "1",  # as at AWS, where the code is read-only
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(FUNCTION_TIMEOUT),
            **environment,
        }
        self._session = requests.Session()
        self._output: Callable[[], bytes] = lambda: b""

    def _start(self, parts: ExitStack) -> None:
        parts.enter_context(self._session)
        found = engine()
        self._port = self._start_container(found, parts) if found else self._start_process(parts)
        self._wait_until_ready()

    def invoke(self, event: object) -> tuple[Any, float]:
        """The handler's result and the duration in seconds. Raises AssertionError if the handler failed."""
        began = time.perf_counter()
        response = self._session.post(f"http://127.0.0.1:{self._port}{INVOKE}", json=event, timeout=FUNCTION_TIMEOUT)
        took = time.perf_counter() - began
        result = json.loads(response.content)
        assert not (isinstance(result, dict) and "errorType" in result), result
        return result, took

    def log_lines(self) -> list[str]:
        """The function's log lines so far: those in JSON; the emulator's are plain text."""
        return [line for line in self._output().decode().splitlines() if line.startswith("{")]

    def usage(self) -> Usage:
        usage, _ = self.invoke(USAGE)
        return Usage(usage["cpu"], usage["peak_kib"] / 1024)

    def _start_process(self, parts: ExitStack) -> int:
        port, runtime_port = free_port(), free_port()
        command = [
            *(self._rie, *LOG_ERRORS_ONLY),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
            *(self._python, "-m", "awslambdaric", HANDLER),
        ]
        environment = {
            **self._environment,
            "_HANDLER": HANDLER,
            "LAMBDA_TASK_ROOT": str(self._package.task),
            "PYTHONPATH": f"{self._package.task}:{self._package.opt}/python",
        }
        log = Path(parts.enter_context(tempfile.TemporaryDirectory())) / "log"
        self._output = log.read_bytes
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=self._package.task,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=parts.enter_context(log.open("wb")),
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        parts.callback(process.wait)
        parts.callback(os.killpg, process.pid, 9)
        return port

    def _start_container(self, found: Engine, parts: ExitStack) -> int:
        port = free_port()
        client = parts.enter_context(closing(docker.from_env()))
        hosts = {found.host: "host-gateway"} if found.options else {}
        container = client.containers.run(
            image(),
            [
                *LOG_ERRORS_ONLY,
                *("--runtime-interface-emulator-address", f"0.0.0.0:{PORT}"),
                "/var/runtime/bootstrap",
            ],
            entrypoint="/var/rapid/aws-lambda-rie",
            environment={**self._environment, "_HANDLER": HANDLER, "LAMBDA_TASK_ROOT": "/var/task"},
            volumes={
                str(source): {"bind": inside, "mode": "ro"}
                for source, inside in (
                    (self._package.task, "/var/task"),
                    (self._package.opt, "/opt"),
                    (self._rie, "/var/rapid/aws-lambda-rie"),
                )
            },
            ports={f"{PORT}/tcp": ("127.0.0.1", port)},
            extra_hosts=hosts,
            detach=True,
        )
        parts.callback(container.remove, force=True)
        self._output = container.logs
        return port

    def _wait_until_ready(self, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:  # any response suffices; an event would start the handler
                self._session.get(f"http://127.0.0.1:{self._port}/", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("the runtime interface emulator does not respond")


@cache
def emulator(sam: Path) -> Path:
    """The runtime interface emulator that `sam local` uses in its containers."""
    return next(sam.resolve().parent.parent.glob(f"lib/python3*/site-packages/{RIE.format(architecture())}"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
