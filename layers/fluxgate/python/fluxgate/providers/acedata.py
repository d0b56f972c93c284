"""AceDataCloud's Flux API: its URLs, its JSON and its words (facts: the vendor's public documents, 2026)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from fluxgate.errors import MalformedBody
from fluxgate.outbound import AnswerLost, NotSent, ProviderSession
from fluxgate.providers import Accepted, Failed, Generated, NotAccepted, Outcome, Refused, Running, Submission, Unknown
from fluxgate.tasks import Image, Task, TaskError

NAME = "acedata"

# Bounds on what is kept of an answer, so that no answer can make an item too large for the table.
MAX_IMAGES = 16
MAX_URL = 4096
MAX_TEXT = 2000
SEEDS = range(-(2**63), 2**64)  # a table's number has 38 digits


class AceData:
    """Raises nothing: whatever happens to a submission is a Submission."""

    name = NAME

    def __init__(self, session: ProviderSession, url: str, token: SecretStr) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token = token

    def submit(self, task: Task, callback_url: str) -> Submission:
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}", "Accept": "application/json"}
        try:
            status, content = self._session.post(f"{self._url}/flux/images", _request(task, callback_url), headers)
        except NotSent as error:
            return NotAccepted(
                TaskError(code="provider_unreachable", message=f"No connection to the provider: {error}")
            )
        except AnswerLost as error:
            return Unknown(str(error))
        return _submission(status, content)


def parse_callback(body: bytes) -> Outcome:
    """Raises MalformedBody where the body is not a JSON object."""
    answer = _json_object(body)
    if answer is None:
        raise MalformedBody([("", "The body is not a JSON object.")])
    return _outcome(answer)


def _request(task: Task, callback_url: str) -> dict[str, Any]:
    """Exactly the vendor's fields. `size` always: the service refuses requests without it."""
    request = {"action": task.action, "prompt": task.prompt, "model": task.model, "size": task.size}
    own: dict[str, Any] = {"count": task.count} if task.action == "generate" else {"image_url": task.image_url}
    return request | own | {"callback_url": callback_url}


def _submission(status: int, content: bytes) -> Submission:
    answer = _json_object(content) or {}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return NotAccepted(_error(answer, "too_many_requests"))
    if status >= HTTPStatus.BAD_REQUEST or answer.get("success") is False:
        if _is_vendors_error(answer):
            return Refused(_error(answer, f"http_{status}"))
        return Unknown(f"http_{status}")
    task_id = _text(answer.get("task_id"))
    if status != HTTPStatus.OK or not task_id:
        return Unknown(f"http_{status}_without_task_id")
    return Accepted(task_id, _images(answer))


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    """Done is an image, whatever `success` says; success without images is not finished."""
    task_id = _text(answer.get("task_id"))
    images = _images(answer)
    if images:
        return Generated(images, task_id)
    if answer.get("success") is False:
        return Failed(_error(answer, "provider_error"), task_id)
    return Running()


def _is_vendors_error(answer: Mapping[str, Any]) -> bool:
    """`error` is an object with a code; or it is a bare string or null, beside another field that is the vendor's."""
    if "error" not in answer:
        return False
    error = answer["error"]
    return (isinstance(error, dict) and "code" in error) or "trace_id" in answer or answer.get("success") is False


def _error(answer: Mapping[str, Any], default_code: str) -> TaskError:
    error = answer.get("error")
    if isinstance(error, dict):
        code, message = _text(error.get("code")), _text(error.get("message"))
    else:
        code, message = None, _text(error)
    return TaskError(code=code or default_code, message=message or "The provider gave no reason.")


def _images(answer: Mapping[str, Any]) -> tuple[Image, ...]:
    data = answer.get("data")
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    found = [(_url(entry.get("image_url")), entry.get("seed")) for entry in entries]
    return tuple(Image(source_url=url, seed=_seed(seed)) for url, seed in found if url)[:MAX_IMAGES]


def _url(value: object) -> str | None:
    is_url = isinstance(value, str) and value.startswith(("https://", "http://")) and len(value) <= MAX_URL
    return _text(value, MAX_URL) if is_url else None


def _seed(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value in SEEDS else None


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _text(value: object, most: int = MAX_TEXT) -> str | None:
    """What JSON calls text and UTF-8 does not, half of a surrogate pair, cannot be stored."""
    return value[:most].encode(errors="replace").decode() if isinstance(value, str) and value else None
