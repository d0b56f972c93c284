"""The log lines that `make serve` prints."""

import json

import pytest

from local.serve import format_line
from local.telemetry import LogLine


def _line(**record: object) -> LogLine:
    standard = {"level": "INFO", "timestamp": "2026-01-01 00:00:00", "service": "fluxgate", "cold_start": True}
    return LogLine("submit_task", json.dumps({**standard, **record}))


def test_a_record_is_shown_as_its_message_and_fields() -> None:
    line = _line(message="Task submitted", task_id="t1", xray_trace_id="x", function_name="f")
    assert format_line(line) == "submit_task  Task submitted  task_id=t1"


def test_levels_above_info_are_shown() -> None:
    assert (
        format_line(_line(level="WARNING", message="Image not archived")) == "submit_task  WARNING Image not archived"
    )


def test_only_the_last_line_of_a_traceback_is_shown() -> None:
    line = _line(message="Record failed", exception="Traceback (most recent call last):\n  File x\nKeyError: 'id'\n")
    assert format_line(line) == "submit_task  Record failed  exception=KeyError: 'id'"


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", '"a string"', "{broken"])
def test_other_lines_are_shown_unchanged(text: str) -> None:
    assert format_line(LogLine("submit_task", text)) == f"submit_task  {text}"


def test_metrics_are_not_shown() -> None:
    assert format_line(_line(_aws={"Timestamp": 1})) is None
