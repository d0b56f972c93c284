"""The packages under measurement: what `sam build` makes of the repository, by its Makefiles and by default."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self
from zipfile import ZIP_DEFLATED, ZipFile

from local.build import BUILD, build, sam_build
from local.containers import architecture
from local.sam import logical_id
from local.stack import ROOT
from tests.bench.sandbox import Package

SCRATCH = ROOT / ".aws-sam/bench"
DEFAULT_TEMPLATE = ROOT / ".aws-sam/default.yaml"
BARE = Path(__file__).parent / "bare"
DEPENDENCIES, FLUXGATE = "DependenciesLayer", "FluxgateLayer"


@dataclass(frozen=True)
class Builds:
    """Packages by folder of `functions/`, made on first use."""

    ours: Path
    default: Path

    @classmethod
    def make(cls, sam: str) -> Self:
        """Runs `sam build` twice: by the layers' Makefiles, and with the build method that one gets without them."""
        shutil.rmtree(SCRATCH, ignore_errors=True)
        build(sam)
        _build_by_default(sam)
        return cls(BUILD, SCRATCH / "default")

    def function(self, folder: str) -> Package:
        return _package(f"ours-{folder}", self.ours / logical_id(folder), self.ours, DEPENDENCIES, FLUXGATE)

    def by_default(self, folder: str) -> Package:
        return _package(f"default-{folder}", self.default / logical_id(folder), self.default, DEPENDENCIES, FLUXGATE)

    def bare(self, folder: str) -> Package:
        """The bare handler, with the dependencies that fluxgate has."""
        return _package(f"bare-{folder}", BARE / folder, self.ours, DEPENDENCIES)


def _package(name: str, function: Path, build: Path, *layers: str) -> Package:
    into = SCRATCH / "packages" / name
    if into.exists():
        return Package(into / "task", into / "opt")
    return Package.of(function, [build / layer for layer in layers], into)


def _build_by_default(sam: str) -> None:
    """The same code by `BuildMethod: python3.13`, which strips all bytecode. It wants the layers' content one level
    lower, and all paths beside the template, which therefore are made absolute."""
    text = (ROOT / "template.yaml").read_text()
    text = re.sub(r"BuildMethod: makefile", f"BuildMethod: python3.13, BuildArchitecture: {architecture()}", text)
    text = text.replace("ContentUri: layers/fluxgate", "ContentUri: layers/fluxgate/python")
    text = re.sub(r"(ContentUri|CodeUri): ", rf"\1: {ROOT}/", text)
    DEFAULT_TEMPLATE.parent.mkdir(exist_ok=True)
    DEFAULT_TEMPLATE.write_text(text)
    sam_build(sam, DEFAULT_TEMPLATE, SCRATCH / "default", "--parameter-overrides", f"Architecture={architecture()}")


def layer_sizes(layer: Path) -> tuple[int, int]:
    """In bytes: zipped, as Lambda takes it, and unzipped."""
    files = [path for path in layer.rglob("*") if path.is_file()]
    with ZipFile(zipped := BytesIO(), "w", ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(layer))
    return zipped.tell(), sum(path.stat().st_size for path in files)
