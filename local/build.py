"""Where `sam` is, and whether what it has built is still what the sources say."""

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
# An environment in which every function can be imported: of its variables its clients are made, and nobody is called.
IMPORTABLE = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "RETENTION_DAYS": "1",
    **dict.fromkeys(("TASKS_TABLE", "IMAGES_BUCKET", "ARCHIVE_QUEUE_URL", "WEBHOOK_QUEUE_URL", "EVENT_BUS"), "unused"),
}
PYTHON = "python3.13"  # the functions' interpreter, for which the layers are compiled


class SamUnavailable(Exception):
    """Something that is no part of this repository is missing, or does not answer."""


class BuildFailed(Exception):
    """`sam build` did not succeed. It has said why."""


def find_sam(path: str | None = None) -> str:
    """The program at `path`, or that the variable SAM names, or on PATH."""
    wanted = path or os.environ.get("SAM") or "sam"
    found = shutil.which(wanted)
    if found is None:
        raise SamUnavailable(f"There is no {wanted}. Install the AWS SAM CLI, or name it by the variable SAM.")
    return found


def build(sam: str) -> None:
    """Run `sam build` if a source is newer than the last build; one process at a time does.

    Raises SamUnavailable or BuildFailed.
    """
    BUILD.parent.mkdir(exist_ok=True)
    with (BUILD.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_stale():
            sam_build(sam, ROOT / "template.yaml", BUILD)


def is_stale() -> bool:
    """Whether there is no build, or a source is newer."""
    if not TEMPLATE.exists():
        return True
    built = TEMPLATE.stat().st_mtime
    sources = [ROOT / "template.yaml", *(path for folder in SOURCES for path in (ROOT / folder).rglob("*"))]
    return any(path.stat().st_mtime > built for path in sources if path.is_file() and path.suffix != ".pyc")


def sam_build(sam: str, template: Path, into: Path, *options: str) -> None:
    """Run `sam build`, whose `options` may follow. Raises SamUnavailable or BuildFailed."""
    command = [sam, "build", "--template", str(template), "--build-dir", str(into), *options]
    if subprocess.run(command, cwd=ROOT, env=environment(), stdout=sys.stderr, check=False).returncode:
        raise BuildFailed


def environment() -> dict[str, str]:
    """What a build needs: the functions' interpreter is on PATH, if only as the one that runs this.

    Raises SamUnavailable.
    """
    path = os.environ["PATH"]
    if f"python{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:
        path = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    if not _runs(PYTHON, path):
        raise SamUnavailable(f"`sam build` needs {PYTHON} on PATH.")
    return os.environ | {"PATH": path, "SAM_CLI_TELEMETRY": "0"}


def _runs(program: str, path: str) -> bool:
    """Being found is not enough: pyenv puts names on PATH that run nothing."""
    found = shutil.which(program, path=path)
    return found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
