"""The MCP server before the protocol's official conformance suite: whatever applies to a server that has tools alone
passes, in both eras. What does not apply is listed with the reason, and the lists are complete."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local.providers.acedata import Behaviour, Simulator
from local.stack import Stack
from local.template import Template

# Older releases know no revision of 2026; the suite needs a newer Node than many machines have.
SUITE = ("--package=node@24", "--package=@modelcontextprotocol/conformance@0.2.0-alpha.12", "conformance")

APPLIES = {
    "2025-11-25": (
        "server-initialize",
        "ping",
        "tools-list",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "server-stateless",
        "tools-list",
        "caching",
        "http-header-validation",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "input-required-result-unsupported-methods",
    ),
}

EXAMPLE = "calls a tool of the suite's own example server"
NO_SESSIONS = "there are no sessions"
NO_INPUT = "no tool asks the client for input"
NO_RESOURCES = "there are no resources, and no such capability is declared"
NO_PROMPTS = "there are no prompts, and no such capability is declared"

# Scenarios, by the beginning of their names.
DOES_NOT_APPLY = {
    "tools-call-": EXAMPLE,
    "json-schema-2020-12": EXAMPLE,
    "elicitation-": NO_INPUT,
    "input-required-result-": NO_INPUT,
    "resources-": NO_RESOURCES,
    "sep-2164-resource-not-found": NO_RESOURCES,
    "prompts-": NO_PROMPTS,
    "completion-complete": "there is nothing to complete, and no such capability is declared",
    "logging-set-level": "no log messages are sent to clients, and no such capability is declared",
    "http-custom-header-server-validation": "no parameter of a tool is declared to be a header as well",
    "server-session-lifecycle": NO_SESSIONS,
    "server-sse-multiple-streams": NO_SESSIONS,
    "server-sse-polling": "there are no streams: every answer is JSON",
    "tasks-": "the extension for tasks is not offered",
}

# Single checks of scenarios that do apply.
CHECK_DOES_NOT_APPLY = {
    "sep-2575-server-rejects-undeclared-capability": EXAMPLE,
    "sep-2575-missing-capability-http-400": EXAMPLE,
    "sep-2575-http-server-no-independent-requests-on-stream": EXAMPLE,
    "sep-2575-server-no-log-without-loglevel": EXAMPLE,
    "sep-2549-prompts-list-caching-hints": NO_PROMPTS,
    "sep-2549-resources-list-caching-hints": NO_RESOURCES,
    "sep-2549-resources-templates-list-caching-hints": NO_RESOURCES,
}

Results = Mapping[str, list[dict[str, Any]]]  # the checks of each scenario

pytestmark = pytest.mark.timeout(600)


def suite(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The suite fails as a whole, since it runs what does not apply: its results are judged here."""
    npx = shutil.which("npx") or pytest.skip("There is no npx on this machine: install Node.js.")
    return subprocess.run([npx, "--yes", *SUITE, *arguments], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The suite knows no API key, and plays the page of an allowed origin."""

    def without_key(template: Template) -> None:
        template["Parameters"]["McpAllowedOrigins"]["Default"] = stack.url
        function = template["Resources"]["ServeMcpFunction"]["Properties"]
        function["Environment"]["Variables"]["LOCAL_OWNER"] = "suite"
        for event in function["Events"].values():
            event["Properties"]["Auth"] = {"ApiKeyRequired": False}

    stack = Stack(simulator=Simulator(behaviour=Behaviour(latency=0.1)), change=without_key)
    with stack:
        yield f"{stack.url}/mcp"


@pytest.fixture(scope="module")
def results(url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Results]:
    """All that the suite runs for one revision of the protocol."""
    if (fetched := suite("--version")).returncode:
        pytest.skip(f"The suite cannot be fetched or run: {fetched.stderr.strip()[-300:]}")

    @cache
    def of(revision: str) -> Results:
        folder = tmp_path_factory.mktemp("results")
        ran = suite("server", "--url", url, "--requirements", revision, "--output-dir", str(folder))
        found = {_scenario(path): json.loads(path.read_text()) for path in folder.glob("*/checks.json")}
        assert found, ran.stdout + ran.stderr
        return found

    return of


def _scenario(checks: Path) -> str:
    """From `server-<scenario>-<time>/checks.json`."""
    match = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", checks.parent.name)
    assert match
    return match[1]


@pytest.mark.parametrize(
    ("revision", "scenario"), [(revision, name) for revision in APPLIES for name in APPLIES[revision]]
)
def test_what_applies_passes(results: Callable[[str], Results], revision: str, scenario: str) -> None:
    checks = [check for check in results(revision)[scenario] if check["id"] not in CHECK_DOES_NOT_APPLY]
    assert [check for check in checks if check["status"] not in {"SUCCESS", "INFO", "SKIPPED"}] == []
    assert [check for check in checks if check["status"] == "SUCCESS" and check["id"] != "wire-schema-valid"] != []


@pytest.mark.parametrize("revision", APPLIES)
def test_for_whatever_else_the_suite_runs_there_is_a_reason(results: Callable[[str], Results], revision: str) -> None:
    others = results(revision).keys() - set(APPLIES[revision])
    assert [scenario for scenario in others if not scenario.startswith(tuple(DOES_NOT_APPLY))] == []
