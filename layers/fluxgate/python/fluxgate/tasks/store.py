"""Every read and write of a task: one call each, the table of moves compiled into its condition."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from boto3.dynamodb.conditions import Key

from fluxgate.aws.dynamodb import Attr, ConditionBase, ConditionFailed, Item, Returns, Table
from fluxgate.errors import CallbackRefused, InvalidTransition, TaskDeleted, TaskInFlight, TaskNotFound
from fluxgate.tasks.model import (
    DELETABLE,
    DELETED_WITHIN,
    TRANSITIONS,
    Attempt,
    Deletion,
    DeletionState,
    Status,
    Task,
    due_at,
    due_in,
    plain,
    scaled,
    timestamp,
    token_hash,
)
from fluxgate.telemetry import count, logger

DUE_SHARDS = 10

# A list under a filter reads at most MAX_PAGES times FILTERED_PAGE tasks for one answer.
FILTERED_PAGE = 100
MAX_PAGES = 10

# What a task keeps while it is deleted. Without created_at it is in no list.
KEPT = {"task_id", "owner", "expires_at", "images", "updated_at", "status", "due_at"}


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

        Raises InvalidTransition with the stored task where another attempt took the id, and TaskDeleted.
        """
        try:
            self._table.put(
                task.to_item() | _due(task.task_id, due_in(task.status, task.created_at)), Attr("task_id").not_exists()
            )
        except ConditionFailed as refused:
            if _is_gone(refused.item):
                raise TaskDeleted from None
            stored = Task.from_item(refused.item)
            if stored.attempt_id != task.attempt_id:
                raise InvalidTransition(stored, task.status) from None
        return task

    def advance(
        self,
        task_id: str,
        to: Status,
        *,
        attempt_id: str | None = None,
        delay: timedelta = timedelta(0),
        **facts: Any,
    ) -> Task:
        """Move a task to `to` and set its facts (None removes one), in one conditional write. With `delay` it is due so
        much later.

        Conditions: the task is in a state of TRANSITIONS[to]; where an attempt is given, it is the last one. Raises
        TaskNotFound, or InvalidTransition with what is stored, also where the task already is where it should go.
        """
        condition = _may_reach(to)
        if attempt_id is not None:
            condition &= Attr("attempt_id").eq(attempt_id)
        return self._update(task_id, self._move(task_id, to, delay, facts), condition, to)

    def settle(self, task_id: str, to: Status, token: str, **facts: Any) -> datetime:
        """Move a task as `advance` does, for one who knows the token of one of its attempts. Tells when the task had
        come to its former state, and no more: to read all of it would take an eighth of a callback's processor time.

        Raises CallbackRefused (no such task, or another token) or InvalidTransition.
        """
        condition = _may_reach(to) & Attr("callback_tokens").contains(token_hash(token))
        changes = self._move(task_id, to, timedelta(0), facts)
        before = self._write(task_id, changes, condition, to, token=token, returns="UPDATED_OLD")
        return datetime.fromisoformat(before["updated_at"])

    def accept(self, task: Task, provider_task_id: str) -> Task:
        """Move a task to `submitted` as `advance` does, for the attempt that has it in hand: it need not read it."""
        to = Status.SUBMITTED
        changes = self._move(task.task_id, to, timedelta(0), {"provider_task_id": provider_task_id})
        self._write(task.task_id, changes, _may_reach(to), to, returns="UPDATED_OLD")
        return replace(task, status=to, provider_task_id=provider_task_id, updated_at=changes["updated_at"])

    def claim(self, task_id: str, attempt: Attempt) -> Task:
        """Begin an attempt: a queued task becomes `submitting`, with the attempt's token beside the earlier ones.

        Condition: it is queued; or it was this very attempt that claimed it (an SDK repeats a write whose answer was
        lost). Raises TaskNotFound or InvalidTransition.
        """
        now = self._clock()
        to = Status.SUBMITTING
        changes = {"status": to, "updated_at": now, "attempted_at": now, "attempt_id": attempt.attempt_id}
        changes |= _due(task_id, due_in(to, now))
        add = {"attempts": 1, "callback_tokens": {token_hash(attempt.token)}}
        try:
            return self._update(task_id, changes, _may_reach(to), to, add=add)
        except InvalidTransition as refused:
            if refused.task.attempt_id != attempt.attempt_id:
                raise
            return refused.task

    def note(self, task: Task, **facts: Any) -> Task:
        """Set facts of a task that has its outcome. When it is due again, if ever, follows from them.

        Conditions: the outcome and the number of webhooks sent are still what `task` says. Raises TaskNotFound or
        InvalidTransition.
        """
        condition: ConditionBase = Attr("status").eq(task.status)
        sent = Attr("delivery.attempts")
        condition &= sent.eq(task.delivery.attempts) if task.delivery else sent.not_exists()
        changes = {**facts, **_due(task.task_id, due_at(replace(task, **facts), self._clock()))}
        return self._update(task.task_id, changes, condition, task.status)

    def postpone(self, task: Task, moment: datetime | None = None) -> Task:
        """Look at a task again at `moment`; None: when it follows from its state and age. Condition: it still is in its
        state. Raises TaskNotFound or InvalidTransition.
        """
        due = _due(task.task_id, moment or due_at(task, self._clock()))
        return self._update(task.task_id, due, Attr("status").eq(task.status), task.status)

    def due(self, shard: int, limit: int) -> list[Task | Deletion]:
        """What is due in one shard of the index, the longest waiting first, less what cannot be read."""
        where = Key("due_shard").eq(shard) & Key("due_at").lte(timestamp(self._clock()))
        items, _ = self._table.query("due", where, None, limit, None, ascending=True)
        return [task for item in items if (task := _read(item))]

    def record(self, task_id: str, *, while_in: Status, **facts: Any) -> Task:
        """Set facts that are no state. Condition: the task is in `while_in`.

        Raises TaskNotFound, or InvalidTransition with what is stored.
        """
        return self._update(task_id, facts, Attr("status").eq(while_in), while_in)

    def get(self, task_id: str, owner: str | None = None) -> Task:
        """Raises TaskNotFound also where the task is another owner's; None stands for fluxgate itself."""
        item = self._table.get({"task_id": task_id})
        if item is None or _is_gone(item) or owner not in {None, item["owner"]}:
            raise TaskNotFound
        return Task.from_item(item)

    def get_many(self, task_ids: Collection[str], owner: str) -> tuple[list[Task], list[str]]:
        """Those of up to 100 tasks that are this owner's, and the other ids, both in the order of `task_ids`."""
        wanted = dict.fromkeys(task_ids)
        items = {item["task_id"]: item for item in self._table.get_many([{"task_id": task_id} for task_id in wanted])}
        shown = {name for name, item in items.items() if not _is_gone(item) and item["owner"] == owner}
        found = [Task.from_item(items[task_id]) for task_id in wanted if task_id in shown]
        return found, [task_id for task_id in wanted if task_id not in shown]

    def begin_deletion(self, task_id: str, owner: str) -> Deletion:
        """Take everything away from a task but what its images are called and what keeps its id used. It is in no list
        any more, no callback and no claim reaches it, and it is due until its images are gone.

        Conditions: it is this owner's, and in a state of DELETABLE. Raises TaskNotFound or TaskInFlight. One that is
        being deleted already is gone on with.
        """
        now = self._clock()
        condition = Attr("owner").eq(owner) & Attr("status").is_in(sorted(DELETABLE))
        content = dict.fromkeys({field.name for field in fields(Task)} - KEPT)
        due = _due(task_id, now + scaled(DELETED_WITHIN))
        changes = {**content, "status": DeletionState.DELETING, "updated_at": now, **due}
        values = {name: plain(value) for name, value in changes.items()}
        try:
            return Deletion.from_item(self._table.update({"task_id": task_id}, values, condition))
        except ConditionFailed as refused:
            item = refused.item
        if not item or item["owner"] != owner or item["status"] == DeletionState.DELETED:
            raise TaskNotFound
        if item["status"] == DeletionState.DELETING:
            return Deletion.from_item(item)
        raise TaskInFlight

    def finish_deletion(self, removal: Deletion) -> None:
        """Leave a tombstone. Condition: it is being deleted; one that is there already is as good."""
        changes = {"status": DeletionState.DELETED.value, "images": None, **_due(removal.task_id, None)}
        with suppress(ConditionFailed):
            self._table.update({"task_id": removal.task_id}, changes, Attr("status").eq(DeletionState.DELETING.value))

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

    def _move(self, task_id: str, to: Status, delay: timedelta, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What a move changes."""
        now = self._clock()
        changes = {"status": to, "updated_at": now, **_due(task_id, due_in(to, now + delay)), **facts}
        return changes | {"generated_at": now, "error": None} if to is Status.GENERATED else changes

    def _update(self, task_id: str, changes: Item, condition: ConditionBase, to: Status, **more: Any) -> Task:
        return Task.from_item(self._write(task_id, changes, condition, to, **more))

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
        values = {name: plain(value) for name, value in changes.items()}
        try:
            return self._table.update({"task_id": task_id}, values, condition, add, returns=returns)
        except ConditionFailed as refused:
            raise _refusal(refused.item, to, token) from None


def _may_reach(to: Status) -> ConditionBase:
    return Attr("status").is_in(sorted(TRANSITIONS[to]))


def _is_gone(item: Item) -> bool:
    return item["status"] in set(DeletionState)


def _read(item: Item) -> Task | Deletion | None:
    """None for what is neither, which is told and hinders no other."""
    try:
        return Deletion.from_item(item) if _is_gone(item) else Task.from_item(item)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        logger.exception("Task cannot be read", extra={"task_id": item["task_id"]})
        count("TaskUnreadable")
        return None


def _refusal(item: Item, to: Status, token: str | None) -> CallbackRefused | TaskNotFound | InvalidTransition:
    if not item or _is_gone(item):
        return TaskNotFound() if token is None else CallbackRefused("unknown task")
    task = Task.from_item(item)
    if token is not None and token_hash(token) not in task.callback_tokens:
        return CallbackRefused("wrong token")
    return InvalidTransition(task, to)


def _due(task_id: str, moment: datetime | None) -> dict[str, Any]:
    """The key of the sparse index `due`; None, which removes it, where nothing is left to do."""
    if moment is None:
        return {"due_shard": None, "due_at": None}
    return {"due_shard": zlib.crc32(task_id.encode()) % DUE_SHARDS, "due_at": timestamp(moment)}
