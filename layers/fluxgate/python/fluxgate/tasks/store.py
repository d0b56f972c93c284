"""Reads and writes of tasks. Every write is one call whose condition is compiled from the table of transitions."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

from fluxgate.aws.dynamodb import Attr, ConditionBase, ConditionFailed, Item, Returns, Table
from fluxgate.errors import CallbackRefused, InvalidTransition, TaskDeleted, TaskInFlight, TaskNotFound
from fluxgate.tasks.items import deletion_from_item, encode, from_item, timestamp, to_item
from fluxgate.tasks.model import (
    DELETABLE,
    TRANSITIONS,
    Attempt,
    Deletion,
    DeletionState,
    Status,
    Task,
    token_hash,
)
from fluxgate.tasks.schedule import DELETED_WITHIN, due_since, next_due
from fluxgate.telemetry import count, logger

if TYPE_CHECKING:
    from fluxgate.clock import Clock

DUE_SHARDS = 10

# A filtered list reads at most MAX_PAGES pages of FILTERED_PAGE tasks per request.
FILTERED_PAGE = 100
MAX_PAGES = 10

# Fields that stay while a task is being deleted. Without created_at it is not in the index `by_owner`.
FIELDS_WHILE_DELETING = {"task_id", "owner", "expires_at", "images", "updated_at", "status", "due_at"}


class TaskStore:
    """Every method is one call to DynamoDB. If a write is refused, the stored item that comes back says why.

    Raises StorageUnavailable if DynamoDB does not respond; whether a write took effect is then unknown.
    """

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def create(self, task: Task) -> Task:
        """Store a new task. Condition: the id is unused, or was stored by this same attempt (the SDK repeats a write
        whose response was lost).

        Raises InvalidTransition with the stored task if another attempt used the id, and TaskDeleted.
        """
        due = _due(task.task_id, due_since(task.created_at, task.status, self._clock))
        try:
            self._table.put(to_item(task) | due, Attr("task_id").not_exists())
        except ConditionFailed as refused:
            if _is_deleted(refused.item):
                raise TaskDeleted from None
            stored = from_item(refused.item)
            if stored.attempt_id != task.attempt_id:
                raise InvalidTransition(stored, task.status) from None
        return task

    def transition(
        self,
        task_id: str,
        to: Status,
        *,
        attempt_id: str | None = None,
        delay: timedelta = timedelta(0),
        **changes: Any,
    ) -> Task:
        """Change the status and set other fields (None removes a field). `delay` postpones when the task is due.

        Conditions: TRANSITIONS allows `to`; `attempt_id`, if given, is the last attempt. Raises TaskNotFound, or
        InvalidTransition with the stored task, also if the task already has the status `to`.
        """
        condition = _may_reach(to)
        if attempt_id is not None:
            condition &= Attr("attempt_id").eq(attempt_id)
        return self._update(task_id, self._transition(task_id, to, delay, changes), condition, to)

    def transition_by_token(self, task_id: str, to: Status, *, token: str, **changes: Any) -> datetime:
        """As `transition`, for a caller that knows the callback token of an attempt. Returns when the task entered its
        previous status. Reading the whole task back would take an eighth of a callback's CPU time.

        Raises CallbackRefused (unknown task or wrong token) or InvalidTransition.
        """
        condition = _may_reach(to) & Attr("callback_tokens").contains(token_hash(token))
        written = self._transition(task_id, to, timedelta(0), changes)
        previous = self._write(task_id, written, condition, to, token=token, returns="UPDATED_OLD")
        return datetime.fromisoformat(previous["updated_at"])

    def mark_submitted(self, task: Task, handle: str) -> Task:
        """As `transition` to `submitted`, for a caller that holds the whole task: it is not read back."""
        to = Status.SUBMITTED
        changes = self._transition(task.task_id, to, timedelta(0), {"provider_task_id": handle})
        self._write(task.task_id, changes, _may_reach(to), to, returns="UPDATED_OLD")
        return replace(task, status=to, provider_task_id=handle, updated_at=changes["updated_at"])

    def claim(self, task_id: str, attempt: Attempt) -> Task:
        """Begin an attempt: `queued` becomes `submitting`, and the attempt's token is added to the earlier ones.

        Condition: the task is queued, or was claimed by this same attempt (the SDK repeats a write whose response was
        lost). Raises TaskNotFound or InvalidTransition.
        """
        now = self._clock.now()
        to = Status.SUBMITTING
        changes = {"status": to, "updated_at": now, "attempted_at": now, "attempt_id": attempt.attempt_id}
        changes |= _due(task_id, due_since(now, to, self._clock))
        add = {"attempts": 1, "callback_tokens": {token_hash(attempt.token)}}
        try:
            return self._update(task_id, changes, _may_reach(to), to, add=add)
        except InvalidTransition as refused:
            if refused.task.attempt_id != attempt.attempt_id:
                raise
            return refused.task

    def update_outcome(self, task: Task, **changes: Any) -> Task:
        """Set fields of a task that has an outcome, and when it is due next.

        Conditions: the outcome and the number of delivery tries are those of `task`. Raises TaskNotFound or
        InvalidTransition.
        """
        tries = Attr("delivery.attempts")
        condition: ConditionBase = Attr("status").eq(task.status)
        condition &= tries.eq(task.delivery.attempts) if task.delivery else tries.not_exists()
        changes |= _due(task.task_id, next_due(replace(task, **changes), self._clock))
        return self._update(task.task_id, changes, condition, task.status)

    def update(self, task_id: str, *, while_in: Status, **changes: Any) -> Task:
        """Set fields of a task. Condition: its status is `while_in`. Raises TaskNotFound or InvalidTransition."""
        return self._update(task_id, changes, Attr("status").eq(while_in), while_in)

    def postpone(self, task: Task, until: datetime | None = None) -> Task:
        """Set when the task is due, by default from its status and age. Condition: its status has not changed. Raises
        TaskNotFound or InvalidTransition.
        """
        due = _due(task.task_id, until or next_due(task, self._clock))
        return self._update(task.task_id, due, Attr("status").eq(task.status), task.status)

    def due(self, shard: int, limit: int) -> list[Task | Deletion]:
        """Due tasks and deletions of one shard, longest waiting first, without those that cannot be read."""
        where = Key("due_shard").eq(shard) & Key("due_at").lte(timestamp(self._clock.now()))
        items, _ = self._table.query("due", where, None, limit, None, ascending=True)
        return [entry for item in items if (entry := _read(item))]

    def get(self, task_id: str, owner: str | None = None) -> Task:
        """Raises TaskNotFound, also if `owner` is given and the task belongs to another."""
        item = self._table.get({"task_id": task_id})
        if item is None or _is_deleted(item) or owner not in {None, item["owner"]}:
            raise TaskNotFound
        return from_item(item)

    def get_many(self, task_ids: Collection[str], owner: str) -> tuple[list[Task], list[str]]:
        """Up to 100 tasks. Returns the owner's tasks and the remaining ids, both in the order of `task_ids`."""
        wanted = dict.fromkeys(task_ids)
        items = {item["task_id"]: item for item in self._table.get_many([{"task_id": task_id} for task_id in wanted])}
        visible = {name for name, item in items.items() if not _is_deleted(item) and item["owner"] == owner}
        found = [from_item(items[task_id]) for task_id in wanted if task_id in visible]
        return found, [task_id for task_id in wanted if task_id not in visible]

    def list(
        self, owner: str, statuses: Collection[Status] | None, limit: int, after: Item | None
    ) -> tuple[list[Task], Item | None]:
        """An owner's tasks, newest first, and the key to continue after (None on the last page).

        A filtered page may be short or empty although more follow: see MAX_PAGES.
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
        return [from_item(item) for item in found[:limit]], after

    def begin_deletion(self, task_id: str, owner: str) -> Deletion:
        """Remove a task's content. It leaves all lists, refuses callbacks and claims, and stays due until its images
        are deleted.

        Conditions: the task belongs to `owner` and its status is in DELETABLE. Returns the running deletion if there is
        one. Raises TaskNotFound or TaskInFlight.
        """
        condition = Attr("owner").eq(owner) & Attr("status").is_in(sorted(DELETABLE))
        content = dict.fromkeys({field.name for field in fields(Task)} - FIELDS_WHILE_DELETING)
        due = _due(task_id, self._clock.after(DELETED_WITHIN))
        changes = {**content, "status": DeletionState.DELETING, "updated_at": self._clock.now(), **due}
        values = {name: encode(value) for name, value in changes.items()}
        try:
            return deletion_from_item(self._table.update({"task_id": task_id}, values, condition))
        except ConditionFailed as refused:
            item = refused.item
        if not item or item["owner"] != owner or item["status"] == DeletionState.DELETED:
            raise TaskNotFound
        if item["status"] == DeletionState.DELETING:
            return deletion_from_item(item)
        raise TaskInFlight

    def leave_tombstone(self, deletion: Deletion) -> None:
        """Finish a deletion. Condition: it is running; otherwise nothing changes."""
        changes = {"status": DeletionState.DELETED.value, "images": None, **_due(deletion.task_id, None)}
        with suppress(ConditionFailed):
            self._table.update({"task_id": deletion.task_id}, changes, Attr("status").eq(DeletionState.DELETING.value))

    def _transition(self, task_id: str, to: Status, delay: timedelta, changes: Mapping[str, Any]) -> dict[str, Any]:
        """All changes of a transition."""
        now = self._clock.now()
        written = {"status": to, "updated_at": now, **_due(task_id, due_since(now + delay, to, self._clock)), **changes}
        return written | {"generated_at": now, "error": None} if to is Status.GENERATED else written

    def _update(self, task_id: str, changes: Item, condition: ConditionBase, to: Status, **options: Any) -> Task:
        return from_item(self._write(task_id, changes, condition, to, **options))

    def _write(
        self,
        task_id: str,
        changes: Item,
        condition: ConditionBase,
        to: Status,
        *,
        add: Mapping[str, Any] | None = None,
        token: str | None = None,
        returns: Returns = "ALL_NEW",
    ) -> Item:
        values = {name: encode(value) for name, value in changes.items()}
        try:
            return self._table.update({"task_id": task_id}, values, condition, add, returns=returns)
        except ConditionFailed as refused:
            raise _refusal(refused.item, to, token) from None


def _may_reach(to: Status) -> ConditionBase:
    return Attr("status").is_in(sorted(TRANSITIONS[to]))


def _is_deleted(item: Item) -> bool:
    return item["status"] in set(DeletionState)


def _read(item: Item) -> Task | Deletion | None:
    """None if the item cannot be read. It must not block the others."""
    try:
        return deletion_from_item(item) if _is_deleted(item) else from_item(item)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        logger.exception("Task cannot be read", extra={"task_id": item["task_id"]})
        count("TaskUnreadable")
        return None


def _refusal(item: Item, to: Status, token: str | None) -> CallbackRefused | TaskNotFound | InvalidTransition:
    if not item or _is_deleted(item):
        return TaskNotFound() if token is None else CallbackRefused("unknown task")
    task = from_item(item)
    if token is not None and token_hash(token) not in task.callback_tokens:
        return CallbackRefused("wrong token")
    return InvalidTransition(task, to)


def _due(task_id: str, moment: datetime | None) -> dict[str, Any]:
    """The key of the sparse index `due`. None removes the task from it: no work is left."""
    if moment is None:
        return {"due_shard": None, "due_at": None}
    return {"due_shard": zlib.crc32(task_id.encode()) % DUE_SHARDS, "due_at": timestamp(moment)}
