"""The life of a task: its states, the table of moves, and when something is to be done about it."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from fluxgate.settings import time_scale

if TYPE_CHECKING:
    from fluxgate.catalogue import Action


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
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.SUBMITTING}),
    Status.SUBMITTING: frozenset({Status.QUEUED}),
    Status.SUBMITTED: frozenset({Status.SUBMITTING}),
    Status.GENERATED: frozenset({Status.SUBMITTING, Status.SUBMITTED, Status.QUEUED, Status.FAILED, Status.EXPIRED}),
    Status.SUCCEEDED: frozenset({Status.GENERATED}),
    Status.FAILED: frozenset({Status.QUEUED, Status.SUBMITTING, Status.SUBMITTED}),
    Status.EXPIRED: frozenset({Status.SUBMITTING, Status.SUBMITTED}),
}

OUTCOMES = frozenset({Status.SUCCEEDED, Status.FAILED, Status.EXPIRED})


class DeletionState(StrEnum):
    """What stands in the place of a status once a task's owner has deleted it: it is a task no more."""

    DELETING = "deleting"  # its content is gone, its images are yet to go
    DELETED = "deleted"  # a tombstone: it keeps the idempotency key used, and nothing else


DELETABLE = OUTCOMES | {Status.QUEUED}  # the others are, or may be, under way

# How long after arriving in an open state the reconciler looks at the task, unless something has happened to it.
DUE_AFTER: dict[Status, timedelta] = {
    Status.QUEUED: timedelta(minutes=1),  # beyond its message's delay, which the writer adds
    Status.SUBMITTING: timedelta(minutes=2),
    Status.SUBMITTED: timedelta(minutes=2),
    Status.GENERATED: timedelta(minutes=10),  # beyond the archive queue's own attempts; then ever more rarely
}
ANNOUNCED_WITHIN = timedelta(minutes=1)
DELETED_WITHIN = timedelta(minutes=1)
DELIVERED_WITHIN = timedelta(minutes=2)  # the first webhook; later ones have their own times
ASKED_AGAIN_AFTER = timedelta(minutes=10)  # about an expired task; each time as long again as it has been expired


@dataclass(frozen=True, kw_only=True)
class Image:
    """One picture. `source_url` is the provider's; `key` and what follows it are known once it is archived."""

    source_url: str
    seed: int | None = None
    key: str | None = None
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class TaskError:
    """Why a task failed, in the provider's own words."""

    code: str
    message: str


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How far the webhook about one outcome has come."""

    outcome: Status
    state: DeliveryState
    attempts: int
    next_at: datetime | None = None
    """When a pending one is due again."""
    last_answer: str | None = None
    """The receiver's status, or why there was none, of the last attempt."""

    def is_due(self, now: datetime) -> bool:
        """Whether an attempt may be made."""
        return self.state is DeliveryState.PENDING and (self.next_at is None or self.next_at <= now)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt to submit. The token is part of its callback URL; only its hash is stored."""

    attempt_id: str = field(default_factory=lambda: secrets.token_hex(8))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


@dataclass(frozen=True, kw_only=True)
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
    attempts: int = 0
    """Submissions begun."""
    attempted_at: datetime | None = None
    refusal: TaskError | None = None
    """Why the last attempt was not accepted."""
    request_hash: str | None = None
    """Of the request behind an idempotency key."""
    provider_task_id: str | None = None
    generated_at: datetime | None = None
    archive_attempts: int = 0
    images: tuple[Image, ...] = ()
    error: TaskError | None = None
    announced: Status | None = None
    """The outcome that has been put on the bus."""
    delivery: Delivery | None = None
    due_at: datetime | None = field(default=None, compare=False)
    """When something is to be done, as the index says; set by the store."""

    @property
    def outcome_id(self) -> str:
        """The one identity of this outcome: of its event and of its webhook, however often they are repeated."""
        return f"{self.task_id}.{self.status}"

    @property
    def webhook(self) -> Delivery | None:
        """What is known of the delivery of this outcome; a new one where nothing is. None: nobody wants to be told."""
        if self.callback_url is None or self.status not in OUTCOMES:
            return None
        if self.delivery and self.delivery.outcome is self.status:
            return self.delivery
        return Delivery(outcome=self.status, state=DeliveryState.PENDING, attempts=0)

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
        known |= {name: TaskError(**item[name]) for name in ("error", "refusal") if name in item}
        known["announced"] = Status(item["announced"]) if "announced" in item else None
        known["delivery"] = _delivery(item["delivery"]) if "delivery" in item else None
        return cls(**known)

    def to_item(self) -> dict[str, Any]:
        """Everything but None, in a table's own values."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)} | {
            "expires_at": int(self.expires_at.timestamp()),  # epoch seconds: what DynamoDB's TTL reads
        }


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What is left of a task that is being deleted."""

    task_id: str
    keys: tuple[str, ...]
    """Of its images, which may still lie in the bucket."""
    due_at: datetime | None

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        keys = (image.get("key") for image in item.get("images", ()))
        return cls(
            task_id=item["task_id"],
            keys=tuple(key for key in keys if key),
            due_at=datetime.fromisoformat(item["due_at"]) if "due_at" in item else None,
        )


_MOMENTS = {"created_at", "updated_at", "attempted_at", "generated_at", "due_at"}
_COUNTS = {"count", "attempts", "archive_attempts"}


def task_id_for(owner: str, key: str | None) -> str:
    """Random; or the same for the same owner and idempotency key, so that the create's own condition is the lock."""
    return str(uuid.uuid5(_IDEMPOTENCY, f"{owner}\n{key}") if key else uuid.uuid4())


_IDEMPOTENCY = uuid.UUID("6f2f2f0e-6f5c-4a55-9f0e-8c3f7d0a1b5c")


def token_hash(token: str) -> str:
    """The form in which a callback token is stored and compared."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def due_at(task: Task, now: datetime) -> datetime | None:
    """When to look at a task again if nothing happens to it before. None: nothing is left to do."""
    if task.status is Status.GENERATED:
        return max(due_in(task.status, now), now + (now - (task.generated_at or now)))
    if task.status not in OUTCOMES or task.announced is not task.status:
        return due_in(task.status, now)
    moments = []
    if (webhook := task.webhook) and webhook.state is DeliveryState.PENDING:
        planned = webhook.next_at or now
        moments.append(planned if planned > now else now + scaled(DELIVERED_WITHIN))
    if task.status is Status.EXPIRED:
        moments.append(now + max(scaled(ASKED_AGAIN_AFTER), now - task.updated_at))
    return min((moment for moment in moments if moment < task.expires_at), default=None)


def scaled(wait: timedelta) -> timedelta:
    """A wait as long as it is here: on a laptop it may be shorter."""
    return wait / time_scale()


def due_in(status: Status, now: datetime) -> datetime:
    """When a task that has just come to a state is due."""
    return now + scaled(DUE_AFTER.get(status, ANNOUNCED_WITHIN))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: sorts as text, on which the indexes rely."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """What a table stores: no empty sets, no None inside of maps, moments as text."""
    match value:
        case datetime():
            return timestamp(value)
        case Image() | TaskError() | Delivery():
            return {name: plain(part) for name, part in asdict(value).items() if part is not None}
        case tuple():
            return [plain(element) for element in value]
        case frozenset():
            return set(value) or None
        case StrEnum():
            return value.value
    return value


def _image(stored: Mapping[str, Any]) -> Image:
    numbers = {name: int(stored[name]) for name in ("seed", "width", "height", "bytes") if name in stored}
    return Image(**{**stored, **numbers})


def _delivery(stored: Mapping[str, Any]) -> Delivery:
    return Delivery(
        outcome=Status(stored["outcome"]),
        state=DeliveryState(stored["state"]),
        attempts=int(stored["attempts"]),
        next_at=datetime.fromisoformat(stored["next_at"]) if "next_at" in stored else None,
        last_answer=stored.get("last_answer"),
    )
