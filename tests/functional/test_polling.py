"""Polling the provider: lost callbacks, lost responses, outages, expiry and late results."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from fluxgate.providers import acedata
from fluxgate.tasks.items import timestamp
from fluxgate.tasks.model import Delivery, DeliveryState, Status, TaskError, token_hash
from local.providers.acedata import Behaviour, Refusal, ResponseKind
from tests.functional.aws_calls import run_before
from tests.functional.reconciler import CALLBACK_URL, ONE_HOUR, TASKS, TOKEN, Reconciler
from tests.harness import Context

PACE = acedata.PACE  # which the fixture `reconciler` sets to zero
RUNNING = Behaviour(latency=float("inf"))
FORBIDDEN = Behaviour(latency=0, callbacks=0, failure=Refusal.of("forbidden"))


# Submitted: the callback was lost.


def test_a_result_whose_callback_was_lost_is_recovered(reconciler: Reconciler) -> None:
    task = reconciler.submit()
    reconciler.run()
    stored = reconciler.stored(task)
    assert stored.status is Status.GENERATED
    assert stored.generated_at == stored.updated_at > task.updated_at
    (provided,) = (provided for provided in reconciler.simulator.tasks if provided.id == task.provider_task_id)
    assert [image.source_url for image in stored.images] == [
        f"{reconciler.simulator.public_url}/images/{image.name}" for image in provided.images
    ]


def test_a_failure_whose_callback_was_lost_is_recovered_with_the_providers_code_and_message(
    reconciler: Reconciler,
) -> None:
    task = reconciler.submit(FORBIDDEN)
    reconciler.run()
    stored = reconciler.stored(task)
    assert (stored.status, stored.error) == (
        Status.FAILED,
        TaskError(code="forbidden", message="The content has been blocked by moderation."),
    )
    assert reconciler.functions.metrics()["TaskFailed"] == 1


@pytest.mark.parametrize("running_response", [False, True])
def test_a_task_that_is_still_running_is_postponed(reconciler: Reconciler, running_response: bool) -> None:
    task = reconciler.submit(RUNNING.but(running_response=running_response))
    reconciler.run()
    assert reconciler.stored(task) == task
    assert reconciler.due_in(task) == reconciler.seconds(120)


def test_the_provider_is_queried_in_batches_of_fifty_with_a_pause_between_them(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acedata, "PACE", PACE)
    times: list[float] = []

    def record_time(_: object) -> bool:
        times.append(time.monotonic())
        return True

    reconciler.simulator.behave(Behaviour(), times=None, path=TASKS, when=record_time)
    for number in range(101):
        reconciler.store(Status.SUBMITTED, provider_task_id=f"unknown-{number}")
    reconciler.run()
    assert sorted(len(query["ids"]) for query in reconciler.queries) == [1, 50, 50]
    assert all(later - earlier > 1 for earlier, later in pairwise(times))
    assert len({task_id for query in reconciler.queries for task_id in query["ids"]}) == 101


def test_a_result_is_applied_to_every_task_with_its_provider_id(reconciler: Reconciler) -> None:
    task = reconciler.submit()
    other = reconciler.store(Status.SUBMITTED, provider_task_id=task.provider_task_id)
    reconciler.run()
    assert [reconciler.status(task), reconciler.status(other)] == [Status.GENERATED] * 2
    assert len(reconciler.queries) == 1


# Submitting: the response was lost.


def test_submissions_whose_responses_were_lost_are_found_in_one_list_and_their_results_applied(
    reconciler: Reconciler,
) -> None:
    reconciler.enable_listing()
    tasks = [reconciler.submit(response_lost=True) for _ in range(2)]
    reconciler.submit()  # listed as well
    reconciler.run()
    for task in tasks:
        stored = reconciler.stored(task)
        assert stored.status is Status.GENERATED
        assert stored.provider_task_id in {provided.id for provided in reconciler.simulator.tasks}
    listings = [query for query in reconciler.queries if "ids" not in query]
    assert len(listings) == 1


def test_a_listed_submission_that_is_still_running_becomes_submitted(reconciler: Reconciler) -> None:
    reconciler.enable_listing()
    task = reconciler.submit(RUNNING, response_lost=True)
    reconciler.run()
    stored = reconciler.stored(task)
    assert (stored.status, bool(stored.provider_task_id)) == (Status.SUBMITTED, True)


def test_an_expired_submission_that_is_listed_keeps_its_provider_id(reconciler: Reconciler) -> None:
    reconciler.enable_listing()
    attempted_at = datetime.now(UTC) - timedelta(seconds=5)
    expiring = reconciler.submit(RUNNING, response_lost=True, attempted_at=attempted_at)
    expired = reconciler.submit(RUNNING, response_lost=True, attempted_at=attempted_at)
    reconciler.overwrite(expired, status="expired", announced="expired")
    reconciler.run(RESULT_MAX_AGE_SECONDS="1")
    for task in (expiring, expired):
        assert reconciler.status(task) is Status.EXPIRED
        assert reconciler.stored(task).provider_task_id
        assert reconciler.due_in(task) is not None


@pytest.mark.parametrize("token", ["another-token", token_hash(TOKEN)])
def test_a_listed_submission_with_another_callback_token_is_ignored(reconciler: Reconciler, token: str) -> None:
    reconciler.enable_listing()
    task = reconciler.submit(response_lost=True, callback_tokens=frozenset({token_hash(token)}))
    reconciler.run()
    assert reconciler.stored(task) == task
    assert reconciler.due_in(task) == reconciler.seconds(120)


@pytest.mark.parametrize("code", ["bad_request", "api_not_implemented", "forbidden", "api_error", "no_api"])
def test_a_provider_that_rejects_listing_blocks_neither_polling_nor_expiry(reconciler: Reconciler, code: str) -> None:
    refusal = Behaviour(refusal=Refusal.of(code))
    reconciler.simulator.behave(refusal, path=TASKS, times=None, when=lambda query: "ids" not in query)
    young = reconciler.store(Status.SUBMITTING)
    old = reconciler.store(Status.SUBMITTING, 2 * ONE_HOUR)
    submitted = reconciler.submit()
    reconciler.run()
    assert reconciler.status(young) is Status.SUBMITTING
    assert reconciler.status(old) is Status.EXPIRED
    assert reconciler.status(submitted) is Status.GENERATED


# Outages of the provider.

OUTAGES = {
    "429": Behaviour(refusal=Refusal.of("too_many_requests")),
    "500": Behaviour(refusal=Refusal.of("api_error")),
    "bad token": Behaviour(refusal=Refusal.of("invalid_token")),
    "no balance": Behaviour(refusal=Refusal.of("used_up")),
    "html": Behaviour(response=ResponseKind.HTML),
    "html, 200": Behaviour(response=ResponseKind.HTML, response_status=200),
    "garbled": Behaviour(response=ResponseKind.GARBLED, response_status=200),
    "dropped": Behaviour(response=ResponseKind.DROPPED),
    "reset": Behaviour(response=ResponseKind.RESET),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_tasks_do_not_expire_during_an_outage_and_are_polled_after_it(reconciler: Reconciler, outage: str) -> None:
    submitted = reconciler.submit(attempted_at=datetime.now(UTC) - 2 * ONE_HOUR)
    submitting = reconciler.store(Status.SUBMITTING, 2 * ONE_HOUR)
    reconciler.simulator.behave(OUTAGES[outage], path=TASKS, times=1)
    reconciler.run()
    assert len(reconciler.queries) == 1
    assert [reconciler.stored(task) for task in (submitted, submitting)] == [submitted, submitting]
    assert reconciler.functions.metrics()["ProviderNotAsked"] == 1
    for task in (submitted, submitting):
        assert reconciler.due_in(task) == reconciler.seconds(120)
        reconciler.make_due(task)
    reconciler.run()
    assert reconciler.status(submitted) is Status.GENERATED
    assert reconciler.status(submitting) is Status.EXPIRED


def test_tasks_do_not_expire_while_the_provider_refuses_connections(reconciler: Reconciler) -> None:
    task = reconciler.store(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id="p")
    reconciler.run(FLUX_API_URL="http://127.0.0.1:1")
    assert reconciler.stored(task) == task
    logs = reconciler.functions.logs()
    assert "NewConnectionError" in logs or "ConnectionError" in logs


def test_only_tasks_of_successful_queries_expire(reconciler: Reconciler) -> None:
    tasks = [reconciler.store(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id=f"unknown-{n}") for n in range(60)]
    reconciler.simulator.behave(Behaviour(), path=TASKS)
    reconciler.simulator.behave(OUTAGES["html"], path=TASKS)
    reconciler.run()
    successful, _ = reconciler.queries
    stored = [reconciler.stored(task) for task in tasks]
    expired = {str(task.provider_task_id) for task in stored if task.status is Status.EXPIRED}
    assert expired == set(successful["ids"])
    assert len(expired) == 50


def test_a_failed_listing_does_not_block_tasks_with_a_provider_id(reconciler: Reconciler) -> None:
    reconciler.simulator.behave(OUTAGES["html"], path=TASKS, times=None, when=lambda query: "ids" not in query)
    submitting = reconciler.store(Status.SUBMITTING, 2 * ONE_HOUR)
    submitted = reconciler.submit()
    reconciler.run()
    assert reconciler.status(submitting) is Status.SUBMITTING
    assert reconciler.status(submitted) is Status.GENERATED


def test_an_id_that_the_provider_rejects_does_not_block_the_others(reconciler: Reconciler) -> None:
    bad = reconciler.store(Status.SUBMITTED, provider_task_id="bad")
    good = [reconciler.submit() for _ in range(3)]
    refusal = Behaviour(refusal=Refusal.of("bad_request"))
    reconciler.simulator.behave(refusal, path=TASKS, times=None, when=lambda query: "bad" in query["ids"])
    reconciler.run()
    assert [reconciler.status(task) for task in good] == [Status.GENERATED] * 3
    assert reconciler.stored(bad) == bad


# Expiry and late results.


def test_a_task_expires_after_it_was_polled_and_is_polled_at_growing_intervals(reconciler: Reconciler) -> None:
    task = reconciler.store(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id="unknown")
    reconciler.run()
    assert reconciler.status(task) is Status.EXPIRED
    assert len(reconciler.queries) == 1
    assert reconciler.functions.metrics()["TaskExpired"] == 1
    assert reconciler.due_in(task) == reconciler.seconds(60)  # for the announcement
    now = datetime.now(UTC)
    delays = []
    for age in (timedelta(0), timedelta(minutes=30), timedelta(days=3)):
        updated_at, due_at = timestamp(now - age), timestamp(now - timedelta(1))
        reconciler.overwrite(task, announced="expired", updated_at=updated_at, due_at=due_at)
        reconciler.run()
        delays.append(reconciler.due_in(task))
    assert delays == [reconciler.seconds(expected) for expected in (600, 1800, 3 * 86400)]
    assert len(reconciler.queries) == 4
    assert reconciler.status(task) is Status.EXPIRED


def test_polling_ends_with_the_retention_of_the_task(reconciler: Reconciler) -> None:
    task = reconciler.store(
        Status.EXPIRED,
        timedelta(days=5),
        announced=Status.EXPIRED,
        provider_task_id="unknown",
        expires_at=(datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0),
    )
    reconciler.run()
    assert len(reconciler.queries) == 1
    assert reconciler.due_in(task) is None


def test_a_late_result_is_accepted(reconciler: Reconciler) -> None:
    task = reconciler.submit()
    reconciler.overwrite(task, status="expired", announced="expired")
    reconciler.run()
    assert reconciler.status(task) is Status.GENERATED


def test_a_late_failure_does_not_change_the_outcome(reconciler: Reconciler) -> None:
    task = reconciler.submit(FORBIDDEN)
    reconciler.overwrite(task, status="expired", announced="expired")
    reconciler.run()
    assert (reconciler.status(task), reconciler.stored(task).error) == (Status.EXPIRED, None)


def test_a_newer_attempt_does_not_expire_with_an_older_one(reconciler: Reconciler) -> None:
    """The index may still contain the older attempt."""
    task = reconciler.store(Status.SUBMITTING, 2 * ONE_HOUR)
    newer = run_before("UpdateItem", lambda: reconciler.overwrite(task, attempt_id="newer"))
    reconciler.functions.before_call = newer
    reconciler.run()
    assert reconciler.status(task) is Status.SUBMITTING


def test_an_expired_task_is_polled_while_its_webhook_is_pending(reconciler: Reconciler) -> None:
    next_at = datetime.now(UTC) + timedelta(minutes=5)
    task = reconciler.store(
        Status.EXPIRED,
        announced=Status.EXPIRED,
        provider_task_id="unknown",
        callback_url=CALLBACK_URL,
        delivery=Delivery(outcome=Status.EXPIRED, state=DeliveryState.PENDING, attempts=2, next_at=next_at),
    )
    reconciler.run()
    assert len(reconciler.queries) == 1
    assert reconciler.messages("webhooks") == []
    assert reconciler.due_in(task) == reconciler.seconds(300)


def test_polling_without_time_left_stops_between_two_queries_and_keeps_the_results(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [reconciler.store(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id=f"unknown-{n}") for n in range(60)]
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _: 1_000 if reconciler.queries else 300_000)
    reconciler.run()
    assert [len(query["ids"]) for query in reconciler.queries] == [50]
    statuses = [reconciler.status(task) for task in tasks]
    assert (statuses.count(Status.EXPIRED), statuses.count(Status.SUBMITTED)) == (50, 10)
