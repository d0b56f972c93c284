"""The local Lambda service: invocations whose handlers return, raise, time out or exit."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.aws import Credentials
from local.deployment import Function
from local.runtime import Runtime
from local.telemetry import Logs
from tests.waiting import wait_for

HANDLER = """
import os, time
print("starting")
count = 0

def handler(event, context):
    global count
    count += 1
    match event:
        case {"sleep": seconds}:
            print("sleeping")
            time.sleep(seconds)
        case {"raise": message}:
            raise LookupError(message)
        case {"exit": status}:
            os._exit(status)
    return {
        "event": event, "count": count, "pid": os.getpid(), "environment": dict(os.environ),
        "request_id": context.aws_request_id, "remaining": context.get_remaining_time_in_millis(),
    }
"""

Start = Callable[..., Runtime]


@pytest.fixture
def logs() -> Logs:
    return Logs()


@pytest.fixture
def start(tmp_path: Path, logs: Logs) -> Iterator[Start]:
    runtimes = []

    def start(code: str = HANDLER, timeout: int = 10) -> Runtime:
        (tmp_path / "app.py").write_text(code)
        function = Function(
            name="thing",
            arn="arn:aws:lambda:us-east-1:123456789012:function:thing",
            handler="app.handler",
            code=tmp_path,
            environment={"COLOUR": "red"},
            role_arn="arn:aws:iam::123456789012:role/thing",
            timeout=timeout,
            memory=128,
        )
        runtime = Runtime(
            {"thing": function},
            lambda role: Credentials("id", "secret", f"token of {role}"),
            layer=tmp_path,
            xray_address="127.0.0.1:1",
            log=logs.add,
        )
        runtimes.append(runtime)
        return runtime

    yield start
    for runtime in runtimes:
        runtime.close()


def test_a_function_returns_its_result_and_reuses_its_process(start: Start) -> None:
    runtime = start()
    first, second = (runtime.invoke("thing", {"n": n}) for n in (1, 2))
    assert not first.is_error
    assert first.payload["event"] == {"n": 1}
    assert first.payload["request_id"] == first.request_id != second.request_id
    assert second.payload["count"] == 2
    assert 9_000 < first.payload["remaining"] <= 10_000


def test_a_function_has_only_its_own_environment(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_MACHINE", "x")
    monkeypatch.setenv("AWS_PROFILE", "production")
    environment = start().invoke("thing", {}).payload["environment"]
    assert environment["COLOUR"] == "red"
    assert environment["AWS_SESSION_TOKEN"] == "token of arn:aws:iam::123456789012:role/thing"
    assert environment["AWS_CONFIG_FILE"] == os.devnull
    assert not {"SECRET_OF_THE_MACHINE", "AWS_PROFILE", "HOME", "VIRTUAL_ENV"} & set(environment)


def test_an_exception_is_returned_and_logged(start: Start, logs: Logs) -> None:
    runtime = start()
    failed = runtime.invoke("thing", {"raise": "no such thing"})
    assert failed.is_error
    assert (failed.payload["errorType"], failed.payload["errorMessage"]) == ("LookupError", "no such thing")
    assert logs.wait_for("no such thing", function="thing")
    assert runtime.invoke("thing", {}).payload["count"] == 2


def test_a_function_is_killed_after_its_timeout(start: Start) -> None:
    runtime = start(timeout=1)
    pid = runtime.invoke("thing", {}).payload["pid"]
    started = time.monotonic()
    failed = runtime.invoke("thing", {"sleep": 300})
    assert time.monotonic() - started < 60
    assert failed.payload["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in failed.payload["errorMessage"]
    assert runtime.invoke("thing", {}).payload["pid"] != pid


def test_a_process_that_exits_fails_its_event_and_is_replaced(start: Start) -> None:
    runtime = start()
    failed = runtime.invoke("thing", {"exit": 3})
    assert failed.payload["errorType"] == "Runtime.ExitError"
    assert "exited with status 3" in failed.payload["errorMessage"]
    assert runtime.invoke("thing", {}).payload["count"] == 1


def test_a_process_that_exits_while_idle_fails_no_event(start: Start) -> None:
    runtime = start()
    pid = runtime.invoke("thing", {}).payload["pid"]
    os.kill(pid, 9)
    (worker,) = runtime.pools["thing"].workers
    wait_for(lambda: not worker.alive)
    assert runtime.invoke("thing", {}).payload["pid"] != pid


def test_concurrent_events_run_in_separate_processes(start: Start) -> None:
    runtime = start()
    with ThreadPoolExecutor(3) as threads:
        invocations = list(threads.map(lambda _: runtime.invoke("thing", {"sleep": 1}), range(3)))
    assert len({invocation.payload["pid"] for invocation in invocations}) == 3


def test_a_restart_replaces_the_process(start: Start) -> None:
    runtime = start()
    pid = runtime.invoke("thing", {}).payload["pid"]
    runtime.restart("thing")
    assert runtime.invoke("thing", {}).payload["pid"] != pid
    assert len(runtime.pools["thing"].workers) == 1


def test_a_module_that_cannot_be_imported_fails_every_event(start: Start) -> None:
    runtime = start("import nowhere_to_be_found")
    for _ in range(2):
        failed = runtime.invoke("thing", {})
        assert failed.is_error
        assert failed.payload["errorType"] == "Runtime.ImportModuleError"


def test_closing_ends_running_invocations(start: Start, logs: Logs) -> None:
    runtime = start()
    pid = runtime.invoke("thing", {}).payload["pid"]
    running = runtime.submit("thing", {"sleep": 300})
    wait_for(lambda: "sleeping" in [line.text for line in logs.lines()])
    runtime.close()
    assert running.result(120).is_error
    assert runtime.invoke("thing", {}).is_error
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
