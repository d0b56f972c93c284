"""A pass of the reconciler as a whole: failures are isolated, stale entries are skipped, the time limit is kept."""

from contextlib import suppress
from datetime import timedelta

import pytest

from fluxgate.clock import Clock
from fluxgate.errors import QueueUnavailable, StorageUnavailable
from fluxgate.reconciliation import repairs
from fluxgate.tasks.model import Status, Task, token_hash
from fluxgate.tasks.schedule import next_due
from tests.functional.aws_calls import fail, run_before
from tests.functional.reconciler import CALLBACK_URL, IMAGE, ONE_HOUR, PROMPT, QUEUES, TOKEN, Reconciler
from tests.harness import Context


def test_a_pass_with_nothing_due_makes_ten_queries_and_no_other_call(reconciler: Reconciler) -> None:
    for status in Status:
        reconciler.store(status, timedelta(0))
    reconciler.run()
    assert reconciler.functions.calls == ["dynamodb:Query"] * 10
    assert reconciler.queries == []


def test_an_unreadable_provider_token_blocks_only_polling(reconciler: Reconciler) -> None:
    submitted, succeeded = reconciler.submit(), reconciler.store(Status.SUCCEEDED)
    reconciler.functions.before_call = fail("GetSecretValue")
    reconciler.run()
    assert reconciler.functions.calls.count("events:PutEvents") == 1
    assert reconciler.stored(succeeded).announced is Status.SUCCEEDED
    assert reconciler.status(submitted) is Status.SUBMITTED
    assert reconciler.functions.metrics()["ProviderNotAsked"] == 1


def test_an_unreadable_item_blocks_no_other_task(reconciler: Reconciler) -> None:
    unreadable, readable = reconciler.store(Status.SUCCEEDED), reconciler.store(Status.SUCCEEDED)
    reconciler.overwrite(unreadable, status="no such status")
    reconciler.run()
    assert reconciler.stored(readable).announced is Status.SUCCEEDED
    assert reconciler.functions.metrics()["TaskUnreadable"] == 1
    assert unreadable.task_id in reconciler.functions.logs()


def test_tasks_that_changed_since_the_query_are_left_alone(reconciler: Reconciler) -> None:
    tasks = reconciler.store_one_per_status()
    changed = [Status.SUCCEEDED if task.status is not Status.SUCCEEDED else Status.GENERATED for task in tasks]

    def change_all() -> None:
        for task, status in zip(tasks, changed, strict=True):
            reconciler.overwrite(task, status=status.value, due_at="9999-01-01T00:00:00Z")

    reconciler.functions.before_call = run_before("UpdateItem", change_all)
    reconciler.run()
    assert [reconciler.status(task) for task in tasks] == changed
    assert [reconciler.messages(queue) for queue in QUEUES] == [[], [], []]
    records = reconciler.functions.log_records()
    skipped = {record["task_id"] for record in records if record.get("message") == "Nothing to reconcile"}
    assert skipped == {task.task_id for task in tasks}


def test_tasks_that_were_deleted_since_the_query_are_not_created_again(reconciler: Reconciler) -> None:
    tasks = reconciler.store_one_per_status()

    def delete_all() -> None:
        for task in tasks:
            reconciler.delete(task)

    reconciler.functions.before_call = run_before("UpdateItem", delete_all)
    reconciler.run()
    for task in tasks:
        with pytest.raises(KeyError):
            reconciler.stored(task)


FAILURES: dict[str, tuple[Status, str, type[Exception]]] = {
    "postponement": (Status.QUEUED, "UpdateItem", StorageUnavailable),
    "queue": (Status.GENERATED, "SendMessage", QueueUnavailable),
    "bus": (Status.FAILED, "PutEvents", QueueUnavailable),
    "poll result": (Status.SUBMITTING, "UpdateItem", StorageUnavailable),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_repair_blocks_no_other_task_fails_the_invocation_and_is_repeated(
    reconciler: Reconciler, name: str
) -> None:
    status, operation, error = FAILURES[name]
    bad, *good = (reconciler.store(status, images=(IMAGE,)) for _ in range(4))
    reconciler.functions.before_call = fail(operation, containing=bad.task_id)
    with pytest.raises(error):
        reconciler.run()
    assert all((reconciler.due_in(task) or 1) > 0 for task in good)
    assert reconciler.due_in(bad)
    assert "Task not reconciled" in reconciler.functions.logs()
    reconciler.functions.before_call = lambda **_: None
    reconciler.make_due(bad)
    reconciler.run()
    assert (reconciler.due_in(bad) or 1) > 0


def test_an_unexpected_error_blocks_no_other_task_and_fails_the_invocation(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [reconciler.store(Status.QUEUED) for _ in range(3)]
    repaired: list[str] = []

    def enqueue(_: object, task: Task) -> None:
        if task.task_id == tasks[0].task_id:
            raise ZeroDivisionError
        repaired.append(task.task_id)

    monkeypatch.setattr(repairs, "enqueue", enqueue)
    with pytest.raises(ZeroDivisionError):
        reconciler.run()
    assert sorted(repaired) == sorted(task.task_id for task in tasks[1:])


def test_an_unreadable_index_fails_the_invocation(reconciler: Reconciler) -> None:
    reconciler.functions.before_call = fail("Query", "ThrottlingException")
    with pytest.raises(StorageUnavailable):
        reconciler.run()


def test_a_pass_without_time_left_leaves_the_tasks_due(reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [reconciler.store(Status.QUEUED), reconciler.submit()]
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _: 1_000)
    reconciler.run()
    assert reconciler.queries == []
    assert [reconciler.stored(task) for task in tasks] == tasks
    assert all((reconciler.due_in(task) or 0) < 0 for task in tasks)


def test_no_step_is_always_the_last_when_time_runs_out(reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Announcements that use up the time of every pass do not prevent polling."""
    reconciler.submit()
    for _ in range(2):
        reconciler.store(Status.SUCCEEDED)
    reconciler.functions.before_call = fail("PutEvents")
    for _ in range(40):
        remaining = iter([300_000])  # time for one task
        monkeypatch.setattr(
            Context, "get_remaining_time_in_millis", lambda _, remaining=remaining: next(remaining, 1_000)
        )
        with suppress(QueueUnavailable):
            reconciler.run()
        if reconciler.queries:
            break
    assert reconciler.queries


def test_a_task_without_further_work_leaves_the_index(reconciler: Reconciler) -> None:
    task = reconciler.store(Status.SUCCEEDED, announced=Status.SUCCEEDED)
    assert next_due(task, Clock()) is None
    reconciler.run()
    assert reconciler.due_in(task) is None


def test_logs_contain_task_ids_but_no_tokens_prompts_or_urls(reconciler: Reconciler) -> None:
    reconciler.enable_listing()
    tasks = [
        reconciler.submit(),
        reconciler.submit(response_lost=True),
        reconciler.store(Status.QUEUED, 2 * ONE_HOUR),
        reconciler.store(Status.GENERATED, images=(IMAGE,)),
        reconciler.store(Status.FAILED, callback_url=CALLBACK_URL),
    ]
    reconciler.run()
    logs = reconciler.functions.logs()
    for task in tasks:
        assert task.task_id in logs
    for secret in (TOKEN, token_hash(TOKEN), PROMPT, "secret-path", "/images/", "cdn.example.com"):
        assert secret not in logs
