"""The local AWS: moto's server as a child process, and clients for the deployer and for the deployed roles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self

import botocore.session
from boto3.session import Session
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

ACCOUNT = "123456789012"
REGION = "us-east-1"

# The user's own AWS configuration is ignored: no profile, no file, no proxy, no instance metadata.
_NO_PROFILE = {name: (None, None, value, None) for name, value in (("profile", None), ("config_file", os.devnull))}
_CONFIG = Config(proxies={}, retries={"mode": "standard"}, s3={"addressing_style": "path"}, signature_version="v4")
_MOTO = {
    "INITIAL_NO_AUTH_ACTION_COUNT": "0",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    # Otherwise moto takes the first label of the host name that containers use for a bucket.
    "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true",
    # Otherwise moto searches all partitions for each request's account and loads every managed policy for each.
    "MOTO_ACCOUNT_ID": ACCOUNT,
}
ISOLATED = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class LocalAwsError(Exception):
    """The local AWS did not start."""


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token or "",
        }


def client_host(host: str) -> str:
    """The address at which clients on this machine reach a server that listens on `host`."""
    return "127.0.0.1" if host == "0.0.0.0" else host


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the user's AWS variables: moto uses boto3, which fails on a profile it cannot find."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")} | ISOLATED


@dataclass(frozen=True)
class Denial:
    """A request that IAM denied."""

    principal: str  # ARN of a user or of a role session
    action: str

    @property
    def role(self) -> str:
        return self.principal.split("/")[1]


class LocalAws:
    """moto's server as a child process. IAM policies apply to every principal but the deployer."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        name: str | None = None,
        log: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """Start the process; `wait_until_ready` completes the start.

        `name` is this machine's host name inside containers, if the server listens beyond loopback. `log` receives
        each denial as a line of the function "iam".
        """
        self.denials: list[Denial] = []
        self._log = log
        self._reader: Thread | None = None
        self._host = client_host(host)
        self._name = name
        self._lock = Lock()
        isolated = botocore.session.Session(session_vars=_NO_PROFILE)
        self._session = Session(region_name=REGION, botocore_session=isolated)
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._credentials: dict[str, Credentials] = {}
        command = [sys.executable, "-m", "local.moto_server", "--host", host, "--port", str(port)]
        # In its own process group, so that Ctrl-C reaches only this process. The child exits when its stdin closes.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            env=_without_aws(os.environ) | _MOTO,
            process_group=0,
            text=True,
        )

    def wait_until_ready(self) -> Self:
        """Wait for the server, which takes one or two seconds to start. Raises LocalAwsError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LocalAwsError(f"The local AWS exited with status {self._process.wait()} before it could listen.")
        server = json.loads(line)
        self.endpoint = f"http://{self._host}:{server['port']}"
        self.public_endpoint = f"http://{self._name or self._host}:{server['port']}"
        self.deployer_arn: str = server["deployer_arn"]
        self._deployer = Credentials(server["access_key_id"], server["secret_access_key"])
        self._reader = Thread(target=self._read_denials)
        self._reader.start()
        return self

    def client(self, service: str, role_arn: str | None = None) -> Any:
        """A client with the deployer's credentials, or with those of a role."""
        credentials = self.credentials(role_arn) if role_arn else self._deployer
        with self._lock:
            if (service, role_arn) not in self._clients:
                self._clients[service, role_arn] = self._make_client(service, credentials)
            return self._clients[service, role_arn]

    def credentials(self, role_arn: str) -> Credentials:
        sts = self.client("sts")
        with self._lock:
            if role_arn not in self._credentials:
                issued = sts.assume_role(RoleArn=role_arn, RoleSessionName="local")["Credentials"]
                self._credentials[role_arn] = Credentials(
                    issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"]
                )
            return self._credentials[role_arn]

    def _make_client(self, service: str, credentials: Credentials) -> Any:
        return self._session.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            config=_CONFIG,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
        )

    def _read_denials(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            denial = Denial(**json.loads(line))
            self.denials.append(denial)
            self._log("iam", f"AccessDenied: {denial.role} is not allowed to perform {denial.action}")

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        if self._reader:
            self._reader.join()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
