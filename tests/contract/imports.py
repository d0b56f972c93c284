"""What modules of the package import at run time, read from their source."""

import ast
from collections.abc import Iterator

from tests.harness import ROOT

PACKAGE = ROOT / "layers/fluxgate/python/fluxgate"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        path.read_text()
    )
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported_packages(tree: ast.AST) -> set[str]:
    """Top-level names."""
    return {name.split(".")[0] for name in _imports(tree, into_functions=True)}


def imported_modules(module: str, *, into_functions: bool) -> set[str]:
    """Modules of the package, with or without imports inside functions."""
    names = set(_imports(MODULES[module], into_functions=into_functions))
    found = {name if name in MODULES else name.rpartition(".")[0] for name in names if name.startswith("fluxgate.")}
    return found - {"fluxgate"}


def _imports(tree: ast.AST, *, into_functions: bool) -> Iterator[str]:
    """`a.b` for `import a.b`, `a.b.c` for `from a.b import c`. Imports for types alone do not run."""
    for node in _running(tree, into_functions=into_functions):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running(node: ast.AST, *, into_functions: bool) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.FunctionDef) and not into_functions:
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _running(child, into_functions=into_functions)
