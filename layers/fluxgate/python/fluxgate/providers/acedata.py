"""AceDataCloud's Flux API (facts: the vendor's public documents, 2026)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fluxgate.errors import MalformedBody, NotSent, ProviderUnavailable, ResponseLost
from fluxgate.providers.port import (
    Accepted,
    Failed,
    Generated,
    NotAccepted,
    NotFound,
    ProviderResult,
    Refused,
    Running,
    SubmitResult,
    Unknown,
)
from fluxgate.tasks.model import Image, Task, TaskError, token_hash

if TYPE_CHECKING:
    # receive_callback parses callbacks without importing these.
    from pydantic import SecretStr

    from fluxgate.clock import Clock
    from fluxgate.http.trusted import ProviderSession

NAME = "acedata"

PACE = timedelta(seconds=1.1)  # between queries; the vendor asks for less than one request per second

# Limits on what is stored of a response, so that no response makes an item too large for DynamoDB.
MAX_IMAGES = 16
MAX_URL = 4096
MAX_TEXT = 2000

SEEDS = range(-(2**63), 2**64)  # DynamoDB numbers have 38 digits

RETRIEVE_LIMIT = 50  # ids per query

# The list of all tasks, which the vendor's own client reads. One search covers submissions that began within
# LIST_SPAN_SECONDS of each other and reads at most LIST_PAGES pages.
LIST_LIMIT = 50
LIST_PAGES = 20
LIST_SPAN_SECONDS = 60
CLOCK_SKEW_SECONDS = 60

# Errors about our credentials or rate limit, not about this query.
CALLER_STATUSES = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
CALLER_CODES = frozenset({"no_token", "token_mismatched", "disabled"})


class _QueryRefused(ProviderUnavailable):
    """The vendor rejects this query, in its own error format."""

    def __init__(self, status: int) -> None:
        super().__init__(f"http_{status}")
        self.status = status


class AceData:
    name = NAME

    def __init__(self, session: ProviderSession, url: str, token: SecretStr, clock: Clock) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token = token
        self._clock = clock
        self._has_queried = False

    def submit(self, task: Task, callback_url: str) -> SubmitResult:
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
        return _submit_result(status, content)

    def poll(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, ProviderResult]]:
        """Retrieve tasks by handle, search the list for those without one, then retrieve what was found."""
        yield from self._retrieve({task.task_id: task.provider_task_id for task in tasks if task.provider_task_id})
        found: dict[str, str] = {}
        for handles in self._find([task for task in tasks if not task.provider_task_id]):
            found |= {task_id: handle for task_id, handle in handles.items() if handle}
            yield {task_id: NotFound() for task_id, handle in handles.items() if not handle}
        yield from self._retrieve(found)

    def _retrieve(self, handles: Mapping[str, str]) -> Iterator[Mapping[str, ProviderResult]]:
        """Results by task id, from handles by task id. A refused query is repeated in halves, so that one bad id does
        not block the others."""
        ids = sorted(set(handles.values()))
        batches = [ids[n : n + RETRIEVE_LIMIT] for n in range(0, len(ids), RETRIEVE_LIMIT)]
        while batches:
            batch = batches.pop(0)
            try:
                response = self._query({"action": "retrieve_batch", "ids": batch})
            except _QueryRefused as refused:
                if refused.status == HTTPStatus.FORBIDDEN or refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                if len(batch) > 1:
                    batches[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
                    yield {}
                    continue
                response = {"items": []}
            results = {item["id"]: _task_result(item) for item in _items(response) if isinstance(item.get("id"), str)}
            yield {
                task_id: results.get(handle, Running(handle)) for task_id, handle in handles.items() if handle in batch
            }

    def _find(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, str | None]]:
        """Handles by task id, from the callback URLs in the list of all tasks; None if a task is not listed.

        Public documents do not mention the list, so a refused query means that nothing is listed.
        """
        for window in _windows(tasks):
            yield from self._search(window)

    def _search(self, tasks: Sequence[Task]) -> Iterator[Mapping[str, str | None]]:
        wanted = {task.task_id: task.callback_tokens for task in tasks}
        times = {
            "created_at_min": _began(tasks[0]) - CLOCK_SKEW_SECONDS,
            "created_at_max": _began(tasks[-1]) + CLOCK_SKEW_SECONDS,
        }
        offset = 0
        for page in itertools.count(1):
            query = {"action": "retrieve_batch", **times, "limit": LIST_LIMIT, "offset": offset}
            try:
                response = self._query(query)
            except _QueryRefused:
                response = {"items": []}
            items = _items(response)
            found = _matches(items, wanted)
            wanted = {task_id: tokens for task_id, tokens in wanted.items() if task_id not in found}
            offset += len(items)
            if not items or not wanted or page == LIST_PAGES or _is_last_page(response, offset, len(items)):
                yield {**found, **dict.fromkeys(wanted)}
                return
            yield found

    def _query(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """A response with items. Raises _QueryRefused, or ProviderUnavailable for anything else."""
        if self._has_queried:
            self._clock.sleep(self._clock.scaled(PACE).total_seconds())
        self._has_queried = True
        try:
            status, content = self._session.post(f"{self._url}/flux/tasks", query, self._headers())
        except (NotSent, ResponseLost) as error:
            raise ProviderUnavailable(str(error)) from None
        response = _json_object(content) or {}
        if status == HTTPStatus.OK and isinstance(response.get("items"), list):
            return response
        about_us = status in CALLER_STATUSES or _error(response, "").code in CALLER_CODES
        if about_us or not _is_vendor_error(response):
            raise ProviderUnavailable(f"http_{status}")
        raise _QueryRefused(status)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.get_secret_value()}", "Accept": "application/json"}


def parse_callback(body: bytes, headers: Mapping[str, str]) -> ProviderResult:  # noqa: ARG001 - callbacks are unsigned
    """Raises MalformedBody if the body is not a JSON object."""
    callback = _json_object(body)
    if callback is None:
        raise MalformedBody([("", "The body is not a JSON object.")])
    return _callback_result(callback)


def _request(task: Task, callback_url: str) -> dict[str, Any]:
    """Only documented fields. `size` is always sent: the vendor rejects requests without it."""
    request = {"action": task.action, "prompt": task.prompt, "model": task.model, "size": task.size}
    own: dict[str, Any] = {"count": task.count} if task.action == "generate" else {"image_url": task.image_url}
    return request | own | {"callback_url": callback_url}


def _submit_result(status: int, content: bytes) -> SubmitResult:
    response = _json_object(content) or {}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return NotAccepted(_error(response, "too_many_requests"))
    if status >= HTTPStatus.BAD_REQUEST or response.get("success") is False:
        if _is_vendor_error(response):
            return Refused(_error(response, f"http_{status}"))
        return Unknown(f"http_{status}")
    task_id = _text(response.get("task_id"))
    if status != HTTPStatus.OK or not task_id:
        return Unknown(f"http_{status}_without_task_id")
    return Accepted(task_id, _images(response))


def _callback_result(response: Mapping[str, Any]) -> ProviderResult:
    """An image means finished, whatever `success` says. Success without an image means still running."""
    task_id = _text(response.get("task_id"))
    images = _images(response)
    if images:
        return Generated(images, task_id)
    if response.get("success") is False:
        return Failed(_error(response, "provider_error"), task_id)
    return Running(task_id)


def _items(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [item for item in response["items"] if isinstance(item, dict)]


def _is_last_page(response: Mapping[str, Any], read: int, on_this_page: int) -> bool:
    """Pages may be shorter than requested, and `count` may mean all tasks or those of the page."""
    count = response.get("count")
    return on_this_page < LIST_LIMIT and (not isinstance(count, int) or read >= count)


def _windows(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Groups of tasks that began at about the same time, so that each search covers a short list."""
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


def _task_result(item: Mapping[str, Any]) -> ProviderResult:
    """There is no status field. An image means finished; an error with a code, or an end without an image, failed."""
    stored = item.get("response")
    response = stored if isinstance(stored, dict) else {}
    task_id = _text(item.get("id"))
    if images := _images(response):
        return Generated(images, task_id)
    error = response.get("error")
    if response.get("success") is False and isinstance(error, dict) and error.get("code"):
        return Failed(_error(response, "provider_error"), task_id)
    if item.get("finished_at"):
        return Failed(_error(response, "provider_error"), task_id)
    return Running(task_id)


def _callback_parts(item: Mapping[str, Any]) -> tuple[str, str]:
    """Our task id and token, from the callback URL in the echoed request."""
    request = item.get("request")
    url = request.get("callback_url") if isinstance(request, dict) else None
    parts = url.split("/") if isinstance(url, str) and url.isascii() else []
    return (parts[-2], parts[-1]) if len(parts) > 2 else ("", "")


def _is_vendor_error(response: Mapping[str, Any]) -> bool:
    """Whether `error` is an object with a code, or a string or null beside another of the vendor's fields."""
    if "error" not in response:
        return False
    error = response["error"]
    return (isinstance(error, dict) and "code" in error) or "trace_id" in response or response.get("success") is False


def _error(response: Mapping[str, Any], default_code: str) -> TaskError:
    error = response.get("error")
    if isinstance(error, dict):
        code, message = _text(error.get("code")), _text(error.get("message"))
    else:
        code, message = None, _text(error)
    return TaskError(code=code or default_code, message=message or "The provider gave no reason.")


def _images(response: Mapping[str, Any]) -> tuple[Image, ...]:
    data = response.get("data")
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
        response = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return response if isinstance(response, dict) else None


def _text(value: object, max_length: int = MAX_TEXT) -> str | None:
    """Text that can be stored: JSON permits unpaired surrogates, UTF-8 does not."""
    return value[:max_length].encode(errors="replace").decode() if isinstance(value, str) and value else None
