"""Locked packages and the layers that carry them."""

import re
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.harness import ROOT, called_services


def pinned(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text().splitlines()
    return dict(match.groups() for line in lines if (match := re.match(r"([a-z0-9_.\[\]-]+)==(\S+)", line)))  # type: ignore[misc]


def test_every_lock_has_the_same_version_of_a_package() -> None:
    layer, local, tests = (
        pinned(path)
        for path in ("layers/dependencies/requirements.txt", "local/requirements.txt", "tests/requirements.txt")
    )
    assert layer.items() <= local.items() <= tests.items()


LOCKS = [*ROOT.glob("*/requirements*.txt"), *ROOT.glob("*/*/requirements.txt")]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_locks_have_hashes_and_no_index_addresses(path: Path) -> None:
    text = path.read_text()
    assert text.count("==") > 10
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "--index" not in text


def test_layers_are_built_for_the_runtime_of_the_template() -> None:
    runtime = yaml_parse((ROOT / "template.yaml").read_text())["Globals"]["Function"]["Runtime"]
    for layer in ("dependencies", "fluxgate"):
        assert f"RUNTIME_PYTHON := {runtime}\n" in (ROOT / f"layers/{layer}/Makefile").read_text()


def test_the_layer_keeps_the_service_models_in_use() -> None:
    """To call another service, add it to SERVICES in layers/dependencies/Makefile."""
    (kept,) = re.findall(r"^SERVICES := (.*)$", (ROOT / "layers/dependencies/Makefile").read_text(), re.MULTILINE)
    assert kept.split() == sorted(called_services())
