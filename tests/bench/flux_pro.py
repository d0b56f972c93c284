"""Runs the provider's own MCP server (mcp-flux-pro from PyPI) over HTTP, against the same simulated provider."""

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

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds


class FluxPro:
    """A context manager."""

    def __init__(self, python: Path, provider: str) -> None:
        """`python` is the interpreter of the environment with mcp-flux-pro; `provider` is the provider's URL."""
        self._provider = provider
        self._program = python.with_name("mcp-flux-pro")
        self._session = requests.Session()
        # Streamable HTTP without a session: the server only handles the call itself.
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
        self._wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._process.terminate()
        self._process.wait()

    def work(self, submissions: int) -> float:
        """Submit the request of our own event this many times; returns the server's processor time in seconds."""
        before = self._cpu()
        for number in range(submissions):
            self._submit(number)
        return self._cpu() - before

    def _submit(self, number: int) -> None:
        request = json.loads(event("submit_task.good_generate")["body"])
        arguments = {
            "prompt": request["prompt"],
            "size": request.get("size", "1024x1024"),
            "model": request.get("model", "flux-dev"),
            "callback_url": "https://callbacks.example.com/hook",
        }
        call = {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": "flux_generate_image", "arguments": arguments},
        }
        response = self._session.post(self._url, json=call, timeout=30)
        assert response.ok, response.text
        assert "task_id" in response.text, response.text

    def _cpu(self) -> float:
        """User and system time (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK

    def _wait_until_ready(self, timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._session.get(self._url.removesuffix("/mcp"), timeout=5, allow_redirects=False)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("mcp-flux-pro does not respond")
