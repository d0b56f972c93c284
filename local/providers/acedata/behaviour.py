"""The simulator's configurable behaviour, and the errors that the vendor documents."""

from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal, Self


class ErrorShape(StrEnum):
    """The observed shapes of `error` in the vendor's responses."""

    OBJECT = "object"
    FLAGGED = "flagged"  # an object, with `"success": false` beside it
    STRING = "string"
    NULL = "null"


@dataclass(frozen=True)
class Refusal:
    """An error of the vendor. Without a code, its body has only the message."""

    status: int
    code: str | None
    message: str
    shape: ErrorShape = ErrorShape.OBJECT

    @classmethod
    def of(cls, code: str, status: int | None = None, shape: ErrorShape = ErrorShape.OBJECT) -> Self:
        """A documented error by its code. `status` selects one of several with the same code."""
        found = next(r for r in DOCUMENTED if r.code == code and status in {None, r.status})
        return cls(found.status, found.code, found.message, shape)

    def body(self, **ids: str) -> dict[str, Any]:
        """The JSON body of a response or of a failed generation."""
        as_object = {"code": self.code, "message": self.message} if self.code else {"message": self.message}
        error = {ErrorShape.STRING: self.message, ErrorShape.NULL: None}.get(self.shape, as_object)
        flag = {"success": False} if self.shape is ErrorShape.FLAGGED else {}
        return {**flag, **ids, "error": error}


DOCUMENTED = (
    Refusal(400, "bad_request", "The request is invalid."),
    Refusal(400, "no_token", "No token specified for the request."),
    Refusal(400, "token_mismatched", "The specified token is not matched with API."),
    Refusal(400, "api_not_implemented", "The API is not implemented."),
    Refusal(400, "disabled", "Your application has been disabled due to abnormal usage behavior."),
    Refusal(401, "invalid_token", "The specified token is invalid or wrong."),
    Refusal(401, "token_expired", "token expired."),
    Refusal(401, "token_mismatched", "token and api does not match."),
    Refusal(403, "used_up", "Your balance is not sufficient for current request."),
    Refusal(403, "disabled", "Your application has been disabled."),
    Refusal(403, "forbidden", "The content has been blocked by moderation."),
    Refusal(404, "no_api", "API does not exist, please make sure url is correct."),
    Refusal(429, "too_many_requests", "You have exceeded the rate limit."),
    Refusal(500, "api_error", "fetch failed"),
    Refusal(504, "timeout", "The request timed out."),
)


class ResponseKind(StrEnum):
    """The kind of response to a request that the provider does not refuse."""

    JSON = "json"
    HTML = "html"  # a gateway's error page, with `response_status`
    GARBLED = "garbled"  # half a JSON document, with `response_status`
    DROPPED = "dropped"  # the connection closes without a response
    RESET = "reset"  # as DROPPED, with a TCP reset
    HANGING = "hanging"  # no response until the client disconnects or the simulator closes


class ImageFault(StrEnum):
    """A fault injected into the download of an image."""

    WRONG_TYPE = "wrong_type"  # the image as text/plain
    EXPIRED = "expired"  # 403
    MISSING = "missing"  # 404
    UNAVAILABLE = "unavailable"  # 503
    SLOW = "slow"  # chunks of `image_chunk` bytes, `image_delay` seconds apart
    TRUNCATED = "truncated"  # fewer bytes than Content-Length
    HUGE = "huge"  # a valid PNG padded to `huge_bytes`, without Content-Length
    NOT_AN_IMAGE = "not_an_image"  # an HTML page as image/png
    EMPTY = "empty"
    REDIRECT = "redirect"  # 302 to the image itself


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the simulator processes a submission. The default is success. Times are in seconds."""

    refusal: Refusal | None = None
    accepted: bool = True  # False loses the request; the connection drops unless `response` is set
    response: ResponseKind = ResponseKind.JSON
    response_status: int = HTTPStatus.BAD_GATEWAY
    response_delay: float = 0
    response_success: bool = False  # adds `"success": true` beside the task's id

    latency: float = 0.5  # of generation; math.inf waits for Simulator.release()
    failure: Refusal | None = None  # of generation; its status applies only to a response that waits for the result
    image_count: int | None = None  # None: as requested; 0: success without images
    seeds: bool = True
    timings: Literal["object", "number"] = "object"

    callbacks: int = 1  # number of callbacks sent: 0 loses it, 2 or more repeat it
    callback_early: bool = False  # generation and callback complete before the response
    callback_delay: float = 0  # between the end of generation and the callback
    callback_timeout: float = 10  # the vendor does not document its timeout
    callback_retries: int = 0  # after a response other than 2xx

    running_response: bool = False  # shows a response without data on running tasks
    timestamps: bool = True  # `started_at`, `finished_at`, `elapsed`
    listed: bool = True  # False hides the task from /flux/tasks

    image_format: Literal["png", "jpeg", "webp"] = "png"
    image_fault: ImageFault | None = None
    image_fault_times: int | None = None  # number of faulty downloads of each image; None: all
    image_delay: float = 0.1
    image_chunk: int = 64  # bytes
    huge_bytes: int = 64 * 1024 * 1024

    def but(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)
