"""Lists each function's imports at a cold start. `make imports` writes imports.json; a test compares."""

import json
import os
import subprocess
from pathlib import Path

from local.build import BUILD, IMPORT_ENVIRONMENT, PYTHON, build, environment, find_sam
from local.sam import logical_id
from local.stack import ROOT

LIST = Path(__file__).with_name("imports.json")
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
# -S: ignores this machine's site-packages.
IMPORT = ["-S", "-c", "import os, sys; print(*sys.modules); import app; print(*sys.modules)"]


def read_list() -> dict[str, str]:
    table: dict[str, str] = json.loads(LIST.read_text())
    return table


def collect() -> dict[str, str]:
    """The importing functions, by third-party package or fluxgate module."""
    loaded = {function: _imports_of(function) for function in FUNCTIONS}
    names = sorted(set().union(*loaded.values()))
    return {name: _describe([function for function in FUNCTIONS if name in loaded[function]]) for name in names}


def _imports_of(function: str) -> set[str]:
    """Without the modules that Python itself loads at startup."""
    task = BUILD / logical_id(function)
    path = [task, BUILD / "DependenciesLayer/python", BUILD / "FluxgateLayer/python"]
    # With LAMBDA_TASK_ROOT, Powertools enables tracing and imports its dependencies.
    variables = IMPORT_ENVIRONMENT | {
        "LAMBDA_TASK_ROOT": str(task),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": environment()["PATH"],
    }
    variables["PYTHONPATH"] = os.pathsep.join(str(folder) for folder in path)
    done = subprocess.run([PYTHON, *IMPORT], env=variables, stdout=subprocess.PIPE, text=True, check=True)
    startup, loaded = ({_name(module) for module in line.split()} for line in done.stdout.splitlines())
    return {name for name in loaded - startup - {"app"} if not name.startswith("_")}


def _name(module: str) -> str:
    return module if module.startswith("fluxgate.") else module.partition(".")[0]


def _describe(functions: list[str]) -> str:
    others = [function for function in FUNCTIONS if function not in functions]
    if not others:
        return "all"
    return f"all but {', '.join(others)}" if len(others) < len(functions) else ", ".join(functions)


if __name__ == "__main__":
    build(find_sam())
    LIST.write_text(json.dumps(collect(), indent=1) + "\n")
