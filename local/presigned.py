"""Checks presigned URLs as S3 does: expiry, signature, then the signer's permissions.

moto identifies the signer by the Authorization header, which presigned requests lack. This module verifies the
signature and re-signs the request by header with the same credentials, so that moto checks the signer's permissions.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from moto.iam.access_control import CreateAccessKeyFailure, create_access_key
from werkzeug.wrappers import Response

from local.aws import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from botocore.credentials import Credentials

QUERY_SIGNATURE = "X-Amz-Signature"


class InvalidSignature(Exception):
    """A request whose signature S3 does not accept, with S3's response."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        self.response = Response(body, HTTPStatus.FORBIDDEN, content_type="application/xml")


class PresignedRequests:
    """WSGI middleware for moto. It rejects unsigned requests, because fluxgate has no public resources."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            _authenticate(environ)
        except InvalidSignature as error:
            return error.response(environ, start_response)
        return self._application(environ, start_response)


def _authenticate(environ: WSGIEnvironment) -> None:
    if QUERY_SIGNATURE in environ["QUERY_STRING"]:
        _sign_by_header(environ)
    elif "HTTP_AUTHORIZATION" not in environ and not environ["PATH_INFO"].startswith("/moto-api"):
        raise InvalidSignature("AccessDenied", "Access Denied")


def _sign_by_header(environ: WSGIEnvironment) -> None:
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"], keep_blank_values=True).items()}
    _check_expiry(query)
    access_key_id, _, region, _, _ = query["X-Amz-Credential"].split("/")
    credentials = _credentials(access_key_id, query.get("X-Amz-Security-Token"))
    path = quote(urlsplit(environ.get("RAW_URI", environ["PATH_INFO"])).path, safe="/%~")
    _check_signature(environ, query, path, credentials, region)

    remaining = urlencode({name: value for name, value in query.items() if not name.startswith("X-Amz-")})
    target = f"{path}?{remaining}" if remaining else path
    url = f"http://{environ['HTTP_HOST']}{target}"
    request = AWSRequest(environ["REQUEST_METHOD"], url, headers={"Host": environ["HTTP_HOST"]})
    S3SigV4Auth(credentials, "s3", region).add_auth(request)
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
    environ |= {"QUERY_STRING": remaining, "RAW_URI": target, "REQUEST_URI": target}


def _check_expiry(query: dict[str, str]) -> None:
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if datetime.now(UTC) > signed_at + timedelta(seconds=int(query["X-Amz-Expires"])):
        raise InvalidSignature("AccessDenied", "Request has expired")


def _credentials(access_key_id: str, token: str | None) -> Credentials:
    headers = {"X-Amz-Security-Token": token} if token is not None else {}
    try:
        credentials: Credentials = create_access_key(ACCOUNT, "aws", access_key_id, headers).create_credentials()
    except CreateAccessKeyFailure:
        raise InvalidSignature(
            "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
        ) from None
    return credentials


def _check_signature(
    environ: WSGIEnvironment, query: dict[str, str], path: str, credentials: Credentials, region: str
) -> None:
    signed = "&".join(pair for pair in environ["QUERY_STRING"].split("&") if not pair.startswith(QUERY_SIGNATURE))
    headers = {
        name: environ[f"HTTP_{name.upper().replace('-', '_')}"] for name in query["X-Amz-SignedHeaders"].split(";")
    }
    request = AWSRequest(environ["REQUEST_METHOD"], f"http://{environ['HTTP_HOST']}{path}?{signed}", headers=headers)
    request.context["timestamp"] = query["X-Amz-Date"]
    auth = S3SigV4QueryAuth(credentials, "s3", region)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if signature != query[QUERY_SIGNATURE]:
        message = "The signature we calculated does not match the one you provided."
        raise InvalidSignature("SignatureDoesNotMatch", message)
