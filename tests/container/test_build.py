"""What `sam build` makes of the layers."""

from pathlib import Path

import pytest

from local.build import BUILD

pytestmark = [pytest.mark.container, pytest.mark.timeout(600), pytest.mark.usefixtures("sam")]

DEPENDENCIES = BUILD / "DependenciesLayer/python"
FLUXGATE = BUILD / "FluxgateLayer/python"
UNCHECKED_HASH = b"\x01\x00\x00\x00"  # the flags of a .pyc that is never compared with its source (PEP 552)


def compiled(layer: Path) -> dict[Path, Path]:
    """Source by the place of its bytecode."""
    return {source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc": source for source in layer.rglob("*.py")}


def test_one_build_serves_both_architectures() -> None:
    extensions = {path.name for path in DEPENDENCIES.rglob("*.so")}
    for_x86 = {name for name in extensions if "x86_64" in name}
    assert {name.replace("x86_64", "aarch64") for name in for_x86} == extensions - for_x86
    assert "_pydantic_core.cpython-313-x86_64-linux-gnu.so" in for_x86


@pytest.mark.parametrize("layer", [DEPENDENCIES, FLUXGATE], ids=["dependencies", "fluxgate"])
def test_every_module_comes_with_bytecode_that_is_never_checked(layer: Path) -> None:
    bytecode = {path: path.read_bytes()[4:8] for path in layer.rglob("*.pyc")}
    assert bytecode
    assert bytecode.keys() == compiled(layer).keys()
    assert set(bytecode.values()) == {UNCHECKED_HASH}


def test_packages_can_be_recognised_by_scanners() -> None:
    kept = {path.name for path in DEPENDENCIES.glob("*.dist-info/*")}
    assert kept <= {"METADATA", "licenses"}
    assert len(list(DEPENDENCIES.glob("pydantic-*.dist-info/METADATA"))) == 1


def test_nothing_is_packaged_that_no_function_needs() -> None:
    assert not list(DEPENDENCIES.glob("*/tests"))
    assert not (DEPENDENCIES / "bin").exists()
    assert {path.name for path in FLUXGATE.iterdir()} == {"fluxgate"}
