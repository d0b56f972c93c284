"""Each program in examples/ works as it stands against the stack."""

import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from uuid import uuid4

import pytest

from fluxgate.tasks.model import Status
from fluxgate.tasks.store import TaskStore
from local.providers.acedata import Behaviour
from local.stack import ROOT, Stack
from tests.e2e.client import Client, fetch
from tests.waiting import wait_for

LIMIT = 120  # seconds
PYTHON = (sys.executable, "-W", "error")
TYPESCRIPT = (("node", "--experimental-strip-types"), ("tsx",))


def curl() -> Sequence[str]:
    if missing := [name for name in ("bash", "curl", "jq") if not shutil.which(name)]:
        pytest.skip(f"needs {' and '.join(missing)}; on Debian: apt-get install {' '.join(missing)}")
    return ("bash", "examples/curl/generate.sh")


def python() -> Sequence[str]:
    return (*PYTHON, "examples/python/generate.py")


def typescript() -> Sequence[str]:
    for command in TYPESCRIPT:
        if shutil.which(command[0]) and _runs(*command, "--version"):
            return (*command, "examples/typescript/generate.ts")
    pytest.skip("needs Node.js 22.6 or newer (https://nodejs.org), or tsx: npm install --global tsx")


def _runs(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=LIMIT, check=False).returncode == 0


@pytest.fixture(params=[curl, python, typescript], ids=lambda command: command.__name__)
def generate(request: pytest.FixtureRequest) -> Sequence[str]:
    """The command of an example that generates an image. Skips where its interpreter is missing."""
    command: Sequence[str] = request.param()
    return command


def environment(stack: Stack, key: str = "local-key", **variables: str) -> dict[str, str]:
    return {**os.environ, "no_proxy": "*", "FLUXGATE_URL": stack.url, "FLUXGATE_KEY": key, **variables}


def run(command: Sequence[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=LIMIT, check=False)


def is_an_image(url: str) -> bool:
    response = fetch(url)
    return (response.status_code, response.headers["Content-Type"]) == (200, "image/png")


def test_an_example_prints_the_url_of_an_image(stack: Stack, generate: Sequence[str]) -> None:
    example = run((*generate, "A red fox"), environment(stack))
    assert example.returncode == 0, example.stderr
    (url,) = example.stdout.splitlines()
    assert is_an_image(url)


@pytest.mark.parametrize(
    ("prompt", "key", "message"),
    [("", "local-key", r"invalid_request: .*\n  prompt: "), ("A red fox", "wrong", "invalid_api_key: ")],
)
def test_an_example_explains_a_problem_response(
    stack: Stack, generate: Sequence[str], prompt: str, key: str, message: str
) -> None:
    example = run((*generate, prompt), environment(stack, key))
    assert (example.returncode, example.stdout) == (1, "")
    assert re.search(f"^{message}", example.stderr, re.MULTILINE)


def test_an_example_explains_why_a_task_failed(stack: Stack, generate: Sequence[str]) -> None:
    assert stack.simulator
    prompt = f"A red fox, {uuid4()}"
    stack.simulator.behave(stack.simulator.behaviour.but(image_count=0), when=lambda body: body["prompt"] == prompt)
    example = run((*generate, prompt), environment(stack))
    assert (example.returncode, example.stdout) == (1, "")
    assert re.search(r"^[0-9a-f-]{36} failed: \w+: ", example.stderr, re.MULTILINE)


@pytest.mark.exhaustive
def test_an_example_reports_an_expired_task(stack: Stack, generate: Sequence[str], tasks: TaskStore) -> None:
    assert stack.simulator
    prompt = f"A red fox, {uuid4()}"
    stack.simulator.behave(Behaviour(latency=math.inf), when=lambda body: body["prompt"] == prompt)
    command, variables = (*generate, prompt), environment(stack)
    with subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True) as example:
        (task,) = wait_for(lambda: [task for task in tasks.list("local", None, 20, None)[0] if task.prompt == prompt])
        wait_for(lambda: tasks.get(task.task_id).status is Status.SUBMITTED)
        tasks.transition(task.task_id, Status.EXPIRED)
        _, message = example.communicate(timeout=LIMIT)
    stack.simulator.release()
    assert example.returncode == 1
    assert message.splitlines()[-1] == f"{task.task_id} expired"


def test_the_python_example_polls_a_task_that_outlasts_the_request(stack: Stack) -> None:
    example = run((*python(), "A red fox"), environment(stack, FLUXGATE_WAIT="0"))
    assert example.returncode == 0, example.stderr
    assert is_an_image(example.stdout.strip())


@pytest.fixture
def receiver(stack: Stack) -> Iterator[subprocess.Popen[str]]:
    command = (*PYTHON, "examples/python/verify_webhook.py")
    variables = environment(stack, PORT="0")
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as receiver:
        yield receiver
        receiver.terminate()


def test_the_webhook_example_accepts_signed_webhooks_only(
    stack: Stack, client: Client, receiver: subprocess.Popen[str]
) -> None:
    assert receiver.stdout
    _, url = receiver.stdout.readline().strip().split(" webhooks to ")
    forged = {"webhook-id": "1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,Zm9yZ2Vk"}
    with Client(url, key="none") as forger:
        assert forger.request("POST", "", data=b"{}", headers=forged).status_code == 401
    assert receiver.stdout.readline() == "Refused: No matching signature found\n"
    task_id = client.generate(callback_url=url).json()["task_id"]
    assert receiver.stdout.readline() == f"task.succeeded {task_id} succeeded\n"
