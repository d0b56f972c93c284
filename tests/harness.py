"""Real handlers in this process, with events from events/, the environment and permissions that template.yaml deploys
into moto's server, and the simulated provider over HTTP."""

from __future__ import annotations

import copy
import gc
import importlib.util
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from boto3.dynamodb.types import TypeDeserializer

from fluxgate import settings, wiring
from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.tasks.items import from_item
from fluxgate.tasks.model import Task
from fluxgate.tasks.store import TaskStore
from fluxgate.wire.requests import allow_local_urls
from local import seeds
from local.providers.acedata import Simulator
from local.stack import Stack
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent
EVENTS = ROOT / "events"
OWNER = "local"  # the API key id in the events
# Shared by all sessions: parsing the service models takes half the time of a cold invocation.
LOADER = botocore.loaders.Loader()
COLD_STARTS = itertools.count(1)

Event = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """The attributes of Lambda's context that Powertools reads."""

    function_name: str
    memory_limit_in_mb: int = 512
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"
    invoked_function_arn: str = field(default="arn:aws:lambda:us-east-1:123456789012:function:fluxgate")

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def called_services() -> set[str]:
    """The AWS services for which wiring.py or the X-Ray SDK creates clients."""
    wiring = ROOT / "layers/fluxgate/python/fluxgate/wiring.py"
    return {"xray", *re.findall(r'\b_client\("([a-z0-9-]+)"', wiring.read_text())}


def event(name: str) -> Event:
    """A fresh copy of `events/<name>.json`."""
    loaded: Event = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


def with_body(event: Event, body: object, **headers: str) -> Event:
    """The event with another body (text unchanged, anything else as JSON) and added headers."""
    changed = copy.deepcopy(event)
    changed["body"] = body if isinstance(body, str) else json.dumps(body)
    for name, value in headers.items():
        changed["headers"][name.replace("_", "-")] = value
        changed["multiValueHeaders"][name.replace("_", "-")] = [value]
    return changed


Queue = Callable[[], list[Any]]  # waits for messages and returns their JSON bodies


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def violations(self) -> dict[str, str]:
        """Messages of problem details by field."""
        return {error["field"]: error["message"] for error in self.body["errors"]}


class Functions:
    """Invokes handlers and records their calls to AWS and their logs."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        assert stack.simulator
        self.stack = stack
        self.simulator: Simulator = stack.simulator
        self.calls: list[str] = []
        self.before_call: Callable[..., Any] = lambda **_: None
        """A botocore `before-call` handler. What it returns, if anything, replaces the response."""
        self._monkeypatch = monkeypatch
        self._capture = capture
        self._logs = ""

    def invoke(self, function: str, event: Event, **environment: str) -> Any:
        """A cold start: the function's environment and role, nothing cached."""
        self._enter(function, environment)
        return _load(function).handler(event, Context(function))

    def invoke_warm(self, function: str, event: Event) -> Any:
        """Another invocation in the environment of the last one."""
        return _load(function).handler(event, Context(function))

    def http(self, function: str, event: Event, **environment: str) -> Response:
        response = self.invoke(function, event, **environment)
        headers = {name.lower(): values[0] for name, values in response.get("multiValueHeaders", {}).items()}
        headers |= {name.lower(): value for name, value in response.get("headers", {}).items()}
        return Response(response["statusCode"], headers, json.loads(response["body"]))

    def seed(self) -> None:
        """Store the tasks that the events refer to, with the status that the events expect."""
        seeds.seed(self.stack, self.simulator, OWNER)

    def stored(self, task_id: str) -> Task:
        """The task as stored in the table."""
        key = {"task_id": {"S": task_id}}
        item = self.stack.client("dynamodb").get_item(TableName=self.stack.deployment.resources["TasksTable"], Key=key)
        return from_item({name: TypeDeserializer().deserialize(value) for name, value in item["Item"].items()})

    def drain(self, queue: str) -> list[Any]:
        """Remove the messages that are visible now and return their JSON bodies. Does not wait."""
        sqs, url = self.stack.client("sqs"), self.stack.deployment.resources[queue]
        bodies = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def queue(self, name: str) -> Queue:
        """Empties the queue first, except for delayed messages."""
        self.drain(name)
        return lambda: wait_for(lambda: self.drain(name))

    def store(self, *tasks: Task) -> None:
        for task in tasks:
            self.tasks.create(task)

    @property
    def tasks(self) -> TaskStore:
        """The table with the deployer's permissions."""
        return TaskStore(Table(self.stack.client("dynamodb"), self.stack.deployment.resources["TasksTable"]), Clock())

    def logs(self) -> str:
        """Everything printed since the test began."""
        captured = self._capture.readouterr()
        self._logs += captured.out + captured.err
        return self._logs

    def log_records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.logs().splitlines() if line.startswith("{")]

    def metrics(self) -> dict[str, float]:
        """Values of all embedded metrics since the test began, by name."""
        found: dict[str, float] = {}
        for record in self.log_records():
            for directive in record.get("_aws", {}).get("CloudWatchMetrics", []):
                for metric in directive["Metrics"]:
                    found[metric["Name"]] = found.get(metric["Name"], 0) + sum(record[metric["Name"]])
        return found

    def _enter(self, function: str, environment: Mapping[str, str]) -> None:
        deployed = self.stack.deployment.functions[function]
        for other in self.stack.deployment.functions.values():
            for name in other.environment:
                self._monkeypatch.delenv(name, raising=False)
        credentials = self.stack.aws.credentials(deployed.role_arn)
        variables = {
            **deployed.environment,
            **credentials.environment,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            **environment,
        }
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)
        forget()
        _collect_garbage()
        core = botocore.session.Session()
        core.register_component("data_loader", LOADER)
        boto3.setup_default_session(botocore_session=core)
        boto3._get_default_session().events.register("before-call", self._record)

    def _record(self, model: Any, **facts: Any) -> Any:
        self.calls.append(f"{model.service_model.service_name}:{model.name}")
        return self.before_call(model=model, **facts)


def forget() -> None:
    """Undo what a cold start leaves in the process: cached adapters and settings, and the validation of URLs."""
    allow_local_urls.set(False)
    for factory in [*vars(wiring).values(), settings.read]:
        if callable(clear := getattr(factory, "cache_clear", None)):
            clear()


def _collect_garbage() -> None:
    """Free what earlier cold starts left.

    Each cold start freezes the heap, so that the clients of all earlier ones would stay in memory: 10 MB each. Freezing
    also resets the collector's counters, so that it never reaches the oldest generation by itself.
    """
    gc.unfreeze()
    if next(COLD_STARTS) % 100 == 0:
        gc.collect()


def _load(function: str) -> ModuleType:
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"functions_{function}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
