"""AceDataCloud's Flux API: its URLs, its JSON and its words (facts: the vendor's public documents, 2026)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fluxgate.errors import MalformedBody, NotSent, ProviderUnavailable, ResponseLost
from fluxgate.providers.port import (
    Accepted,
    Failed,
    Generated,
    NotAccepted,
    Outcome,
    Refused,
    Running,
    Submission,
    Unknown,
)
from fluxgate.tasks.model import Image, Task, TaskError, token_hash

if TYPE_CHECKING:
    # A callback is parsed without either; see the README on what a cold start imports.
    from pydantic import SecretStr

    from fluxgate.http.trusted import ProviderSession

NAME = "acedata"

# Bounds on what is kept of an answer, so that no answer can make an item too large for the table.
MAX_IMAGES = 16
MAX_URL = 4096
MAX_TEXT = 2000

SEEDS = range(-(2**63), 2**64)  # a table's number has 38 digits

FETCH_LIMIT = 50  # ids in one question

# Of the list that the vendor's own client reads. One reading is about the submissions of LIST_SPAN and goes no further
# than LIST_PAGES.
LIST_LIMIT = 50
LIST_PAGES = 20
LIST_SPAN_SECONDS = 60
CLOCK_SKEW_SECONDS = 60

# A no to whoever asks, not to what is asked.
NOT_THE_QUESTION = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
NOT_THE_QUESTIONS_CODES = frozenset({"no_token", "token_mismatched", "disabled"})


class _QuestionRefused(ProviderUnavailable):
    """The vendor says no to this question, in its own format."""

    def __init__(self, status: int) -> None:
        super().__init__(f"http_{status}")
        self.status = status


class AceData:
    """Submitting raises nothing: whatever happens to a submission is a Submission."""

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
        except ResponseLost as error:
            return Unknown(str(error))
        return _submission(status, content)

    def fetch(self, provider_task_ids: Sequence[str]) -> Iterator[Mapping[str, Outcome]]:
        """A question that is refused is asked in halves, so that one bad id cannot keep the others from being asked."""
        batches = [provider_task_ids[n : n + FETCH_LIMIT] for n in range(0, len(provider_task_ids), FETCH_LIMIT)]
        while batches:
            ids = batches.pop(0)
            try:
                answer = self._ask({"action": "retrieve_batch", "ids": list(ids)})
            except _QuestionRefused as refused:
                if refused.status == HTTPStatus.FORBIDDEN or refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                if len(ids) > 1:
                    batches[:0] = [ids[: len(ids) // 2], ids[len(ids) // 2 :]]
                    yield {}
                    continue
                answer = {"items": []}
            known = {item["id"]: _task_outcome(item) for item in _items(answer) if isinstance(item.get("id"), str)}
            yield {provider_task_id: known.get(provider_task_id, Running()) for provider_task_id in ids}

    def find(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, str | None]]:
        """In the list of all tasks, by the callback URL of each. Public documents do not mention the list, so a refusal
        of it means that nothing is found."""
        for window in _windows(tasks):
            yield from self._find(window)

    def _find(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, str | None]]:
        wanted = {task.task_id: task.callback_tokens for task in tasks}
        times = {
            "created_at_min": _began(tasks[0]) - CLOCK_SKEW_SECONDS,
            "created_at_max": _began(tasks[-1]) + CLOCK_SKEW_SECONDS,
        }
        offset = 0
        for page in itertools.count(1):
            question = {"action": "retrieve_batch", **times, "limit": LIST_LIMIT, "offset": offset}
            try:
                answer = self._ask(question)
            except _QuestionRefused:
                answer = {"items": []}
            items = _items(answer)
            found = _matches(items, wanted)
            wanted = {task_id: tokens for task_id, tokens in wanted.items() if task_id not in found}
            offset += len(items)
            if not items or not wanted or page == LIST_PAGES or _is_end(answer, offset, len(items)):
                yield {**found, **dict.fromkeys(wanted)}
                return
            yield found

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """An answer with items. Raises _QuestionRefused, or ProviderUnavailable for whatever else is no answer."""
        try:
            status, content = self._session.post(f"{self._url}/flux/tasks", question, self._headers())
        except (NotSent, ResponseLost) as error:
            raise ProviderUnavailable(str(error)) from None
        answer = _json_object(content) or {}
        if status == HTTPStatus.OK and isinstance(answer.get("items"), list):
            return answer
        about_us = status in NOT_THE_QUESTION or _error(answer, "").code in NOT_THE_QUESTIONS_CODES
        if about_us or not _is_vendors_error(answer):
            raise ProviderUnavailable(f"http_{status}")
        raise _QuestionRefused(status)

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


def _items(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [item for item in answer["items"] if isinstance(item, dict)]


def _is_end(answer: Mapping[str, Any], read: int, on_this_page: int) -> bool:
    """Pages may be shorter than was asked, and `count` may be of all or of the page."""
    count = answer.get("count")
    return on_this_page < LIST_LIMIT and (not isinstance(count, int) or read >= count)


def _windows(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Tasks whose submissions began about the same time: a list of all that lies between distant ones would be long."""
    waiting = sorted(tasks, key=_began)
    while waiting:
        end = _began(waiting[0]) + LIST_SPAN_SECONDS
        window = [task for task in waiting if _began(task) <= end]
        yield window
        waiting = waiting[len(window) :]


def _began(task: Task) -> float:
    return (task.attempted_at or task.created_at).timestamp()


def _matches(items: Sequence[Mapping[str, Any]], wanted: Mapping[str, frozenset[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items:
        task_id, token = _callback_parts(item)
        provider_task_id = _text(item.get("id"))
        if provider_task_id and task_id in wanted and token_hash(token) in wanted[task_id]:
            found[task_id] = provider_task_id
    return found


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
    parts = url.split("/") if isinstance(url, str) and url.isascii() else []
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
