"""Runs the protocol's official conformance suite against the MCP server, for both supported revisions.

Every scenario that applies to a server with tools only must pass. The others are listed with a reason.
"""

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

# The first release with the 2026 revision. The suite needs a recent Node.js, which npx provides.
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

EXAMPLE = "calls a tool of the suite's example server"
NO_SESSIONS = "the server has no sessions"
NO_INPUT = "no tool requests input from the client"
NO_RESOURCES = "the server has no resources and does not declare the capability"
NO_PROMPTS = "the server has no prompts and does not declare the capability"

# Scenarios by the prefix of their names.
DOES_NOT_APPLY = {
    "tools-call-": EXAMPLE,
    "json-schema-2020-12": EXAMPLE,
    "elicitation-": NO_INPUT,
    "input-required-result-": NO_INPUT,
    "resources-": NO_RESOURCES,
    "sep-2164-resource-not-found": NO_RESOURCES,
    "prompts-": NO_PROMPTS,
    "completion-complete": "the server has no completions and does not declare the capability",
    "logging-set-level": "the server sends no log messages and does not declare the capability",
    "http-custom-header-server-validation": "no tool parameter is mirrored in a header",
    "server-session-lifecycle": NO_SESSIONS,
    "server-sse-multiple-streams": NO_SESSIONS,
    "server-sse-polling": "the server has no streams: every response is JSON",
    "tasks-": "the server does not offer the tasks extension",
}

# Single checks within scenarios that apply.
CHECK_DOES_NOT_APPLY = {
    "sep-2575-server-rejects-undeclared-capability": EXAMPLE,
    "sep-2575-missing-capability-http-400": EXAMPLE,
    "sep-2575-http-server-no-independent-requests-on-stream": EXAMPLE,
    "sep-2575-server-no-log-without-loglevel": EXAMPLE,
    "sep-2549-prompts-list-caching-hints": NO_PROMPTS,
    "sep-2549-resources-list-caching-hints": NO_RESOURCES,
    "sep-2549-resources-templates-list-caching-hints": NO_RESOURCES,
}

Results = Mapping[str, list[dict[str, Any]]]  # checks by scenario

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]


def suite(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Ignore the exit code: it covers scenarios that do not apply. The tests evaluate the results."""
    npx = shutil.which("npx") or pytest.skip("Install Node.js, which provides npx.")
    return subprocess.run([npx, "--yes", *SUITE, *arguments], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The MCP URL of a stack that needs no API key and allows its own origin, since the suite sends that."""

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
    """The results by revision of the protocol."""
    if (fetched := suite("--version")).returncode:
        pytest.skip(f"npx cannot fetch or run the suite: {fetched.stderr.strip()[-300:]}")

    @cache
    def results_of(revision: str) -> Results:
        folder = tmp_path_factory.mktemp("results")
        ran = suite("server", "--url", url, "--requirements", revision, "--output-dir", str(folder))
        found = {_scenario(path): json.loads(path.read_text()) for path in folder.glob("*/checks.json")}
        assert found, ran.stdout + ran.stderr
        return found

    return results_of


def _scenario(checks: Path) -> str:
    """The scenario in `server-<scenario>-<time>/checks.json`."""
    match = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", checks.parent.name)
    assert match
    return match[1]


@pytest.mark.parametrize(
    ("revision", "scenario"), [(revision, name) for revision in APPLIES for name in APPLIES[revision]]
)
def test_applicable_scenario_passes(results: Callable[[str], Results], revision: str, scenario: str) -> None:
    checks = [check for check in results(revision)[scenario] if check["id"] not in CHECK_DOES_NOT_APPLY]
    assert [check for check in checks if check["status"] not in {"SUCCESS", "INFO", "SKIPPED"}] == []
    assert [check for check in checks if check["status"] == "SUCCESS" and check["id"] != "wire-schema-valid"] != []


@pytest.mark.parametrize("revision", APPLIES)
def test_other_scenarios_are_listed_with_a_reason(results: Callable[[str], Results], revision: str) -> None:
    others = results(revision).keys() - set(APPLIES[revision])
    assert [scenario for scenario in others if not scenario.startswith(tuple(DOES_NOT_APPLY))] == []
