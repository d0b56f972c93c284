"""All errors that fluxgate raises on purpose.

FluxgateError
├── PublicError                 has a code, an HTTP status and a message for clients
│   ├── ClientError             4xx: the caller can fix the request
│   │   ├── InvalidRequest      names every invalid field
│   │   │   ├── MalformedBody
│   │   │   ├── BodyTooLarge
│   │   │   └── UnsupportedMediaType
│   │   ├── NotAuthenticated
│   │   ├── TaskNotFound
│   │   ├── TaskInFlight
│   │   ├── NothingToDeliver
│   │   ├── CallbackRefused
│   │   ├── RouteNotFound
│   │   ├── MethodNotAllowed
│   │   └── IdempotencyConflict
│   │       ├── IdempotencyMismatch
│   │       └── TaskDeleted
│   └── ServiceUnavailable      503: a service that fluxgate depends on failed
│       ├── StorageUnavailable
│       ├── QueueUnavailable
│       └── CredentialsUnavailable
├── ProviderError               a request to the provider failed
│   ├── NotSent
│   ├── ResponseLost
│   └── ProviderUnavailable
├── InvalidTransition
├── ImageUnavailable
├── ArchiveIncomplete
└── SettingsInvalid

REST problem details, MCP tool errors, rejected orders and the API document read code, status and message from here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from fluxgate.tasks.model import Status, Task

Violation = tuple[str, str]
"""An invalid field and the error in it. The empty field stands for the whole request."""


class FluxgateError(Exception):
    """Base class."""


class PublicError(FluxgateError):
    """An error that clients see. The text of the exception itself is for logs only."""

    code: ClassVar[str]
    status: ClassVar[HTTPStatus]
    message: ClassVar[str]


class ClientError(PublicError):
    """The caller can fix the request."""


class InvalidRequest(ClientError):
    """At least one field is invalid."""

    code = "invalid_request"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = "The request has invalid fields."

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__(", ".join(field for field, _ in violations))
        self.violations = violations


class MalformedBody(InvalidRequest):
    code = "malformed_body"
    status = HTTPStatus.BAD_REQUEST
    message = "The body is not a JSON object."


class BodyTooLarge(InvalidRequest):
    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = "The body is too large."


class UnsupportedMediaType(InvalidRequest):
    code = "unsupported_media_type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    message = "Send JSON with the header Content-Type: application/json."


class NotAuthenticated(ClientError):
    """The request has no API key id."""

    code = "no_api_key"
    status = HTTPStatus.FORBIDDEN
    message = "The request has no API key."


class TaskNotFound(ClientError):
    """The task does not exist, was deleted, or belongs to another owner."""

    code = "task_not_found"
    status = HTTPStatus.NOT_FOUND
    message = "You have no task with this id."


class TaskInFlight(ClientError):
    """The task is, or may be, at the provider."""

    code = "task_in_flight"
    status = HTTPStatus.CONFLICT
    message = "The task is at the provider. Delete it after it has finished."


class NothingToDeliver(ClientError):
    code = "nothing_to_deliver"
    status = HTTPStatus.CONFLICT
    message = "The task has not finished or has no callback_url."


class CallbackRefused(ClientError):
    """The task is unknown or the token is wrong. Only the log shows which."""

    code = "callback_not_found"
    status = HTTPStatus.NOT_FOUND
    message = "Unknown callback URL."


class RouteNotFound(ClientError):
    code = "route_not_found"
    status = HTTPStatus.NOT_FOUND
    message = "There is no such route."


class MethodNotAllowed(ClientError):
    code = "method_not_allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED
    message = "This route accepts POST only."
    allow = "POST"


class IdempotencyConflict(ClientError):
    """The idempotency key cannot be used for this request."""

    field = "idempotency_key"


class IdempotencyMismatch(IdempotencyConflict):
    """The idempotency key belongs to a different request."""

    code = "idempotency_mismatch"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = "This key was used for a different request. Use a new key."


class TaskDeleted(IdempotencyConflict):
    """The idempotency key belongs to a deleted task. Submitting again would pay twice."""

    code = "task_deleted"
    status = HTTPStatus.CONFLICT
    message = "The task with this key was deleted. Use a new key."


class ServiceUnavailable(PublicError):
    """A service that fluxgate depends on failed. Nothing was submitted to the provider."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class StorageUnavailable(ServiceUnavailable):
    """DynamoDB or S3 failed or throttled a call. Whether a write took effect is unknown."""

    code = "storage_unavailable"
    message = "The service cannot reach its storage. Nothing was submitted. Try again in 30 seconds."


class QueueUnavailable(ServiceUnavailable):
    """SQS or EventBridge failed a call. Whether the message was accepted is unknown."""

    code = "queue_unavailable"
    message = "The service cannot reach its queue. Try again in 30 seconds."


class CredentialsUnavailable(ServiceUnavailable):
    """A secret could not be read."""

    code = "credentials_unavailable"
    message = "The service cannot read its credentials. Nothing was submitted. Try again in 30 seconds."


class ProviderError(FluxgateError):
    """A request to the provider failed. The text is safe to log."""


class NotSent(ProviderError):
    """No connection was made, so nothing was sent."""


class ResponseLost(ProviderError):
    """The request may have arrived. Its result is unknown."""


class ProviderUnavailable(ProviderError):
    """The provider did not respond to a query, or rejected our credentials or request rate."""


class InvalidTransition(FluxgateError):
    """The task's status does not allow the transition. `task` is the stored task."""

    def __init__(self, task: Task, to: Status) -> None:
        super().__init__(f"{task.status} -> {to}")
        self.task = task
        self.to = to


class ImageUnavailable(FluxgateError):
    """An image could not be fetched. `reason` is a short code that is safe to log; `final` means that another try is
    unlikely to succeed."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


class ArchiveIncomplete(FluxgateError):
    """Some images are missing. The message is received again."""


class SettingsInvalid(FluxgateError):
    """Environment variables are missing or invalid. The text names them without their values."""


def public_errors() -> list[type[PublicError]]:
    """All classes with a code."""
    found: list[type[PublicError]] = []
    families: list[type[PublicError]] = [PublicError]
    while families:
        family = families.pop()
        families += family.__subclasses__()
        if "code" in vars(family):
            found.append(family)
    return found
