"""A task, its statuses and the table of transitions."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fluxgate.catalogue import Action


class Status(StrEnum):
    QUEUED = "queued"  # stored, certainly not at the provider
    SUBMITTING = "submitting"  # a submission may be on the wire
    SUBMITTED = "submitted"  # the provider's handle is known
    GENERATED = "generated"  # the provider has finished, its image URLs are known
    SUCCEEDED = "succeeded"  # the images are in our bucket
    FAILED = "failed"  # refused, failed at the provider, or never accepted
    EXPIRED = "expired"  # no result within the deadline


# The statuses from which each status may be reached. Tasks are created in QUEUED or SUBMITTING. GENERATED follows
# QUEUED, FAILED or EXPIRED when a result arrives late.
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
DELETABLE = OUTCOMES | {Status.QUEUED}  # in any other status the task is, or may be, at the provider


class DeletionState(StrEnum):
    """The status of a task that its owner has deleted."""

    DELETING = "deleting"  # the content is gone, images remain
    DELETED = "deleted"  # a tombstone, which keeps the idempotency key in use


EpochSeconds = Annotated[datetime, int]
"""Stored as seconds since 1970, as DynamoDB's TTL requires. Other datetimes are stored as RFC 3339."""


@dataclass(frozen=True, kw_only=True)
class Image:
    source_url: str
    """The provider's URL, which expires."""
    seed: int | None = None
    key: str | None = None
    """Set, like the following fields, once the image is archived."""
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class TaskError:
    """Why a task failed."""

    code: str
    message: str


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The delivery of one outcome's webhook."""

    outcome: Status
    state: DeliveryState
    attempts: int
    """Delivery tries so far."""
    next_at: datetime | None = None
    """When a pending delivery is tried again."""
    last_answer: str | None = None
    """The receiver's last response, as a short code."""

    def is_due(self, now: datetime) -> bool:
        return self.state is DeliveryState.PENDING and (self.next_at is None or self.next_at <= now)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One submission to the provider. The token is part of its callback URL; only the hash is stored."""

    attempt_id: str = field(default_factory=lambda: secrets.token_hex(8))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


@dataclass(frozen=True, kw_only=True)
class Task:
    """The stored task. Field names are attribute names in the table, and therefore frozen."""

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
    expires_at: EpochSeconds
    image_url: str | None = None
    callback_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    attempt_id: str | None = None
    callback_tokens: frozenset[str] = frozenset()
    """SHA-256, in hex, of the callback token of every attempt."""
    attempts: int = 0
    attempted_at: datetime | None = None
    refusal: TaskError | None = None
    """Why the last attempt was not accepted."""
    request_hash: str | None = None
    """Detects another request with the same idempotency key."""
    provider_task_id: str | None = None
    """The provider's handle, opaque outside the provider's module."""
    generated_at: datetime | None = None
    archive_attempts: int = 0
    """Receives of the archive message."""
    images: tuple[Image, ...] = ()
    error: TaskError | None = None
    announced: Status | None = None
    """The outcome whose event was published."""
    delivery: Delivery | None = None
    due_at: datetime | None = field(default=None, compare=False)
    """When the reconciler looks at the task, set by the store."""

    @property
    def outcome_id(self) -> str:
        """Identifies the outcome's event and webhook, however often they are repeated."""
        return f"{self.task_id}.{self.status}"

    @property
    def webhook(self) -> Delivery | None:
        """The delivery of the current outcome. None without an outcome or a callback URL."""
        if self.callback_url is None or self.status not in OUTCOMES:
            return None
        if self.delivery and self.delivery.outcome is self.status:
            return self.delivery
        return Delivery(outcome=self.status, state=DeliveryState.PENDING, attempts=0)


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """A deletion that has not finished."""

    task_id: str
    keys: tuple[str, ...]
    """Images that may still be in the bucket."""
    due_at: datetime | None


def task_id_for(owner: str, key: str | None) -> str:
    """A random id or, with an idempotency key, always the same one: the condition of the create detects repeats."""
    return str(uuid.uuid5(_IDEMPOTENCY, f"{owner}\n{key}") if key else uuid.uuid4())


_IDEMPOTENCY = uuid.UUID("6f2f2f0e-6f5c-4a55-9f0e-8c3f7d0a1b5c")


def token_hash(token: str) -> str:
    """The stored form of a callback token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
