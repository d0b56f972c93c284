"""The backends of the sandboxes: template.yaml deployed into moto, the simulated provider and an X-Ray daemon."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from local import seeds
from local.aws import REGION
from local.composite import CompositeContext
from local.containers import engine
from local.providers.acedata import Behaviour, Simulator
from local.sam import ALL_INTERFACES
from local.stack import LOOPBACK, Stack
from local.telemetry import XRayDaemon
from tests.harness import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable

IMMEDIATE = Behaviour(callbacks=0, latency=0)


class Backends(CompositeContext):
    """A context manager. With a container engine, all servers listen on addresses that containers can reach."""

    def __init__(self, front: Callable[[str], str] | None = None) -> None:
        """`front` is passed to `Stack`."""
        found = engine()
        host = ALL_INTERFACES if found else LOOPBACK
        self._name = found.host if found else None
        public_url = f"http://{self._name}:{{port}}" if self._name else None
        self.simulator = Simulator(host, public_url=public_url, behaviour=IMMEDIATE)
        self.stack = Stack(host=host, name=self._name, simulator=self.simulator, functions=False, aws_proxy=front)
        self._xray = XRayDaemon(host)

    def _start(self, parts: ExitStack) -> None:
        parts.enter_context(self._xray)
        parts.enter_context(self.stack)
        self.seed()

    def environment(self, function: str) -> dict[str, str]:
        """A function's environment variables and its role's credentials; `function` is a folder's name."""
        deployed = self.stack.deployment.functions[function]
        return {
            **deployed.environment,
            **self.stack.aws.credentials(deployed.role_arn).environment,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed.memory),
            "AWS_XRAY_DAEMON_ADDRESS": f"{self._name or LOOPBACK}:{self._xray.port}",
            "CALLBACK_BASE_URL": "https://callbacks.example.com",
        }

    def seed(self) -> None:
        """Store the tasks of events/ in the state that the events expect."""
        seeds.seed(self.stack, self.simulator, OWNER)
        self._submitted = self._call(self.stack.client("dynamodb").get_item, Key=_key(seeds.SUBMITTED))["Item"]

    def restore_submitted(self) -> None:
        """Reset the task that the callback event is about."""
        self._call(self.stack.client("dynamodb").put_item, Item=self._submitted)

    def _call(self, operation: Callable[..., Any], **parameters: Any) -> Any:
        return operation(TableName=self.stack.deployment.resources["TasksTable"], **parameters)


def _key(task_id: str) -> dict[str, Any]:
    return {"task_id": {"S": task_id}}
