"""`python -m local demo`: one request through the whole stack, until its pictures lie in a folder."""

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
PICTURES = Path("pictures")
PATIENCE = 180  # seconds
POLL_INTERVAL = 0.25
SETTLED = {"succeeded", "failed", "expired"}


class DemoError(Exception):
    """The demonstration did not end with stored pictures."""


def run() -> int:
    started = time.monotonic()
    request = _request()
    with Stack(**options.provider()) as stack, requests.Session() as session:
        _progress(started, f"the stack is up at {stack.url}")
        session.trust_env = False  # a proxy has no business between two processes here
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
    """Submit, wait, and print the task or the problem that was answered instead."""
    answer = session.post(f"{url}/v1/images/generations", json=request, timeout=30)
    if answer.status_code != 202:
        print(_indented(answer))
        raise DemoError(f"The request was refused with status {answer.status_code}.")
    task = answer.json()
    status = None
    while True:
        if task["status"] != status:
            status = task["status"]
            _progress(started, f"task {task['task_id']} is {status}")
        if status in SETTLED or time.monotonic() > started + PATIENCE:
            break
        time.sleep(POLL_INTERVAL)
        task = session.get(f"{url}/v1/tasks/{task['task_id']}", timeout=30).json()
    print(json.dumps(task, indent=2, ensure_ascii=False))
    if status != "succeeded":
        raise DemoError(f"The task is {status} after {time.monotonic() - started:.0f} seconds.")
    return dict(task)


def _save(session: requests.Session, task: dict[str, Any]) -> Iterator[Path]:
    """Read each picture back through its presigned URL. What was recorded about it must be true."""
    PICTURES.mkdir(exist_ok=True)
    for index, image in enumerate(task["images"]):
        if not image["archived"]:
            raise DemoError(f"Image {index} could not be stored; it is still at {image['url']}")
        answer = session.get(image["url"], timeout=30, headers={"x-api-key": None})
        if answer.status_code != 200:
            raise DemoError(f"Image {index} cannot be read: {answer.status_code} {answer.text}")
        extension = _check(answer.content, image)
        path = PICTURES / f"{task['task_id']}-{index}.{extension}"
        path.write_bytes(answer.content)
        yield path
    if not task["images"]:
        raise DemoError("The task has no images.")


def _check(content: bytes, image: dict[str, Any]) -> str:
    """The file name extension of what is really a picture, of the recorded size and number of bytes."""
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        found = (*picture.size, len(content), picture.get_format_mimetype())
        extension = (picture.format or "bin").lower()
    recorded = (image["width"], image["height"], image["bytes"], image["content_type"])
    if found != recorded:
        raise DemoError(f"The stored picture is {found}, but {recorded} is recorded.")
    return {"jpeg": "jpg"}.get(extension, extension)


def _indented(answer: requests.Response) -> str:
    try:
        return json.dumps(answer.json(), indent=2, ensure_ascii=False)
    except ValueError:
        return answer.text


def _progress(started: float, text: str) -> None:
    print(f"{time.monotonic() - started:5.1f} s  {text}", file=sys.stderr)
