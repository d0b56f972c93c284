"""The layers that `sam build` produces."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from local.build import BUILD, PYTHON, environment
from local.stack import ROOT
from tests.bench.builds import layer_sizes
from tests.container import imports
from tests.harness import called_services

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600), pytest.mark.usefixtures("sam")]

DEPENDENCIES = BUILD / "DependenciesLayer/python"
FLUXGATE = BUILD / "FluxgateLayer/python"

LAYERS = {"dependencies": "DependenciesLayer", "fluxgate": "FluxgateLayer"}
both_layers = pytest.mark.parametrize("layer", LAYERS)

# Megabytes zipped and unpacked, 20 % above the sizes when this was written, to detect unintended growth.
MAX_SIZES = {"dependencies": (14.0, 41.0), "fluxgate": (0.3, 0.6)}


def make(
    layer: str, artifacts: Path, environment: dict[str, str], umask: int = 0o022
) -> subprocess.CompletedProcess[str]:
    """Build a layer with its Makefile from a copy of its folder, as `sam build` does."""
    source = shutil.copytree(ROOT / "layers" / layer, artifacts.parent / f"source-{layer}")
    program = shutil.which("make")
    assert program
    command = [program, f"build-{LAYERS[layer]}", f"ARTIFACTS_DIR={artifacts}"]
    return subprocess.run(
        command, cwd=source, env=environment, umask=umask, capture_output=True, text=True, check=False
    )


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Mode and hash by path."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in folder.rglob("*")
    }


def test_build_contains_extensions_for_both_architectures() -> None:
    extensions = {path.name for path in DEPENDENCIES.rglob("*.so")}
    for_x86 = {name for name in extensions if "x86_64" in name}
    assert {name.replace("x86_64", "aarch64") for name in for_x86} == extensions - for_x86
    assert "_pydantic_core.cpython-313-x86_64-linux-gnu.so" in for_x86


@both_layers
def test_every_module_has_the_bytecode_of_its_source(layer: str) -> None:
    folder = BUILD / LAYERS[layer]
    expected = {path.parent / f"__pycache__/{path.stem}.cpython-313.pyc" for path in folder.rglob("*.py")}
    assert expected
    assert set(folder.rglob("*.pyc")) == expected
    check = Path(__file__).with_name("bytecode.py")
    done = subprocess.run([PYTHON, check, folder], env=environment(), capture_output=True, text=True, check=True)
    assert not done.stdout


def test_packages_keep_the_metadata_that_scanners_read() -> None:
    kept = {path.name for path in DEPENDENCIES.glob("*.dist-info/*")}
    assert kept <= {"METADATA", "licenses"}
    assert len(list(DEPENDENCIES.glob("pydantic-*.dist-info/METADATA"))) == 1


def test_layers_exclude_unneeded_files() -> None:
    assert not list(DEPENDENCIES.glob("*/tests"))
    assert not (DEPENDENCIES / "bin").exists()
    assert not [path for name in ("*.pyi", "*.c", "swagger-ui*") for path in DEPENDENCIES.rglob(name)]
    assert {path.name for path in FLUXGATE.iterdir()} == {"fluxgate"}


def test_botocore_contains_only_the_called_services() -> None:
    data = DEPENDENCIES / "botocore/data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == called_services()
    assert not list(data.rglob("*.gz"))


@both_layers
def test_layer_size_is_within_its_limit(layer: str) -> None:
    sizes = [size / 1e6 for size in layer_sizes(BUILD / LAYERS[layer])]
    assert all(size <= limit for size, limit in zip(sizes, MAX_SIZES[layer], strict=True)), f"{sizes} MB"


@both_layers
def test_an_unchanged_layer_is_the_same_wherever_it_is_built(layer: str, tmp_path: Path) -> None:
    """Else each deployment would make a new version of it. `sam build` has made one; this one has another folder,
    file modes and hashes of strings."""
    other = environment() | {"PYTHONHASHSEED": "7"}
    done = make(layer, tmp_path / "somewhere else/artifacts", other, umask=0o077)
    assert done.returncode == 0, done.stderr
    first, second = contents(BUILD / LAYERS[layer]), contents(tmp_path / "somewhere else/artifacts")
    assert not {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)}


@both_layers
@pytest.mark.parametrize("program", [None, "exit 127", "exit 0", "echo 3.12"], ids=["none", "fails", "idle", "older"])
def test_build_without_the_functions_python_names_the_remedy(layer: str, program: str | None, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if program:
        (programs / PYTHON).write_text(f"#!/bin/sh\n{program}\n")
        (programs / PYTHON).chmod(0o755)
    done = make(layer, tmp_path / "artifacts", {"PATH": str(programs)})
    assert done.returncode
    assert f"Install Python {PYTHON.removeprefix('python')} and put its folder first on PATH." in done.stderr
    assert not (tmp_path / "artifacts").exists()


def test_functions_import_only_the_listed_modules() -> None:
    listed, found = imports.read_list(), imports.collect()
    changes = [
        f"{name}: imported by {found.get(name, 'none')}; listed for {listed.get(name, 'none')}"
        for name in sorted(listed.keys() | found.keys())
        if listed.get(name) != found.get(name)
    ]
    advice = "Each import lengthens cold starts. If the change is intended, run `make imports`."
    assert not changes, "\n".join([*changes, advice])
