"""Builds the packages to measure with `sam build`: by the layers' Makefiles, and by SAM's default build method."""

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
    """Deployment packages by folder of `functions/`, unpacked on first use."""

    product: Path
    default: Path

    @classmethod
    def make(cls, sam: str) -> Self:
        """Run `sam build` with each build method."""
        shutil.rmtree(SCRATCH, ignore_errors=True)
        build(sam)
        _build_by_default(sam)
        return cls(BUILD, SCRATCH / "default")

    def function(self, folder: str) -> Package:
        return _package(f"product-{folder}", self.product / logical_id(folder), self.product, DEPENDENCIES, FLUXGATE)

    def by_default(self, folder: str) -> Package:
        return _package(f"default-{folder}", self.default / logical_id(folder), self.default, DEPENDENCIES, FLUXGATE)

    def bare(self, folder: str) -> Package:
        """The bare handler with fluxgate's dependencies layer."""
        return _package(f"bare-{folder}", BARE / folder, self.product, DEPENDENCIES)


def _package(name: str, function: Path, build: Path, *layers: str) -> Package:
    into = SCRATCH / "packages" / name
    if into.exists():
        return Package(into / "task", into / "opt")
    return Package.of(function, [build / layer for layer in layers], into)


def _build_by_default(sam: str) -> None:
    """Build with `BuildMethod: python3.13`, which strips all bytecode. It expects the layers' content one level lower.
    Paths become absolute because the changed template is in another folder."""
    text = (ROOT / "template.yaml").read_text()
    text = re.sub(r"BuildMethod: makefile", f"BuildMethod: python3.13, BuildArchitecture: {architecture()}", text)
    text = text.replace("ContentUri: layers/fluxgate", "ContentUri: layers/fluxgate/python")
    text = re.sub(r"(ContentUri|CodeUri): ", rf"\1: {ROOT}/", text)
    DEFAULT_TEMPLATE.parent.mkdir(exist_ok=True)
    DEFAULT_TEMPLATE.write_text(text)
    sam_build(sam, DEFAULT_TEMPLATE, SCRATCH / "default", "--parameter-overrides", f"Architecture={architecture()}")


def layer_sizes(layer: Path) -> tuple[int, int]:
    """Bytes zipped, as uploaded to Lambda, and unzipped."""
    files = [path for path in layer.rglob("*") if path.is_file()]
    with ZipFile(zipped := BytesIO(), "w", ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(layer))
    return zipped.tell(), sum(path.stat().st_size for path in files)
