"""The files that a newcomer meets first agree with the repository."""

import json
import re
import tomllib
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from fluxgate import __version__
from tests.harness import ROOT

YAML = sorted(
    path.relative_to(ROOT).as_posix() for path in (*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml")
)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
RUNTIME = yaml_parse((ROOT / "template.yaml").read_text())["Globals"]["Function"]["Runtime"].removeprefix("python")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize("path", YAML)
def test_yaml_files_are_mappings(path: str) -> None:
    assert isinstance(load(path), dict)


def test_the_workflow_runs_the_gate_and_nothing_else() -> None:
    workflow = load(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in job
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)


def test_the_workflow_has_the_oldest_python_as_default_and_the_runtime() -> None:
    (job,) = load(".github/workflows/ci.yml")["jobs"].values()
    (python,) = (step["with"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    oldest = PROJECT["tool"]["mypy"]["python_version"]
    assert python["python-version"].split() == [RUNTIME, oldest]


def test_dependabot_watches_every_directory_with_requirements() -> None:
    pip, actions = load(".github/dependabot.yml")["updates"]
    assert (pip["package-ecosystem"], actions["package-ecosystem"]) == ("pip", "github-actions")
    folders = {path.parent for pattern in ("*", "*/*") for path in ROOT.glob(f"{pattern}/requirements.in")}
    assert set(pip["directories"]) == {f"/{folder.relative_to(ROOT).as_posix()}" for folder in folders}


def test_pre_commit_hooks_are_local_targets_of_make() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].removeprefix("make ") in TARGETS


def test_the_dev_container_has_the_functions_python() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["image"].endswith(f"/python:{RUNTIME}")
    assert container["forwardPorts"] == [3000]


def test_the_package_has_the_projects_version() -> None:
    assert __version__ == PROJECT["project"]["version"]


def test_the_latest_release_in_the_changelog_is_the_projects_version() -> None:
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    unreleased, latest, *_ = headings
    assert unreleased == ("Unreleased", "")
    assert latest[0] == PROJECT["project"]["version"]
    assert latest[1], "a release has a date"


def test_the_license_is_mit() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License\n\nCopyright (c) 2026 The fluxgate authors\n")
