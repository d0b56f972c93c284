"""`python -m local serve`: the stack at a fixed port, with one line for each step of each task."""

from __future__ import annotations

import errno
import signal
import sys
import time
from threading import Event
from typing import TYPE_CHECKING

from local import options
from local.stack import Ports, Stack

if TYPE_CHECKING:
    from local.telemetry import LogLine

PORT = 3000

# What Powertools adds to each record and nobody reads here.
STANDARD_FIELDS = {
    "cold_start",
    "correlation_id",
    "function_arn",
    "function_memory_size",
    "function_name",
    "function_request_id",
    "level",
    "location",
    "message",
    "requestId",
    "sampling_rate",
    "service",
    "stackTrace",
    "stack_trace",
    "timestamp",
    "xray_trace_id",
}


def run() -> int:
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    port = options.number("PORT") or PORT
    try:
        with Stack(ports=Ports(api=port), **options.provider()) as stack:
            stack.logs.watch(_print_step)
            print(_introduction(stack.url), flush=True)
            ended.wait()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"Port {port} is in use. Choose another one: PORT={port + 1}", file=sys.stderr)
        return 1
    return 0


def step(line: LogLine) -> str | None:
    """What to show of a function's line; None for metrics."""
    record = line.record
    if record is None:
        return f"{line.function}  {line.text}"
    if "_aws" in record:
        return None
    level = record.get("level", "INFO")
    # The runtime's own report of an exception has no message.
    message = record.get("message", "The function failed")
    message = message if level == "INFO" else f"{level} {message}"
    facts = [f"{name}={_last_line(value)}" for name, value in record.items() if name not in STANDARD_FIELDS]
    return "  ".join([line.function, message, " ".join(facts)]).rstrip()


def _last_line(value: object) -> str:
    """Of a traceback, what was raised."""
    return next(iter(reversed(str(value).strip().splitlines())), "")


def _print_step(line: LogLine) -> None:
    text = step(line)
    if text:
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def _introduction(url: str) -> str:
    return f"""fluxgate is at {url}; Ctrl-C ends it. To try it, open {url}/ in a browser and
paste the key local-key, or:

curl -sS {url}/v1/images/generations -H 'x-api-key: local-key' -H 'content-type: application/json' \\
  -d '{{"prompt": "A lighthouse on a cliff at golden hour"}}'
"""
