"""What `make serve` shows of the functions' lines."""

import json

import pytest

from local.serve import step
from local.telemetry import LogLine


def _line(**record: object) -> LogLine:
    standard = {"level": "INFO", "timestamp": "2026-01-01 00:00:00", "service": "fluxgate", "cold_start": True}
    return LogLine("submit_task", json.dumps({**standard, **record}))


def test_a_record_becomes_its_message_and_its_facts() -> None:
    line = _line(message="Task submitted", task_id="t1", xray_trace_id="x", function_name="f")
    assert step(line) == "submit_task  Task submitted  task_id=t1"


def test_what_is_worse_than_information_says_so() -> None:
    assert step(_line(level="WARNING", message="Image not archived")) == "submit_task  WARNING Image not archived"


def test_of_a_traceback_only_what_was_raised_is_shown() -> None:
    line = _line(message="Record failed", exception="Traceback (most recent call last):\n  File x\nKeyError: 'id'\n")
    assert step(line) == "submit_task  Record failed  exception=KeyError: 'id'"


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", '"a string"', "{broken"])
def test_other_lines_are_shown_as_they_are(text: str) -> None:
    assert step(LogLine("submit_task", text)) == f"submit_task  {text}"


def test_metrics_are_not_shown() -> None:
    assert step(_line(_aws={"Timestamp": 1})) is None
