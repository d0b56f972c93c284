"""`python -m local serve`: runs the stack at a fixed port and prints the functions' log lines."""

from __future__ import annotations

import signal
import time
from threading import Event
from typing import TYPE_CHECKING

from local import options
from local.stack import Stack

if TYPE_CHECKING:
    from local.telemetry import LogLine

PORT = 3000

# Fields that Powertools adds to every record. They are not shown.
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
    """Serve until SIGINT or SIGTERM. Returns the exit status. Raises options.OptionError and PortInUseError."""
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Stack(ports=options.ports(api=options.number("PORT") or PORT), **options.provider()) as stack:
        stack.logs.watch(_print_line)
        print(_welcome(stack.url, stack.callback_url), flush=True)
        stopped.wait()
    return 0


def format_line(line: LogLine) -> str | None:
    """A function's log line for the terminal: its message and fields. None for metrics."""
    record = line.record
    if record is None:
        return f"{line.function}  {line.text}"
    if "_aws" in record:
        return None
    level = record.get("level", "INFO")
    # The record that the runtime client writes for an exception has no message.
    message = record.get("message", "The function failed")
    message = message if level == "INFO" else f"{level} {message}"
    fields = [f"{name}={_last_line(value)}" for name, value in record.items() if name not in STANDARD_FIELDS]
    return "  ".join([line.function, message, " ".join(fields)]).rstrip()


def _last_line(value: object) -> str:
    """The last line of a value, which is the exception in a traceback."""
    return next(iter(reversed(str(value).strip().splitlines())), "")


def _print_line(line: LogLine) -> None:
    text = format_line(line)
    if text:
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def _welcome(url: str, callback_url: str) -> str:
    return f"""fluxgate is running at {url}

  Web page   {url}/  (API key: local-key)
  API docs   {url}/docs
  Callbacks  {callback_url}  (for the provider)

Generate an image:

  curl -sS {url}/v1/images/generations -H 'x-api-key: local-key' -H 'content-type: application/json' \\
    -d '{{"prompt": "A lighthouse on a cliff at golden hour"}}'

Press Ctrl-C to stop. The functions' log lines follow.
"""
