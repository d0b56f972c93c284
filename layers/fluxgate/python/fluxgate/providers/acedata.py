"""AceDataCloud's Flux API: its URLs, its JSON and its words (facts: the vendor's public documents, 2026)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from fluxgate.errors import MalformedBody, ProviderUnavailable
from fluxgate.outbound import AnswerLost, NotSent, ProviderSession
from fluxgate.providers import Accepted, Failed, Generated, NotAccepted, Outcome, Refused, Running, Submission, Unknown
from fluxgate.tasks import Image, Task, TaskError, token_hash

NAME = "acedata"

# Bounds on what is kept of an answer, so that no answer can make an item too large for the table.
MAX_IMAGES = 16
MAX_URL = 4096
MAX_TEXT = 2000

# Of the list that the vendor's own client reads.
LIST_LIMIT = 50
LIST_PAGES = 20
CLOCK_SKEW_SECONDS = 120


class AceData:
    """Raises nothing: whatever happens to a submission is a Submission."""

    name = NAME

    def __init__(self, session: ProviderSession, url: str, token: SecretStr) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token = token

    def submit(self, task: Task, callback_url: str) -> Submission:
        try:
            status, content = self._session.post(
                f"{self._url}/flux/images", _request(task, callback_url), self._headers()
            )
        except NotSent as error:
            return NotAccepted(
                TaskError(code="provider_unreachable", message=f"No connection to the provider: {error}")
            )
        except AnswerLost as error:
            return Unknown(str(error))
        return _submission(status, content)

    def fetch(self, provider_task_ids: Sequence[str]) -> Mapping[str, Outcome]:
        items = _items(self._ask({"action": "retrieve_batch", "ids": list(provider_task_ids)}))
        if items is None:
            raise ProviderUnavailable("no items")
        return {str(item["id"]): _task_outcome(item) for item in items if "id" in item}

    def find(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        """Public documents do not mention the list, so a refusal of it means that nothing is found."""
        tokens = {task.task_id: task.callback_tokens for task in tasks}
        moments = [(task.attempted_at or task.created_at).timestamp() for task in tasks]
        question = {
            "action": "retrieve_batch",
            "created_at_min": min(moments) - CLOCK_SKEW_SECONDS,
            "created_at_max": max(moments) + CLOCK_SKEW_SECONDS,
        }
        found: dict[str, str] = {}
        for page in range(LIST_PAGES):
            items = _items(self._ask({**question, "limit": LIST_LIMIT, "offset": page * LIST_LIMIT})) or []
            for item in items:
                task_id, token = _callback_parts(item)
                if token_hash(token) in tokens.get(task_id, ()) and "id" in item:
                    found[task_id] = str(item["id"])
            if len(items) < LIST_LIMIT or len(found) == len(tasks):
                break
        return found

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            status, content = self._session.post(f"{self._url}/flux/tasks", question, self._headers())
        except (NotSent, AnswerLost) as error:
            raise ProviderUnavailable(str(error)) from None
        answer = _json_object(content)
        if answer is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ProviderUnavailable(f"http_{status}")
        return answer

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.get_secret_value()}", "Accept": "application/json"}


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


def _items(answer: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    items = answer.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else None


def _task_outcome(item: Mapping[str, Any]) -> Outcome:
    """There is no status field: done is an image, failed an error with a code, or an end without an image."""
    response = item.get("response")
    answer = response if isinstance(response, dict) else {}
    task_id = _text(item.get("id"))
    if images := _images(answer):
        return Generated(images, task_id)
    error = answer.get("error")
    if answer.get("success") is False and isinstance(error, dict) and error.get("code"):
        return Failed(_error(answer, "provider_error"), task_id)
    if item.get("finished_at"):
        return Failed(_error(answer, "provider_error"), task_id)
    return Running()


def _callback_parts(item: Mapping[str, Any]) -> tuple[str, str]:
    """Our task id and token, from the callback URL of the request that the vendor echoes."""
    request = item.get("request")
    url = request.get("callback_url") if isinstance(request, dict) else None
    parts = url.split("/") if isinstance(url, str) else []
    return (parts[-2], parts[-1]) if len(parts) > 2 else ("", "")


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
    found = [(entry.get("image_url"), entry.get("seed")) for entry in entries]
    return tuple(
        Image(source_url=url, seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None)
        for url, seed in found[:MAX_IMAGES]
        if isinstance(url, str) and url.startswith(("https://", "http://")) and len(url) <= MAX_URL
    )


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None
