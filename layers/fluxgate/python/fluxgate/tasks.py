"""The life of a task: its states, the table of moves, and every write of it."""

from __future__ import annotations

import hashlib
import secrets
import uuid
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from boto3.dynamodb.conditions import Key

from fluxgate.catalogue import Action
from fluxgate.dynamodb import Attr, ConditionBase, ConditionFailed, Item, Table
from fluxgate.errors import CallbackRefused, MoveRefused, TaskNotFound


class Status(StrEnum):
    QUEUED = "queued"  # stored, certainly not at the provider
    SUBMITTING = "submitting"  # a submission may be on the wire
    SUBMITTED = "submitted"  # the provider's id is known
    GENERATED = "generated"  # the provider has finished, its URLs are known
    SUCCEEDED = "succeeded"  # the images are in our bucket
    FAILED = "failed"  # the provider said no
    EXPIRED = "expired"  # we stopped waiting


# Where each state may be reached from. A task is created in QUEUED or SUBMITTING. GENERATED from QUEUED, FAILED and
# EXPIRED is the late result, which still counts.
REACHED_FROM: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.SUBMITTING}),
    Status.SUBMITTING: frozenset({Status.QUEUED}),
    Status.SUBMITTED: frozenset({Status.SUBMITTING}),
    Status.GENERATED: frozenset({Status.SUBMITTING, Status.SUBMITTED, Status.QUEUED, Status.FAILED, Status.EXPIRED}),
    Status.SUCCEEDED: frozenset({Status.GENERATED}),
    Status.FAILED: frozenset({Status.QUEUED, Status.SUBMITTING, Status.SUBMITTED}),
    Status.EXPIRED: frozenset({Status.SUBMITTING, Status.SUBMITTED}),
}

# How long after arriving in a state something is left to do about the task. No entry: nothing is.
DUE_AFTER: dict[Status, timedelta] = {
    Status.QUEUED: timedelta(minutes=1),
    Status.SUBMITTING: timedelta(minutes=2),
    Status.SUBMITTED: timedelta(minutes=2),
    Status.GENERATED: timedelta(minutes=10),
}
DUE_SHARDS = 10

# A list under a filter reads at most MAX_PAGES times FILTERED_PAGE tasks for one answer.
FILTERED_PAGE = 100
MAX_PAGES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One picture. `source_url` is the provider's; `key` and what follows it are known once it is archived."""

    source_url: str
    seed: int | None = None
    key: str | None = None
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskError:
    """Why a task failed, in the provider's own words."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One attempt to submit. The token is part of its callback URL; only its hash is stored."""

    attempt_id: str = field(default_factory=lambda: secrets.token_hex(8))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A task as it is stored."""

    task_id: str
    owner: str
    status: Status
    action: Action
    model: str
    prompt: str
    size: str
    count: int
    provider: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    image_url: str | None = None
    callback_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    attempt_id: str | None = None
    callback_tokens: frozenset[str] = frozenset()
    """SHA-256, in hex, of every attempt's callback token."""
    attempted_at: datetime | None = None
    provider_task_id: str | None = None
    generated_at: datetime | None = None
    archive_attempts: int = 0
    images: tuple[Image, ...] = ()
    error: TaskError | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """From the item's own values, whose numbers are Decimals."""
        known: dict[str, Any] = {f.name: item[f.name] for f in fields(cls) if f.name in item}
        known |= {name: datetime.fromisoformat(known[name]) for name in _MOMENTS & known.keys()}
        known |= {name: int(known[name]) for name in _COUNTS & known.keys()}
        known["status"] = Status(item["status"])
        known["expires_at"] = datetime.fromtimestamp(int(item["expires_at"]), UTC)
        known["callback_tokens"] = frozenset(item.get("callback_tokens", ()))
        known["images"] = tuple(_image(image) for image in item.get("images", ()))
        known["error"] = TaskError(**item["error"]) if "error" in item else None
        return cls(**known)

    def to_item(self) -> Item:
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)} | {
            "expires_at": int(self.expires_at.timestamp()),  # epoch seconds: what DynamoDB's TTL reads
        }


_MOMENTS = {"created_at", "updated_at", "attempted_at", "generated_at"}
_COUNTS = {"count", "archive_attempts"}


def new_task_id() -> str:
    return str(uuid.uuid4())


def token_hash(token: str) -> str:
    """The form in which a callback token is stored and compared."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


class TaskStore:
    """The tasks, every method one call. A refused write tells why from the item that comes back with the refusal.

    Raises StorageUnavailable where DynamoDB did not answer: whether a write happened is then unknown.
    """

    def __init__(self, table: Table, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table = table
        self._clock = clock

    def create(self, task: Task) -> Task:
        """Store a new task. Condition: its id is not taken, or taken by this very attempt (an SDK repeats a write whose
        answer was lost).

        Raises MoveRefused with the stored task where another attempt took the id.
        """
        try:
            self._table.put(
                task.to_item() | _due(task.task_id, task.status, task.created_at), Attr("task_id").not_exists()
            )
        except ConditionFailed as refused:
            stored = Task.from_item(refused.item)
            if stored.attempt_id != task.attempt_id:
                raise MoveRefused(stored, task.status) from None
        return task

    def advance(self, task_id: str, to: Status, *, token: str | None = None, **facts: Any) -> Task:
        """Move a task to `to` and set its facts (None removes one), in one conditional write.

        Conditions: the task is in a state of REACHED_FROM[to] and, where a token is given, the token is one of its
        attempts'. Raises TaskNotFound, CallbackRefused (no such task, or another token) or MoveRefused with what is
        stored, also where the task already is where it should go.
        """
        now = self._clock()
        condition: ConditionBase = Attr("status").is_in(sorted(REACHED_FROM[to]))
        if token is not None:
            condition &= Attr("callback_tokens").contains(token_hash(token))
        changes = {"status": to, "updated_at": now, **_due(task_id, to, now), **facts}
        if to is Status.GENERATED:
            changes |= {"generated_at": now, "error": None}
        return self._update(task_id, changes, condition, to, token)

    def record(self, task_id: str, *, while_in: Status, **facts: Any) -> Task:
        """Set facts that are no state. Condition: the task is in `while_in`.

        Raises TaskNotFound, or MoveRefused with what is stored.
        """
        return self._update(task_id, facts, Attr("status").eq(while_in), while_in)

    def get(self, task_id: str, owner: str) -> Task:
        """Raises TaskNotFound also where the task is another owner's."""
        item = self._table.get({"task_id": task_id})
        if item is None or item["owner"] != owner:
            raise TaskNotFound
        return Task.from_item(item)

    def list(
        self, owner: str, statuses: Collection[Status] | None, limit: int, after: Item | None
    ) -> tuple[list[Task], Item | None]:
        """An owner's tasks, newest first, and the key behind which more follow (None: that was all).

        Under a filter a page may be short, even empty, though more follow: see MAX_PAGES.
        """
        only = Attr("status").is_in(sorted(statuses)) if statuses is not None else None
        found: list[Item] = []
        for _ in range(MAX_PAGES):
            size = FILTERED_PAGE if only else limit + 1
            items, after = self._table.query("by_owner", Key("owner").eq(owner), only, size, after)
            found += items
            if len(found) > limit:
                after = {name: found[limit - 1][name] for name in ("task_id", "owner", "created_at")}
            if len(found) > limit or after is None:
                break
        return [Task.from_item(item) for item in found[:limit]], after

    def _update(
        self,
        task_id: str,
        changes: Mapping[str, Any],
        condition: ConditionBase,
        to: Status,
        token: str | None = None,
    ) -> Task:
        plain = {name: _plain(value) for name, value in changes.items()}
        try:
            return Task.from_item(self._table.update({"task_id": task_id}, plain, condition))
        except ConditionFailed as refused:
            raise _refusal(refused.item, to, token) from None


def _refusal(item: Item, to: Status, token: str | None) -> CallbackRefused | TaskNotFound | MoveRefused:
    if not item:
        return TaskNotFound() if token is None else CallbackRefused("unknown task")
    task = Task.from_item(item)
    if token is not None and token_hash(token) not in task.callback_tokens:
        return CallbackRefused("wrong token")
    return MoveRefused(task, to)


def _due(task_id: str, status: Status, now: datetime) -> dict[str, Any]:
    """The key of the sparse index `due`; None, which removes it, where nothing is left to do."""
    if status not in DUE_AFTER:
        return {"due_shard": None, "due_at": None}
    return {"due_shard": zlib.crc32(task_id.encode()) % DUE_SHARDS, "due_at": timestamp(now + DUE_AFTER[status])}


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: sorts as text, on which the indexes rely."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """What a table stores: no empty sets, no None inside of maps, moments as text."""
    match value:
        case datetime():
            return timestamp(value)
        case Image() | TaskError():
            return {name: part for name, part in asdict(value).items() if part is not None}
        case tuple():
            return [_plain(element) for element in value]
        case frozenset():
            return set(value) or None
        case StrEnum():
            return value.value
    return value


def _image(stored: Mapping[str, Any]) -> Image:
    numbers = {name: int(stored[name]) for name in ("seed", "width", "height", "bytes") if name in stored}
    return Image(**{**stored, **numbers})
