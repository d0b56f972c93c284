"""What the simulated provider can be told to do, and the vendor's words for it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal, Self


class Form(StrEnum):
    """The shapes in which the vendor's `error` has been seen."""

    OBJECT = "object"
    FLAGGED = "flagged"  # the object, with `"success": false` beside it
    STRING = "string"
    NULL = "null"


@dataclass(frozen=True)
class Refusal:
    """The vendor says no. Without a code, only the message is given."""

    status: int
    code: str | None
    message: str
    form: Form = Form.OBJECT

    @classmethod
    def of(cls, code: str, status: int | None = None, form: Form = Form.OBJECT) -> Self:
        """A documented error by its code; `status` picks one where the documents give two."""
        found = next(r for r in DOCUMENTED if r.code == code and status in {None, r.status})
        return cls(found.status, found.code, found.message, form)

    def body(self, **ids: str) -> dict[str, Any]:
        """The JSON of an answer or of a failed generation, with the ids that belong to it."""
        named = {"code": self.code, "message": self.message} if self.code else {"message": self.message}
        error = {Form.STRING: self.message, Form.NULL: None}.get(self.form, named)
        flag = {"success": False} if self.form is Form.FLAGGED else {}
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


class Answer(StrEnum):
    """How a request is answered that the provider has not refused."""

    JSON = "json"
    HTML = "html"  # the error page of a gateway, with `answer_status`
    GARBLED = "garbled"  # `answer_status` and half a JSON document
    DROPPED = "dropped"  # the connection ends without a byte
    RESET = "reset"  # as dropped, with a TCP reset
    HANGING = "hanging"  # no byte until the client leaves or the simulator closes


class ImageFault(StrEnum):
    """What is wrong with the download of an image."""

    WRONG_TYPE = "wrong_type"  # the picture, called text/plain
    EXPIRED = "expired"  # 403
    MISSING = "missing"  # 404
    UNAVAILABLE = "unavailable"  # 503
    SLOW = "slow"  # `image_piece` bytes at a time, `image_delay` apart
    TRUNCATED = "truncated"  # Content-Length says more than is sent
    HUGE = "huge"  # `huge_bytes` of a valid PNG, of undeclared length
    NOT_AN_IMAGE = "not_an_image"  # an HTML page, called image/png
    EMPTY = "empty"
    REDIRECT = "redirect"  # 302 to the picture itself


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One submission's way through the provider. The default is a vendor in good order. Times are in seconds."""

    refusal: Refusal | None = None
    accepted: bool = True  # False: the request is lost, and its connection breaks unless `answer` says otherwise
    answer: Answer = Answer.JSON
    answer_status: int = HTTPStatus.BAD_GATEWAY
    answer_delay: float = 0
    answer_success: bool = False  # `"success": true` beside the task's id

    latency: float = 0.5  # of generation; math.inf waits for Simulator.release()
    failure: Refusal | None = None  # of generation; its status counts only where the answer waits for it
    image_count: int | None = None  # None: as many as asked; 0: success without images
    seeds: bool = True
    timings: Literal["object", "number"] = "object"

    callbacks: int = 1  # 0: lost; 2 and more: repeated
    callback_early: bool = False  # generation and callback come before the answer
    callback_delay: float = 0  # between the end of generation and the callback
    callback_timeout: float = 10  # the vendor's is not documented
    callback_retries: int = 0  # after an answer other than 2xx

    running_response: bool = False  # a running task shows a response without data
    timestamps: bool = True  # `started_at`, `finished_at`, `elapsed`
    listed: bool = True  # False: /flux/tasks does not know the task

    image_format: Literal["png", "jpeg", "webp"] = "png"
    image_fault: ImageFault | None = None
    image_fault_times: int | None = None  # downloads of each image that go wrong; None: all
    image_delay: float = 0.1
    image_piece: int = 64
    huge_bytes: int = 64 * 1024 * 1024

    def but(self, **changes: Any) -> Self:
        """A copy with some settings changed."""
        return replace(self, **changes)
