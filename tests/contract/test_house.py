"""Each function has its five places, and its handler is a thin adapter."""

import ast
import json
from pathlib import Path

import pytest

from tests.contract.imports import PACKAGE, imported_packages
from tests.harness import EVENTS, ROOT

FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").exists())
WITHOUT_BAD_EVENTS = {"reconcile_tasks"}  # its schedule sends no data
# Functions that serve a protocol or files have no workflow of their own.
WITHOUT_WORKFLOW = {"serve_mcp": "mcp/adapter.py", "show_page": "api/files.py"}
WITHOUT_COLD_START = {"show_page"}  # it creates no clients


def handler(name: str) -> str:
    return (ROOT / f"functions/{name}/app.py").read_text()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_resource_workflow_events_and_tests(name: str) -> None:
    resource = name.title().replace("_", "") + "Function"
    assert f"  {resource}:\n" in (ROOT / "template.yaml").read_text()
    assert (PACKAGE / WITHOUT_WORKFLOW.get(name, f"workflows/{name}.py")).exists()
    cases = [path.name.split(".")[1] for path in EVENTS.glob(f"{name}.*.json")]
    assert any(case.startswith("good_") for case in cases)
    assert name in WITHOUT_BAD_EVENTS or any(case.startswith("bad_") for case in cases)
    assert (ROOT / f"tests/functional/test_{name}.py").exists()


def test_every_workflow_belongs_to_a_function() -> None:
    workflows = {path.stem for path in (PACKAGE / "workflows").glob("*.py")} - {"__init__"}
    assert workflows == set(FUNCTIONS) - WITHOUT_WORKFLOW.keys()


def test_every_event_is_json_and_belongs_to_a_function() -> None:
    for path in EVENTS.iterdir():
        function, case, suffix = path.name.split(".")
        assert function in FUNCTIONS
        assert case.startswith(("good_", "bad_"))
        assert suffix == "json"
        assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - WITHOUT_COLD_START))
def test_a_function_begins_its_cold_start_first_and_creates_its_clients_during_it(name: str) -> None:
    _docstring, first_import, first_call, *_ = ast.parse(handler(name)).body
    assert ast.unparse(first_import) == "from fluxgate import coldstart"
    assert ast.unparse(first_call) == "coldstart.begin()"
    assert "\ncoldstart.ready(" in handler(name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_has_no_branches_no_error_handling_no_aws_and_no_environment(name: str) -> None:
    tree = ast.parse(handler(name))
    assert ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.Try | ast.For | ast.While)]
    assert not imported_packages(tree) & {"boto3", "os", "requests", "botocore"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
