"""The vendor's own MCP server (mcp-flux-pro from PyPI) over HTTP, which submits to the same provider."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests

from tests.bench.sandbox import free_port
from tests.harness import event

if TYPE_CHECKING:
    from types import TracebackType

TICK = 1 / os.sysconf("SC_CLK_TCK")


class FluxPro:
    """A context manager."""

    def __init__(self, python: Path, provider: str) -> None:
        """`python` is that of the environment in which it is installed."""
        self._provider = provider
        self._program = python.with_name("mcp-flux-pro")
        self._session = requests.Session()
        # Stateless, as Streamable HTTP allows: nothing but the call itself is asked of it.
        self._session.headers.update(
            {
                "Accept": "application/json, text/event-stream",
                "Authorization": "Bearer simulated",
            }
        )

    def __enter__(self) -> Self:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}/mcp"
        self._process = subprocess.Popen(
            [str(self._program), "--transport", "http", "--port", str(port)],
            env={
                "PATH": os.environ["PATH"],
                "ACEDATACLOUD_API_BASE_URL": self._provider,
                "ACEDATACLOUD_API_TOKEN": "simulated",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._process.terminate()
        self._process.wait()

    def work(self, submissions: int) -> float:
        """Submit so often what our own event asks for. Seconds of the server's processor time."""
        before = self._cpu()
        for number in range(submissions):
            self._submit(number)
        return self._cpu() - before

    def _submit(self, number: int) -> None:
        asked = json.loads(event("submit_task.good_generate")["body"])
        arguments = {
            "prompt": asked["prompt"],
            "size": asked.get("size", "1024x1024"),
            "model": asked.get("model", "flux-dev"),
            "callback_url": "https://callbacks.example.com/hook",
        }
        call = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": "flux_generate_image", "arguments": arguments},
        }
        answer = self._session.post(self._url, json=call, timeout=30)
        assert answer.ok, answer.text
        assert "task_id" in answer.text, answer.text

    def _cpu(self) -> float:
        """User and system time (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def _wait(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._session.get(self._url.removesuffix("/mcp"), timeout=5, allow_redirects=False)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("mcp-flux-pro does not answer")
