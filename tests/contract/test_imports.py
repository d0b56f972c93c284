"""Imports go down, there are no cycles, and importing the package changes nothing in the process."""

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.contract.imports import MODULES, PACKAGE, imported_modules, imported_packages

# From the bottom up: a module imports from its own level and from those below.
LEVELS: list[set[str]] = [
    {"errors", "catalogue", "settings", "telemetry", "clock", "coldstart"},
    {"aws", "http"},
    {"tasks", "providers", "wire"},
    {"submission", "outcomes", "images", "reconciliation"},
    {"workflows"},
    {"api", "mcp"},
    {"wiring"},
]
READS_ENVIRONMENT = {"fluxgate.settings"}
READS_CLOCK = {"fluxgate.clock"}
SYSTEM_CLOCK = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.sleep"}


def level(module: str) -> int:
    folder = module.split(".")[1]
    (found,) = (number for number, names in enumerate(LEVELS) if folder in names)
    return found


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"fluxgate"}))
def test_imports_go_down(module: str) -> None:
    above = {name for name in imported_modules(module, into_functions=True) if level(name) > level(module)}
    assert above == set()


def test_there_are_no_import_cycles() -> None:
    """Raises CycleError if there is one."""
    TopologicalSorter({module: imported_modules(module, into_functions=False) for module in MODULES}).prepare()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_settings_reads_the_environment_and_only_the_clock_reads_the_time(module: str) -> None:
    tree = MODULES[module]
    if module not in READS_ENVIRONMENT:
        assert "os" not in imported_packages(tree)
    if module not in READS_CLOCK:
        assert not {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & SYSTEM_CLOCK


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("fluxgate.workflows")))
def test_workflows_know_neither_http_nor_lambda_nor_settings(module: str) -> None:
    assert not imported_packages(MODULES[module]) & {"os", "http", "aws_lambda_powertools", "boto3"}
    assert not imported_modules(module, into_functions=True) & {"fluxgate.settings", "fluxgate.wiring"}


# Other packages are imported first: what they change is not ours. LAMBDA_TASK_ROOT makes Powertools trace.
IMPORT_ALL = """
import gc, importlib, json, logging, os, signal, socket, sys, warnings
import aws_lambda_powertools.event_handler.openapi.params, aws_xray_sdk.ext.botocore.patch, boto3, botocore.client
import imagesize, pydantic, requests, requests_hardened

def state():
    levels = [logging.getLogger(name).level for name in ("", "urllib3", "requests_hardened", "botocore", "boto3")]
    return [gc.get_threshold(), gc.get_freeze_count(), list(warnings.filters), dict(os.environ), levels,
            socket.getdefaulttimeout(), signal.getsignal(signal.SIGALRM), sys.path,
            hasattr(botocore.client.BaseClient._make_api_call, "__wrapped__")]

before = repr(state())
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps([before, repr(state())]))
"""


def test_importing_changes_nothing_in_the_process() -> None:
    command = [sys.executable, "-c", IMPORT_ALL, *MODULES]
    environment = {
        "PYTHONPATH": str(PACKAGE.parent),
        "LAMBDA_TASK_ROOT": "/var/task",
        "POWERTOOLS_SERVICE_NAME": "fluxgate",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert before == after
