"""The local stack: starts its parts, connects them and stops them in order."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.aws import LocalAws, client_host
from local.composite import CompositeContext
from local.deployment import Deployment, deploy
from local.event_sources import Poller, QueuePoller
from local.http_api import HttpApi
from local.http_server import HttpServer
from local.providers.acedata import Simulator
from local.rest_api import RestApi
from local.runtime import Runtime
from local.scheduler import Scheduler
from local.stream import StreamPoller
from local.telemetry import Logs, XRayDaemon
from local.template import Template, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.deployment import EventSource
    from local.worker import Invocation

ROOT = Path(__file__).parent.parent
LAYER = ROOT / "layers/fluxgate/python"
LOCAL_KEYS = {"local-key": "local"}  # values of API keys to their ids
LOOPBACK = "127.0.0.1"
POLLERS: dict[str, type[Poller]] = {"sqs": QueuePoller, "dynamodb": StreamPoller}


@dataclass(frozen=True)
class Ports:
    """The stack's ports; 0 takes a free one."""

    api: int = 0
    callbacks: int = 0
    aws: int = 0


class Stack(CompositeContext):
    """A context manager. `url` is the API's base URL, `callback_url` the callback API's."""

    url: str
    callback_url: str
    aws: LocalAws
    deployment: Deployment
    runtime: Runtime
    simulator: Simulator | None

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        name: str | None = None,
        ports: Ports = Ports(),
        simulator: Simulator | None = None,
        flux_api_url: str | None = None,
        flux_api_token: str = "simulated",
        callback_base_url: str | None = None,
        api_keys: Mapping[str, str] = LOCAL_KEYS,
        parameters: Mapping[str, str] | None = None,
        template: Path = ROOT / "template.yaml",
        change: Callable[[Template], None] | None = None,
        functions: bool = True,
        time_scale: float = 1,
        aws_proxy: Callable[[str], str] | None = None,
    ) -> None:
        """Every argument is optional.

        `name`: this machine's host name inside containers, if `host` is beyond loopback.
        `simulator`: the provider if there is no `flux_api_url`; by default one with default behaviour.
        `callback_base_url`: where a remote provider reaches this machine.
        `api_keys`: values of API keys to their ids.
        `parameters`: of the template.
        `change`: edits the template before deployment.
        `functions`: False runs only the local AWS and the simulator.
        `time_scale`: divides every delay and schedule interval.
        `aws_proxy`: takes the endpoint of the local AWS and returns the endpoint that the functions use instead.
        """
        self._host, self._name, self._ports = host, name, ports
        self._flux_api_url, self._callback_base_url = flux_api_url, callback_base_url
        self._api_keys = api_keys
        self._parameters = {"FluxApiToken": flux_api_token, **(parameters or {})}
        self._template, self._change, self._with_functions = template, change, functions
        self._time_scale, self._aws_proxy = time_scale, aws_proxy
        self.simulator = simulator
        self.logs = Logs()

    @property
    def traces(self) -> list[dict[str, Any]]:
        """The X-Ray segments that the functions have sent."""
        return list(self._xray.segments)

    def client(self, service: str, role: str | None = None) -> Any:
        """An AWS client with the deployer's credentials, or with the role of the function named `role`."""
        return self.aws.client(service, self.deployment.functions[role].role_arn if role else None)

    def invoke(self, function: str, event: object) -> Invocation:
        return self.runtime.invoke(function, event)

    def _start(self, parts: ExitStack) -> None:
        self.aws = parts.enter_context(LocalAws(self._host, self._ports.aws, name=self._name, log=self.logs.add))
        environment = {
            "ALLOW_LOCAL_URLS": "true",
            "TIME_SCALE": str(self._time_scale),
            "FLUX_API_URL": self._flux_api_url or self._start_simulator(parts),
        }
        if self._with_functions:
            # Before the slow steps, so that a port in use is reported immediately.
            api = parts.enter_context(HttpServer(self._host, self._ports.api))
            callbacks = parts.enter_context(HttpServer(self._host, self._ports.callbacks))
            self.url, self.callback_url = self._url(api), self._url(callbacks)
            environment["CALLBACK_BASE_URL"] = self._callback_base_url or self.callback_url
        template = translate(self._template, self._parameters, self._change)
        self.aws.wait_until_ready()
        endpoint = self.aws.public_endpoint
        environment["AWS_ENDPOINT_URL"] = self._aws_proxy(endpoint) if self._aws_proxy else endpoint
        self.deployment = deploy(self.aws, template, self._parameters, environment, self._template.parent)
        if self._with_functions:
            self._start_functions(parts)
            api.serve(RestApi(self.deployment.rest_api, self.runtime.submit, self._api_keys))
            callbacks.serve(HttpApi(self.deployment.http_api, self.runtime.submit))

    def _start_functions(self, parts: ExitStack) -> None:
        self._xray = parts.enter_context(XRayDaemon())
        self.runtime = Runtime(
            self.deployment.functions,
            self.aws.credentials,
            layer=LAYER,
            xray_address=self._xray.address,
            log=self.logs.add,
        )
        triggers: list[Poller | Scheduler] = [
            *(self._poller(source) for source in self.deployment.event_sources),
            *(Scheduler(schedule, self.invoke, self._time_scale) for schedule in self.deployment.schedules),
        ]
        # Exited in reverse: first the triggers stop, then the workers, which ends running invocations.
        for trigger in triggers:
            parts.callback(trigger.join)
        parts.callback(self.runtime.close)
        for trigger in triggers:
            parts.callback(trigger.stop)
            trigger.start()

    def _poller(self, source: EventSource) -> Poller:
        role = self.deployment.functions[source.function].role_arn
        return POLLERS[source.service](source, partial(self.aws.client, role_arn=role), self.invoke, self.logs.add)

    def _start_simulator(self, parts: ExitStack) -> str:
        public_url = f"http://{self._name}:{{port}}" if self._name else None
        self.simulator = parts.enter_context(self.simulator or Simulator(self._host, public_url=public_url))
        return self.simulator.public_url

    def _url(self, server: HttpServer) -> str:
        return f"http://{self._name or client_host(self._host)}:{server.port}"
