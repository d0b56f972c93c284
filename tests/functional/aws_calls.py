"""Handlers for `Functions.before_call`: calls to AWS that fail, or before which something else happens."""

from collections.abc import Callable
from typing import Any

BeforeCall = Callable[..., Any]


def aws_response(body: dict[str, Any], status: int = 200) -> tuple[Any, dict[str, Any]]:
    """The result of a before-call handler that replaces the call."""
    http = type("Response", (), {"status_code": status, "headers": {}, "content": b""})()
    return http, {**body, "ResponseMetadata": {}}


def fail(operation: str, code: str = "InternalError", *, containing: str = "") -> BeforeCall:
    """Fail every call of the operation whose body contains the text."""

    def before_call(model: Any, params: dict[str, Any], **_: Any) -> Any:
        body = params["body"].decode() if isinstance(params["body"], bytes) else str(params["body"])
        if model.name != operation or containing not in body:
            return None
        return aws_response({"Error": {"Code": code, "Message": "no"}}, 400)

    return before_call


def run_before(operation: str, action: Callable[[], object]) -> BeforeCall:
    """Run the action once, just before the first call of the operation."""
    pending = [action]

    def before_call(model: Any, **_: Any) -> None:
        if model.name == operation and pending:
            pending.pop()()

    return before_call
