"""Everything that fluxgate refuses or fails at, as one tree.

FluxgateError
├── InvalidRequest            the client's request is wrong; names each field
│   ├── MalformedBody         not JSON at all
│   ├── BodyTooLarge
│   └── UnsupportedMediaType
├── NothingToDeliver          the task has no outcome yet, or no callback_url
├── IdempotencyMismatch       the idempotency key was used for another request
├── NotAuthenticated          no API key, so no owner
├── TaskNotFound              unknown, deleted, or another owner's
├── TaskDeleted               the idempotency key belongs to a task that was deleted
├── TaskInFlight              the task cannot be deleted now
├── CallbackRefused           unknown task or wrong token: told apart only in the log
├── InvalidTransition               the task's state does not allow the move
├── StorageUnavailable        the table or the bucket did not answer, or throttled
├── ProviderUnavailable       the provider cannot be asked now
├── NotSent                   no connection could be made: nothing has left this machine
├── ResponseLost                a request may have arrived; what became of it is unknown
├── QueueUnavailable          a queue or the bus did not take a message
├── CredentialsUnavailable    Secrets Manager did not answer
├── ImageUnavailable          one image cannot be fetched, now or ever
├── ArchiveIncomplete         some images of a task are missing and will be tried again
└── SettingsInvalid           the environment lacks a variable or holds a wrong one
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxgate.tasks.model import Status, Task


class FluxgateError(Exception):
    """Base of every error that fluxgate raises on purpose."""


class InvalidRequest(FluxgateError):
    """The request is refused. `errors` holds (field, message) pairs; the empty field is the request as a whole."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(", ".join(field for field, _ in errors))
        self.errors = errors


class MalformedBody(InvalidRequest):
    """The body is not what its content type says."""


class BodyTooLarge(InvalidRequest):
    """The body exceeds the route's limit."""


class UnsupportedMediaType(InvalidRequest):
    """The body is not JSON."""


class NothingToDeliver(FluxgateError):
    """The task has no outcome yet, or nobody wants to be told of it."""


class ProviderUnavailable(FluxgateError):
    """The provider did not answer a question, or not with an answer to it. The text is safe to log."""


class IdempotencyMismatch(FluxgateError):
    """The idempotency key belongs to another request."""

    MESSAGE = "This key was used for another request. Use a new one."


class NotAuthenticated(FluxgateError):
    """The request carries no API key id."""


class TaskNotFound(FluxgateError):
    """There is no such task for this owner, or no longer."""


class TaskDeleted(FluxgateError):
    """The idempotency key was used for a task that has been deleted since: it does not buy again."""

    MESSAGE = "The task of this key was deleted. Use a new key."


class TaskInFlight(FluxgateError):
    """The task is, or may be, at the provider: it can be deleted when it has its outcome."""


class CallbackRefused(FluxgateError):
    """The callback's task is unknown or its token is wrong."""


class InvalidTransition(FluxgateError):
    """The task is not in a state from which `to` may be reached. `task` is what is stored."""

    def __init__(self, task: Task, to: Status) -> None:
        super().__init__(f"{task.status} -> {to}")
        self.task = task
        self.to = to


class StorageUnavailable(FluxgateError):
    """DynamoDB or S3 did not carry out a call; whether a write happened is unknown."""


class NotSent(FluxgateError):
    """The connection could not be made: nothing has left this machine."""


class ResponseLost(FluxgateError):
    """The request may have arrived; what became of it is unknown. The message is safe to log."""


class QueueUnavailable(FluxgateError):
    """SQS or EventBridge did not carry out a call; whether it took the message is unknown."""


class CredentialsUnavailable(FluxgateError):
    """A secret could not be read."""


class ImageUnavailable(FluxgateError):
    """An image could not be fetched. `reason` is a short code that is safe to log; `final` says that asking again
    would hardly help."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


class ArchiveIncomplete(FluxgateError):
    """Some images could not be fetched in this attempt; another attempt follows."""


class SettingsInvalid(FluxgateError):
    """An environment variable is missing or has a wrong value."""
