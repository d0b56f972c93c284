"""`python -m local demo`: sends one request through the whole stack and saves its images."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from PIL import Image

from local import options
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

API_KEY = "local-key"
PROMPT = "A lighthouse on a cliff at golden hour, photorealistic"
IMAGES = Path("images")  # in the working directory
TIMEOUT = 180  # seconds
POLL_INTERVAL = 0.25  # seconds
TERMINAL = {"succeeded", "failed", "expired"}


class DemoError(Exception):
    """The demo ended without saved images."""


def run() -> int:
    """Run the demo, configured by environment variables. Returns the exit status.

    Raises options.OptionError and PortInUseError.
    """
    started = time.monotonic()
    request = _request()
    _progress(started, "starting the local stack")
    with Stack(ports=options.ports(), **options.provider()) as stack, requests.Session() as session:
        _progress(started, f"the stack is running at {stack.url}")
        session.trust_env = False  # a proxy cannot reach this machine's ports
        session.headers["x-api-key"] = API_KEY
        try:
            task = _generate(session, stack.url, request, started)
            for path in _save(session, task):
                _progress(started, f"saved {path}")
        except DemoError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def _request() -> dict[str, Any]:
    fields = {"prompt": options.text("PROMPT") or PROMPT, "model": options.text("MODEL"), "size": options.text("SIZE")}
    return {name: value for name, value in {**fields, "count": options.number("COUNT")}.items() if value is not None}


def _generate(session: requests.Session, url: str, request: dict[str, Any], started: float) -> dict[str, Any]:
    """Submit the request and wait for the outcome. Prints the task, or the problem if the request is rejected.

    Raises DemoError if the task has not succeeded within TIMEOUT.
    """
    _progress(started, f"generating: {request['prompt']}")
    response = session.post(f"{url}/v1/images/generations", json=request, timeout=30)
    if response.status_code != 202:
        print(_formatted(response))
        raise DemoError(f"The API rejected the request with status {response.status_code}.")
    task = response.json()
    status = None
    while True:
        if task["status"] != status:
            status = task["status"]
            _progress(started, f"task {task['task_id']} is {status}")
        if status in TERMINAL or time.monotonic() > started + TIMEOUT:
            break
        time.sleep(POLL_INTERVAL)
        task = session.get(f"{url}/v1/tasks/{task['task_id']}", timeout=30).json()
    print(json.dumps(task, indent=2, ensure_ascii=False))
    if status != "succeeded":
        raise DemoError(f"The task is {status} after {time.monotonic() - started:.0f} seconds.")
    return dict(task)


def _save(session: requests.Session, task: dict[str, Any]) -> Iterator[Path]:
    """Download each image by its presigned URL, verify it and write it to IMAGES. Raises DemoError."""
    IMAGES.mkdir(exist_ok=True)
    for index, image in enumerate(task["images"]):
        if not image["archived"]:
            raise DemoError(f"Image {index} was not archived. It is still at {image['url']}")
        response = session.get(image["url"], timeout=30, headers={"x-api-key": None})
        if response.status_code != 200:
            raise DemoError(f"The download of image {index} failed: {response.status_code} {response.text}")
        extension = _verify(response.content, image)
        path = IMAGES / f"{task['task_id']}-{index}.{extension}"
        path.write_bytes(response.content)
        yield path
    if not task["images"]:
        raise DemoError("The task has no images.")


def _verify(content: bytes, recorded: dict[str, Any]) -> str:
    """Decode an image and compare it with the task's record of it. Returns the file name extension."""
    with Image.open(io.BytesIO(content)) as decoded:
        decoded.load()
        actual = (*decoded.size, len(content), decoded.get_format_mimetype())
        extension = (decoded.format or "bin").lower()
    expected = (recorded["width"], recorded["height"], recorded["bytes"], recorded["content_type"])
    if actual != expected:
        raise DemoError(f"The stored image is {actual}, but the task records {expected}.")
    return {"jpeg": "jpg"}.get(extension, extension)


def _formatted(response: requests.Response) -> str:
    try:
        return json.dumps(response.json(), indent=2, ensure_ascii=False)
    except ValueError:
        return response.text


def _progress(started: float, text: str) -> None:
    print(f"{time.monotonic() - started:5.1f} s  {text}", file=sys.stderr)
