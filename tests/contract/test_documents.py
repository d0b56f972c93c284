"""The documents agree with the repository: links, paths, commands, codes, parameters, metrics, alarms and figures."""

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from fluxgate import errors
from tests.harness import ROOT

PACKAGE = ROOT / "layers/fluxgate/python/fluxgate"
README_LINES = 150
FILES = (".py", ".md", ".toml", ".yaml")  # named without a folder, or from a folder that does not exist
MCP_METHODS = {"tools/list", "tools/call"}  # look like files in tools/

_FENCE = re.compile(r"^( *)(```+)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|^\[[^\]]+\]: +(\S+)", re.MULTILINE)
_PLACEHOLDER = re.compile(r"<[^>]*>|…")
_PATH = re.compile(r"[\w.*{},-]+(?:/[\w.*{},-]+)*/?")


@cache
def tracked() -> frozenset[str]:
    """Files of the repository, and those that are about to be added to it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return frozenset(path for path in listed if (ROOT / path).is_file())


@cache
def tracked_and_folders() -> frozenset[str]:
    folders = {str(folder) for path in tracked() for folder in Path(path).parents}
    return tracked() | (folders - {"."})


DOCUMENTS = sorted(path for path in tracked() if path.endswith(".md"))
HISTORY = {"CHANGELOG.md"}  # names what earlier releases had
every_document = pytest.mark.parametrize("document", DOCUMENTS)
every_current_document = pytest.mark.parametrize("document", [name for name in DOCUMENTS if name not in HISTORY])


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def section(document: str, heading: str) -> str:
    """The text below a heading of the second level."""
    return text_of(document).split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def inline_code(text: str) -> list[str]:
    return _CODE.findall(prose(text))


def commands(text: str) -> list[str]:
    """Inline code, and the lines of code blocks."""
    return inline_code(text) + [line.strip() for match in _FENCE.finditer(text) for line in match[3].splitlines()]


def first_column(text: str) -> set[str]:
    """Inline code in the first column of tables."""
    return {code for row in re.findall(r"^\| ?(.*?) \|", text, re.MULTILINE) for code in _CODE.findall(row)}


# ---------------------------------------------------------------- links


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(text), re.MULTILINE):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(next(name for name in _numbered(slug) if name not in found))
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def _numbered(slug: str) -> Iterator[str]:
    yield slug
    yield from (f"{slug}-{n}" for n in range(1, 100))


def dead_links(document: str, text: str) -> list[str]:
    dead = []
    for target in (inline or reference for inline, reference in _LINK.findall(_CODE.sub("", prose(text)))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        found = ((ROOT / document).parent / path if path else ROOT / document).resolve()
        known = found.is_relative_to(ROOT.resolve()) and str(found.relative_to(ROOT.resolve())) in tracked_and_folders()
        if not known or (anchor and found.suffix == ".md" and anchor not in anchors(found.read_text(encoding="utf-8"))):
            dead.append(target)
    return dead


@every_document
def test_links_within_the_repository_lead_somewhere(document: str) -> None:
    assert not dead_links(document, text_of(document))


# ---------------------------------------------------------------- files


def _alternatives(path: str) -> list[str]:
    """`{a,b}` written out."""
    group = re.search(r"\{([^{}]*)\}", path)
    if not group:
        return [path]
    return [
        full
        for choice in group[1].split(",")
        for full in _alternatives(path[: group.start()] + choice + path[group.end() :])
    ]


def is_path(code: str) -> bool:
    """Whether inline code names a file or a folder of this repository."""
    path = _PLACEHOLDER.sub("*", code)
    if not _PATH.fullmatch(path) or path in MCP_METHODS:
        return False
    first, slash, _ = path.partition("/")
    return (bool(slash) and first in _tops()) or (path.endswith(FILES) and not path.startswith("."))


@cache
def _tops() -> frozenset[str]:
    in_package = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    return frozenset(path.split("/")[0] for path in tracked() if "/" in path) | in_package


def exists(code: str, document: str = "README.md") -> bool:
    """From the root, from the package, from the document's folder, or, for a bare name, anywhere."""
    return all(_exists(path, document) for path in _alternatives(_PLACEHOLDER.sub("*", code).rstrip("/")))


def _exists(path: str, document: str) -> bool:
    folders = [".", str(PACKAGE.relative_to(ROOT)), str(Path(document).parent)]
    patterns = [_glob(str(Path(folder) / path)) for folder in folders]
    if "/" not in path:
        patterns.append(f".*/{_glob(path)}")
    return any(re.fullmatch(pattern, known) for pattern in patterns for known in tracked_and_folders())


def _glob(pattern: str) -> str:
    """A `*` stands for a part of one name."""
    return "[^/]*".join(re.escape(part) for part in pattern.split("*"))


@every_current_document
def test_files_that_are_named_exist(document: str) -> None:
    assert not [code for code in inline_code(text_of(document)) if is_path(code) and not exists(code, document)]


@every_current_document
def test_modules_that_are_run_exist(document: str) -> None:
    modules = [name for line in commands(text_of(document)) for name in re.findall(r"\bpython3? -m ([\w.]+)", line)]
    ours = [name for name in modules if name.split(".")[0] in _tops()]
    assert not [name for name in ours if importlib.util.find_spec(name) is None]


# ---------------------------------------------------------------- commands


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def called_targets(text: str) -> set[str]:
    return {
        target
        for line in commands(text)
        for target in re.findall(r"(?:^|&& |; |\$ |`)make ([a-z][a-z-]*)\b", line.split(" #")[0])
    }


@every_current_document
def test_make_has_the_targets_that_are_called(document: str) -> None:
    assert not called_targets(text_of(document)) - make_targets()


def test_every_target_is_documented() -> None:
    public = set(re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"help"}
    assert not public - called_targets(section("docs/development.md", "Commands"))


# ---------------------------------------------------------------- contents


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


def test_every_document_is_in_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", text_of("README.md")))
    assert {document for document in DOCUMENTS if document.startswith("docs/")} == linked


def _template() -> dict[str, Any]:
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return template


def public_codes() -> set[tuple[int, str]]:
    """Every status and code that a client can get: from the API document, the gateway and the error classes."""
    document = json.loads((ROOT / "functions/show_page/openapi.json").read_text())
    found = {
        (int(status), code)
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
        for code in _CODE.findall(response["description"])
    }
    for response in _template()["Resources"]["Api"]["Properties"]["GatewayResponses"].values():
        problem = json.loads(response["ResponseTemplates"]["application/json"])
        found.add((int(problem["status"]), problem["code"]))
    return found | {(int(kind.status), kind.code) for kind in _public_errors(errors.FluxgateError)}


def _public_errors(family: type[errors.FluxgateError]) -> Iterator[Any]:
    for kind in family.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from _public_errors(kind)


def test_the_api_reference_has_every_error_code_and_no_other() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", section("docs/api.md", "Errors"), re.MULTILINE)
    assert {(int(status), code) for status, code in rows} == public_codes()


def test_the_api_reference_has_every_route() -> None:
    document = json.loads((ROOT / "functions/show_page/openapi.json").read_text())
    routes = {f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations}
    assert first_column(section("docs/api.md", "Routes")) == routes | {"POST /mcp"}


def test_operations_has_every_parameter_and_output() -> None:
    template = _template()
    assert first_column(section("docs/operations.md", "Parameters")) == template["Parameters"].keys()
    assert first_column(section("docs/operations.md", "Deploy")) == template["Outputs"].keys()


def test_operations_has_every_metric() -> None:
    """ColdStart is Powertools' own."""
    written = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"\b(?:count|milliseconds)\(\s*\"(\w+)\"", path.read_text())
    }
    documented = first_column(section("docs/operations.md", "Metrics"))
    assert written <= documented
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert all(f'"{name}"' in sources for name in documented - {"ColdStart"})


def test_every_alarm_has_a_runbook() -> None:
    alarms = {name for name, it in _template()["Resources"].items() if it["Type"] == "AWS::CloudWatch::Alarm"}
    assert set(re.findall(r"^### (\w+)$", section("docs/operations.md", "Alarms"), re.MULTILINE)) == alarms


def test_log_lines_in_the_runbooks_are_logged() -> None:
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    lines = re.findall(r"`([A-Z][a-z]+(?: [a-z]+)*)`", section("docs/operations.md", "Alarms"))
    assert lines
    assert not [line for line in lines if " " in line and f'"{line}"' not in sources]


def test_resources_that_are_named_exist() -> None:
    """SAM creates the usage plan."""
    template = _template()
    names = re.findall(r"\$\(resource (\w+)\)", text_of("docs/operations.md"))
    assert set(names) <= template["Resources"].keys() | {"ApiUsagePlan"}


def test_performance_has_the_figures_of_the_last_bench() -> None:
    """If not: replace the table's rows by those that are printed here."""
    rows = [_row(figure) for figure in json.loads((ROOT / "bench.json").read_text())["figures"]]
    table = section("docs/performance.md", "Speed and size: `make bench`")
    assert [line for line in table.splitlines() if line.startswith("|")][2:] == rows


def _row(figure: dict[str, Any]) -> str:
    value, other, unit = figure["value"], figure["other"], figure["unit"]
    measured = f"{value:.1f} {unit}" if unit else f"{value:g}"
    against = f"{figure['against']}: {other:.1f} {unit}" if other is not None else ""
    ratio = f"{value / other:.2f}" if other is not None else ""
    return f"| {figure['name']} | {measured} | {against} | {ratio} | ≤ {figure['most']:g} |"


# ---------------------------------------------------------------- the checks themselves


def test_what_the_checks_would_find() -> None:
    text = (
        "# A `b` c: d\n\n## Same\n\n## Same\n\n[x](#a-b-c-d) [y](#nowhere) [z](no-such-file.md) [w](https://e.org)\n\n"
        "`make test` and `make no-such`, to make sure.\n\n```sh\nmake also-none\n```\n"
        "`tests/no_such.py` `tests/harness.py` `functions/<verb_noun>/app.py` `events/<function>.<case>.json`\n"
    )
    assert anchors(text) == {"a-b-c-d", "same", "same-1"}
    assert dead_links("README.md", text.replace("#a-b-c-d", "#try-it")) == ["#nowhere", "no-such-file.md"]
    assert called_targets(text) == {"test", "no-such", "also-none"}
    assert [code for code in inline_code(text) if is_path(code) and not exists(code)] == ["tests/no_such.py"]
    assert not any(map(is_path, ["/openapi.json", "application/json", ".vscode/mcp.json", "GET /v1/tasks", "n/a"]))
    assert is_path("wiring.py")
    assert exists("wiring.py")
    assert not exists("no_such.py")
    assert exists("tests/{unit,functional}")
    assert not exists("tests/{unit,no_such}")
