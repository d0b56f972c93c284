"""Finds the SAM CLI and runs `sam build` when a source is newer than the last build."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.stack import ROOT

BUILD = ROOT / ".aws-sam/build"
TEMPLATE = BUILD / "template.yaml"
SOURCES = ("functions", "layers")
# The environment in which every function can be imported: clients are created from it, but nothing is called.
IMPORT_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "RETENTION_DAYS": "1",
    **dict.fromkeys(("TASKS_TABLE", "IMAGES_BUCKET", "ARCHIVE_QUEUE_URL", "WEBHOOK_QUEUE_URL", "EVENT_BUS"), "unused"),
}
PYTHON = "python3.13"  # the functions' runtime; the layers are compiled for it


class SamUnavailable(Exception):
    """The SAM CLI, Python 3.13 or a container engine is missing or does not respond."""


class BuildFailed(Exception):
    """`sam build` failed and has printed the reason."""


def find_sam(path: str | None = None) -> str:
    """The SAM CLI at `path`, else at the path in the variable SAM, else on PATH. Raises SamUnavailable."""
    program = path or os.environ.get("SAM") or "sam"
    found = shutil.which(program)
    if found is None:
        raise SamUnavailable(f"{program} not found. Install the AWS SAM CLI, or set the variable SAM to its path.")
    return found


def build(sam: str) -> None:
    """Run `sam build` if the last build is stale, in one process at a time.

    Raises SamUnavailable or BuildFailed.
    """
    BUILD.parent.mkdir(exist_ok=True)
    with (BUILD.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_stale():
            sam_build(sam, ROOT / "template.yaml", BUILD)


def is_stale() -> bool:
    """Whether there is no build or a source is newer than the build."""
    if not TEMPLATE.exists():
        return True
    built = TEMPLATE.stat().st_mtime
    sources = [ROOT / "template.yaml", *(path for folder in SOURCES for path in (ROOT / folder).rglob("*"))]
    return any(path.stat().st_mtime > built for path in sources if path.is_file() and path.suffix != ".pyc")


def sam_build(sam: str, template: Path, into: Path, *options: str) -> None:
    """Run `sam build` with further `options`. Raises SamUnavailable or BuildFailed."""
    command = [sam, "build", "--template", str(template), "--build-dir", str(into), *options]
    if subprocess.run(command, cwd=ROOT, env=environment(), stdout=sys.stderr, check=False).returncode:
        raise BuildFailed


def environment() -> dict[str, str]:
    """The environment of a build: the functions' Python must be on PATH or be the one that runs this process.

    Raises SamUnavailable.
    """
    path = os.environ["PATH"]
    if f"python{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:
        path = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    if not _runs(PYTHON, path):
        raise SamUnavailable(f"`sam build` needs {PYTHON} on PATH.")
    return os.environ | {"PATH": path, "SAM_CLI_TELEMETRY": "0"}


def _runs(program: str, path: str) -> bool:
    """Whether a program starts. pyenv's shims are on PATH even if their version is not installed."""
    found = shutil.which(program, path=path)
    return found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
