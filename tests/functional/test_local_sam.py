"""Checks before `sam` runs: the container engine, the SAM CLI and whether the build is stale."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import build, containers
from local.providers.listener import HttpRequest, HttpResponse, Listener

IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"


@contextmanager
def engine_with(responses: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine with responses for some paths."""

    def respond(request: HttpRequest) -> HttpResponse:
        found = request.path in responses
        body = responses.get(request.path, {"message": "no such image"})
        return HttpResponse(200 if found else 404, "application/json", json.dumps(body).encode())

    listener = Listener(respond, "127.0.0.1", 0)
    listener.start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{listener.port}")
    yield
    listener.close()


@pytest.mark.parametrize(
    ("component", "expected"), [("Podman Engine", containers.PODMAN), ("Engine", containers.DOCKER)]
)
def test_an_engine_is_identified_by_its_components(
    component: str, expected: containers.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_with({"/version": {"Components": [{"Name": component}]}}, monkeypatch):
        assert containers.engine() == expected


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "unix:///no/such.sock", "ssh://nowhere.invalid"])
def test_an_engine_that_does_not_respond_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    assert containers.engine() is None
    assert not containers.has_image(IMAGE)


def test_has_image_asks_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_with({f"/images/{IMAGE}/json": {"Id": "sha256:1"}}, monkeypatch):
        assert containers.has_image(IMAGE)
        assert not containers.has_image("another")


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", "x86_64"), ("AMD64", "x86_64"), ("aarch64", "arm64")])
def test_architectures_have_lambdas_names(machine: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert containers.architecture() == expected


def test_sam_is_found_by_argument_by_variable_or_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("sam", "other"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SAM", raising=False)
    assert build.find_sam() == str(tmp_path / "sam")
    monkeypatch.setenv("SAM", "other")
    assert build.find_sam() == str(tmp_path / "other")
    assert build.find_sam(str(tmp_path / "sam")) == str(tmp_path / "sam")
    with pytest.raises(build.SamUnavailable, match="missing not found"):
        build.find_sam("missing")


@pytest.mark.parametrize("source", ["template.yaml", "functions/submit_task/app.py", "layers/fluxgate/Makefile"])
def test_a_build_is_stale_if_a_source_is_newer(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = tmp_path / ".aws-sam/build/template.yaml"
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "TEMPLATE", built)
    for path in (tmp_path / "template.yaml", tmp_path / source):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert build.is_stale()
    built.parent.mkdir(parents=True)
    built.touch()
    assert not build.is_stale()
    (tmp_path / source).with_suffix(".pyc").touch()
    later = time.time() + 10
    os.utime((tmp_path / source).with_suffix(".pyc"), (later, later))
    assert not build.is_stale()
    os.utime(tmp_path / source, (later, later))
    assert build.is_stale()
