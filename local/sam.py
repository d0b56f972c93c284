"""Runs the functions in containers: `sam local` with a local stack that provides AWS and the provider.

`sam local` has no queues, streams or schedules: it invokes one function or serves the APIs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from local.aws import ISOLATED, REGION, LocalAwsError
from local.build import TEMPLATE, BuildFailed, SamUnavailable, build, find_sam
from local.composite import CompositeContext
from local.containers import architecture, engine
from local.providers.acedata import Behaviour, Simulator
from local.stack import LAYER, ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from local.deployment import Function

PORT = 3001
ALL_INTERFACES = "0.0.0.0"  # containers cannot reach loopback
OWNER = "local"  # of tasks submitted through `sam local`, which has no API keys
PROVIDER_IMAGES = "https://cdn.example.com"  # base of the image URLs in events/; replaced by the simulator's
SLOW_CALLBACKS = Behaviour(callback_timeout=60)  # the first callback waits while `sam` builds a container image
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def logical_id(folder: str) -> str:
    """The template's logical id of the function in a folder of functions/."""
    return f"{folder.title().replace('_', '')}Function"


class SamLocal(CompositeContext):
    """A context manager that runs `sam local` against a local AWS and a simulated provider."""

    def __init__(self, sam: str, *, port: int = PORT, options: Sequence[str] = ()) -> None:
        """`port` is for `sam local start-api`; `options` are passed to every `sam local` command.

        Raises SamUnavailable if there is no container engine.
        """
        found = engine()
        if found is None:
            raise SamUnavailable("No container engine responds. Start Docker or Podman, or set DOCKER_HOST.")
        self.url = f"http://127.0.0.1:{port}"
        self.simulator = Simulator(ALL_INTERFACES, public_url=f"http://{found.host}:{{port}}", behaviour=SLOW_CALLBACKS)
        self.stack = Stack(host=ALL_INTERFACES, name=found.host, simulator=self.simulator, functions=False)
        self._sam, self._port = sam, port
        self._options = (*found.options, "--parameter-overrides", f"Architecture={architecture()}", *options)

    def _start(self, parts: ExitStack) -> None:
        build(self._sam)
        parts.enter_context(self.stack)
        self._files = Path(parts.enter_context(tempfile.TemporaryDirectory()))
        self._variables = self._files / "environment.json"
        self._variables.write_text(json.dumps(self._environments()))
        self._credentials = self._make_user()
        self.seed()

    def seed(self) -> None:
        """Create or reset the tasks that the files in events/ refer to."""
        from local.seeds import seed  # noqa: PLC0415 - needs fluxgate, which `main` adds to sys.path

        seed(self.stack, self.simulator, OWNER)

    def invoke(self, function: str, event: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Invoke a function by its logical id with its role's credentials. `options` are for `subprocess.Popen`."""
        role = self._functions()[function].role_arn
        adapted = self._files / event.name
        adapted.write_text(event.read_text().replace(PROVIDER_IMAGES, self.simulator.public_url))
        command = self._command("invoke", function, "--event", str(adapted))
        with self._run(command, self.stack.aws.credentials(role).environment, **options) as process:
            output, errors = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    @contextmanager
    def api(self, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Serve both APIs at `url`. `options` are for `subprocess.Popen`.

        `sam` passes the same credentials to all functions, here those of an administrator. Raises SamUnavailable if
        the port is in use or `sam` does not respond.
        """
        self._check_port()
        with self._run(self._command("start-api", "--port", str(self._port)), self._credentials, **options) as process:
            self._wait_for(process)
            yield process

    @contextmanager
    def _run(self, command: list[str], credentials: dict[str, str], **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Run `sam` until the context exits. In its own process group, so that Ctrl-C reaches only this process."""
        environment = self._environment(credentials)
        with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, process_group=0, **options) as process:
            try:
                yield process
            finally:
                process.terminate()  # `sam` then removes its containers
                process.wait()

    def _command(self, *arguments: str) -> list[str]:
        common = ("--template", str(TEMPLATE), "--env-vars", str(self._variables))
        return [self._sam, "local", *arguments, *common, *self._options]

    def _environments(self) -> dict[str, dict[str, str]]:
        """The functions' variables by logical id. `sam` passes on those that the template declares."""
        local = {"LOCAL_OWNER": OWNER, "CALLBACK_BASE_URL": self.url}
        return {name: {**function.environment, **local} for name, function in self._functions().items()}

    def _functions(self) -> dict[str, Function]:
        """The deployed functions by logical id."""
        return {logical_id(function.name): function for function in self.stack.deployment.functions.values()}

    def _environment(self, credentials: dict[str, str]) -> dict[str, str]:
        """The environment of `sam` itself, which passes the credentials on and calls STS with them."""
        local = {"AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": self.stack.aws.endpoint, "SAM_CLI_TELEMETRY": "0"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | ISOLATED | credentials | local

    def _make_user(self) -> dict[str, str]:
        """Create an administrator and return its credentials as variables."""
        iam = self.stack.client("iam")
        iam.create_user(UserName="sam")
        iam.put_user_policy(UserName="sam", PolicyName="everything", PolicyDocument=json.dumps(ALLOW_ALL))
        key = iam.create_access_key(UserName="sam")["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def _check_port(self) -> None:
        """Fail early: `sam` reports a used port late, and until then the other program would respond."""
        try:
            socket.create_server(("127.0.0.1", self._port)).close()
        except OSError as error:
            raise SamUnavailable(f"Port {self._port} is in use.") from error

    def _wait_for(self, process: subprocess.Popen[str], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            try:
                requests.get(f"{self.url}/no/such/route", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise SamUnavailable(f"`sam local start-api` did not respond within {seconds:.0f} seconds.")


def main() -> int:
    """The command line. Unknown arguments are passed to `sam local`."""
    parser = argparse.ArgumentParser(prog="python -m local.sam", description="Runs the functions in containers.")
    parser.add_argument("--sam", metavar="PATH", help="the SAM CLI (default: the variable SAM, then PATH)")
    commands = parser.add_subparsers(dest="command", required=True)
    invoke = commands.add_parser("invoke", help="invoke one function")
    functions = [logical_id(app.parent.name) for app in sorted((ROOT / "functions").glob("*/app.py"))]
    invoke.add_argument("function", choices=functions)
    invoke.add_argument("event", type=_file, help="for example events/submit_task.good_generate.json")
    api = commands.add_parser("start-api", help="serve both APIs until Ctrl-C")
    api.add_argument("--port", type=int, default=PORT)
    arguments, options = parser.parse_known_args()
    sys.path.insert(0, str(LAYER))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return _run(arguments, options)
    except (SamUnavailable, LocalAwsError) as error:
        print(error, file=sys.stderr)
        return 1
    except BuildFailed:
        return 1
    except KeyboardInterrupt:
        return 130


def _file(name: str) -> Path:
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(f"file not found: {name}")
    return Path(name)


def _run(arguments: argparse.Namespace, options: list[str]) -> int:
    port = getattr(arguments, "port", PORT)
    with SamLocal(find_sam(arguments.sam), port=port, options=options) as sam:
        if arguments.command == "invoke":
            return sam.invoke(arguments.function, arguments.event).returncode
        with sam.api() as process:
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
