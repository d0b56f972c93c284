"""How to reach AWS on this machine: the process that plays it, and clients for the deployer and for roles."""

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

# Nothing of the user's own AWS set-up takes part: no profile, no file, no proxy, no instance metadata.
_NO_PROFILE = {name: (None, None, value, None) for name, value in (("profile", None), ("config_file", os.devnull))}
_CONFIG = Config(proxies={}, retries={"mode": "standard"}, s3={"addressing_style": "path"}, signature_version="v4")
_MOTO = {
    "INITIAL_NO_AUTH_ACTION_COUNT": "0",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    # Else the first word of what containers call this machine would be taken for a bucket.
    "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true",
    # Without it moto looks for each request's account in all partitions, and loads every managed policy for each.
    "MOTO_ACCOUNT_ID": ACCOUNT,
}
ISOLATED = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class LocalAwsError(Exception):
    """The process that plays AWS did not start."""


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


def reachable(host: str) -> str:
    """Where a server that listens at `host` is found on this machine."""
    return "127.0.0.1" if host == "0.0.0.0" else host


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """moto uses boto3, to which a profile of the user's may be unknown here."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")} | ISOLATED


@dataclass(frozen=True)
class Denial:
    principal: str  # the ARN of a user or of a role's session
    action: str

    @property
    def role(self) -> str:
        return self.principal.split("/")[1]


class LocalAws:
    """moto's server as a child process. Everyone but the deployer is subject to the deployed roles' policies."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        name: str | None = None,
        listener: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """`name` is what containers call this machine when the server listens on more than loopback. `listener` is
        told of each denial, as of a line of the function "iam"."""
        self.denials: list[Denial] = []
        self._listener = listener
        self._reader: Thread | None = None
        self._host = reachable(host)
        self._name = name
        self._lock = Lock()
        isolated = botocore.session.Session(session_vars=_NO_PROFILE)
        self._session = Session(region_name=REGION, botocore_session=isolated)
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._credentials: dict[str, Credentials] = {}
        command = [sys.executable, "-m", "local.moto_server", "--host", host, "--port", str(port)]
        # Not in the terminal's process group: Ctrl-C is ours to handle, the child ends with its standard input.
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
        """Starting takes a second or two, in which the caller may do something else."""
        assert self._process.stdout is not None
        announcement = self._process.stdout.readline()
        if not announcement:
            raise LocalAwsError(f"The local AWS ended with status {self._process.wait()} before it could listen.")
        facts = json.loads(announcement)
        self.endpoint = f"http://{self._host}:{facts['port']}"
        self.public_endpoint = f"http://{self._name or self._host}:{facts['port']}"
        self.deployer_arn: str = facts["deployer_arn"]
        self._deployer = Credentials(facts["access_key_id"], facts["secret_access_key"])
        self._reader = Thread(target=self._read_denials)
        self._reader.start()
        return self

    def client(self, service: str, role_arn: str | None = None) -> Any:
        """A client for the deployer, or for a role and its policies."""
        credentials = self.credentials(role_arn) if role_arn else self._deployer
        with self._lock:
            if (service, role_arn) not in self._clients:
                self._clients[service, role_arn] = self._make_client(service, credentials)
            return self._clients[service, role_arn]

    def credentials(self, role_arn: str) -> Credentials:
        sts = self.client("sts")
        with self._lock:
            if role_arn not in self._credentials:
                answer = sts.assume_role(RoleArn=role_arn, RoleSessionName="local")["Credentials"]
                self._credentials[role_arn] = Credentials(
                    answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"]
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
            self._listener("iam", f"AccessDenied: {denial.role} may not {denial.action}")

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
