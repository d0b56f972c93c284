"""The local AWS process: moto's server, patched where moto lacks parts of IAM, S3 and DynamoDB that fluxgate needs.

`local/aws.py` starts it as `python -m local.moto_server`. It prints JSON lines: first its port and the deployer's
credentials, then one line per denied request. It exits when its standard input closes, so it cannot outlive its parent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import moto.cloudformation.models  # noqa: F401  (takes a second; imported here rather than during the first request)
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.dynamodb.responses import DynamoHandler
from moto.dynamodbstreams.responses import DynamoDBStreamsHandler
from moto.events.responses import EventsHandler
from moto.iam.access_control import IAMRequest, S3IAMRequest
from moto.iam.models import Role, iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.responses import ACTION_MAP
from moto.secretsmanager.responses import SecretsManagerResponse
from werkzeug.serving import make_server

from local.aws import ACCOUNT, REGION
from local.presigned import PresignedRequests

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def _table_arn(request: Any) -> str:
    body = json.loads(request.raw_body)
    table = body.get("TableName") or next(iter(body.get("RequestItems", ())), None)  # our batches use one table
    if table is None:
        return "*"
    arn = table if table.startswith("arn:") else f"arn:aws:dynamodb:{request.region}:{ACCOUNT}:table/{table}"
    return f"{arn}/index/{body['IndexName']}" if "IndexName" in body else arn


def _stream_arn(request: Any) -> str:
    body = json.loads(request.raw_body)
    return str(body.get("StreamArn") or body.get("ShardIterator", "*").partition("|")[0])


def _secret_arn(request: Any) -> str:
    return str(json.loads(request.raw_body).get("SecretId", "*"))


def _event_bus_arn(request: Any) -> str:
    entries = json.loads(request.raw_body).get("Entries") or [{}]
    bus = entries[0].get("EventBusName", "default")
    return bus if bus.startswith("arn:") else f"arn:aws:events:{request.region}:{ACCOUNT}:event-bus/{bus}"


RESOURCE_HOOK = "_determine_resource"  # moto implements this method for SQS, IAM and STS only
RESOURCE_OF = {
    DynamoHandler: _table_arn,
    DynamoDBStreamsHandler: _stream_arn,
    SecretsManagerResponse: _secret_arn,
    EventsHandler: _event_bus_arn,
}


def patch_permissions() -> None:
    """Make moto check a policy's resources in the services above, where it otherwise accepts only "*"."""
    for responses, resource_of in RESOURCE_OF.items():
        setattr(responses, RESOURCE_HOOK, resource_of)
    deny_s3 = S3IAMRequest._raise_access_denied

    def report_and_deny_s3(request: S3IAMRequest) -> None:
        _report_denial(request)
        deny_s3(request)

    S3IAMRequest._raise_access_denied = report_and_deny_s3  # type: ignore[method-assign, assignment]
    IAMRequest._raise_access_denied = _deny  # type: ignore[method-assign, assignment]
    # HeadBucket requires the permission s3:ListBucket; AWS has no permission s3:HeadBucket.
    ACTION_MAP["BUCKET"]["HEAD"]["DEFAULT"] = "ListBucket"


def _report_denial(request: IAMRequest | S3IAMRequest) -> None:
    _print_json(principal=request._access_key.arn, action=request._action)


def _deny(request: IAMRequest) -> None:
    """Respond in JSON to clients of JSON protocols, which cannot parse moto's XML."""
    _report_denial(request)
    message = f"User: {request._access_key.arn} is not authorized to perform: {request._action}"
    if "X-Amz-Target" in request._headers:
        raise JsonRESTError("AccessDeniedException", message)
    raise AccessDeniedError(user_arn=request._access_key.arn, action=request._action)


def patch_roles() -> None:
    """Attach policies to roles that CloudFormation creates.

    moto stores inline policies in a form that its own checks cannot read, and ignores managed ones.
    """
    create = Role.create_from_cloudformation_json

    def create_with_policies(name: str, resource: Any, account: str, region: str, **rest: Any) -> Role:
        role = create(name, resource, account, region, **rest)
        for policy in resource["Properties"].get("Policies", []):
            role.put_policy(policy["PolicyName"], json.dumps(policy["PolicyDocument"]))
        for arn in resource["Properties"].get("ManagedPolicyArns", []):
            iam_backends[account]["aws"].attach_role_policy(arn, role.name)
        return role

    Role.create_from_cloudformation_json = create_with_policies  # type: ignore[method-assign, assignment]


class Serialized:
    """WSGI middleware that serves one request at a time. In moto, concurrent conditional writes can both succeed."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._lock = Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._lock:
            return list(self._application(environ, start_response))


class _QuietRequestHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        if type == "error":
            print(message % args, file=sys.stderr)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No access log: every poll is a request."""


def create_deployer() -> dict[str, str]:
    """Create the only administrator; every other principal is limited to the template's roles."""
    iam = iam_backends[ACCOUNT]["aws"]
    user = iam.create_user(REGION, "deployer")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy("deployer", "administrator", json.dumps(everything))
    key = iam.create_access_key("deployer")
    return {
        "deployer_arn": user.arn,
        "access_key_id": key.access_key_id,
        "secret_access_key": key.secret_access_key,
    }


def _print_json(**fields: object) -> None:
    print(json.dumps(fields), file=sys.__stdout__, flush=True)


def _exit_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.moto_server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    sys.stdout = sys.stderr  # moto sometimes prints; the real stdout carries only our JSON lines
    Thread(target=_exit_with_parent, daemon=True).start()
    patch_permissions()
    patch_roles()
    deployer = create_deployer()
    application = PresignedRequests(Serialized(DomainDispatcherApplication(create_backend_app)))
    server = make_server(
        arguments.host, arguments.port, application, threaded=True, request_handler=_QuietRequestHandler
    )
    _print_json(port=server.server_port, **deployer)
    server.serve_forever()


if __name__ == "__main__":
    main()
