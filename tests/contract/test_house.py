"""The folder house: what belongs together is together, and imports go one way."""

import ast
import json
import re
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.harness import EVENTS, ROOT, called_services

FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").exists())
SCHEDULED = {"reconcile_tasks"}  # a schedule has nothing to say that could be wrong
PACKAGE = ROOT / "layers/fluxgate/python/fluxgate"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the bottom up: a module imports only from its own level and those before it.
LEVELS: list[set[str]] = [
    {"errors", "catalogue", "settings", "telemetry"},
    {"aws", "http"},
    {"tasks", "providers", "wire"},
    {"submission", "outcomes", "images"},
    {"workflows"},
    {"api", "mcp"},
    {"wiring"},
]
# Functions whose job is a protocol or files: what they call instead of a workflow of their own.
WITHOUT_WORKFLOW = {"serve_mcp": "mcp/adapter.py", "show_page": "api/files.py"}


def camel(name: str) -> str:
    return name.title().replace("_", "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_five_places(name: str) -> None:
    assert f"  {camel(name)}Function:\n" in (ROOT / "template.yaml").read_text()
    assert (PACKAGE / WITHOUT_WORKFLOW.get(name, f"workflows/{name}.py")).exists()
    cases = [path.name.split(".")[1] for path in EVENTS.glob(f"{name}.*.json")]
    assert any(case.startswith("good_") for case in cases)
    assert name in SCHEDULED or any(case.startswith("bad_") for case in cases)
    assert (ROOT / f"tests/functional/test_{name}.py").exists()


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"show_page"}))
def test_a_function_makes_its_clients_while_it_starts(name: str) -> None:
    assert "\nwiring.prepare(" in (ROOT / f"functions/{name}/app.py").read_text()


def test_every_event_belongs_to_a_function_and_is_json() -> None:
    for path in EVENTS.iterdir():
        function, case, suffix = path.name.split(".")
        assert function in FUNCTIONS
        assert case.startswith(("good_", "bad_"))
        assert suffix == "json"
        assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_handler_file_is_a_door(name: str) -> None:
    """No branches, no error handling, no AWS, no environment; and its docstring says what it is."""
    tree = ast.parse((ROOT / f"functions/{name}/app.py").read_text())
    assert ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.Try | ast.For | ast.While)]
    assert not _imports(tree) & {"boto3", "os", "requests", "botocore"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    own_rank = _rank(own)
    # What is imported for types alone does not run.
    for imported in _imports(ast.parse(path.read_text()), package="fluxgate"):
        if imported != own:
            assert _rank(imported) <= own_rank, f"{own} imports {imported}"


def _rank(module: str) -> int:
    (rank,) = (n for n, modules in enumerate(LEVELS) if module in modules)
    return rank


def _imports(tree: ast.AST, package: str | None = None) -> set[str]:
    """Top-level names of what is imported at run time; with `package`, of its own modules."""
    found = set()
    for node in _running(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == package else {node.module}
            )
    if package:
        return {name.split(".")[1] for name in found if name.startswith(f"{package}.")}
    return {name.split(".")[0] for name in found}


def _running(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return []
    return [node, *(inner for child in ast.iter_child_nodes(node) for inner in _running(child))]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_in_one_sentence_what_it_alone_knows(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_workflows_see_no_events_no_status_codes_and_no_environment() -> None:
    for path in (PACKAGE / "workflows").glob("*.py"):
        assert not _imports(ast.parse(path.read_text())) & {"os", "http", "aws_lambda_powertools", "boto3"}
        assert not _imports(ast.parse(path.read_text()), package="fluxgate") & {
            "settings",
            "wiring",
            "api",
            "problems",
            "events",
        }


def pinned(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text().splitlines()
    return dict(match.groups() for line in lines if (match := re.match(r"([a-z0-9_.\[\]-]+)==(\S+)", line)))  # type: ignore[misc]


def test_one_version_of_each_package_everywhere() -> None:
    layer, local, tests = (
        pinned(path)
        for path in ("layers/dependencies/requirements.txt", "local/requirements.txt", "tests/requirements.txt")
    )
    assert layer.items() <= local.items() <= tests.items()


LOCKS = [*ROOT.glob("*/requirements*.txt"), *ROOT.glob("*/*/requirements.txt")]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_locks_have_hashes_and_no_addresses(path: Path) -> None:
    text = path.read_text()
    assert text.count("==") > 10
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "--index" not in text


def test_the_layers_are_built_for_the_templates_runtime() -> None:
    runtime = yaml_parse((ROOT / "template.yaml").read_text())["Globals"]["Function"]["Runtime"]
    for layer in ("dependencies", "fluxgate"):
        assert f"RUNTIME_PYTHON := {runtime}\n" in (ROOT / f"layers/{layer}/Makefile").read_text()


def test_the_layer_keeps_the_models_of_the_services_that_are_called() -> None:
    """To call another service, add it to SERVICES in layers/dependencies/Makefile."""
    (kept,) = re.findall(r"^SERVICES := (.*)$", (ROOT / "layers/dependencies/Makefile").read_text(), re.MULTILINE)
    assert kept.split() == sorted(called_services())
