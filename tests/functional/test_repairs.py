"""Repairs that need no provider: lost messages, unannounced outcomes and due webhooks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fluxgate.reconciliation import repairs
from fluxgate.tasks.model import Delivery, DeliveryState, Image, Status, TaskError
from tests.functional.aws_calls import run_before
from tests.functional.reconciler import CALLBACK_URL, IMAGE, ONE_HOUR, Reconciler

# Queued.


def test_a_queued_task_whose_message_was_lost_is_queued_again(reconciler: Reconciler) -> None:
    task = reconciler.store(Status.QUEUED, timedelta(minutes=2), attempts=3)
    reconciler.run()
    assert reconciler.messages("submissions") == [{"type": "submit", "task_id": task.task_id, "attempt": 4}]
    assert reconciler.stored(task) == task
    assert reconciler.queries == []
    assert reconciler.due_in(task) == reconciler.seconds(120)


@pytest.mark.parametrize(("minutes", "seconds"), [(1.5, 90), (10, 600), (50, 600), (59.9, 60)])
def test_a_queued_task_is_queued_again_at_growing_intervals_until_its_maximum_age(
    reconciler: Reconciler, minutes: float, seconds: float
) -> None:
    task = reconciler.store(Status.QUEUED, timedelta(minutes=minutes))
    reconciler.run()
    assert reconciler.due_in(task) == reconciler.seconds(seconds)


@pytest.mark.parametrize("refusal", [None, TaskError(code="too_many_requests", message="slow down")])
def test_a_task_that_was_never_accepted_fails_with_the_last_refusal(
    reconciler: Reconciler, refusal: TaskError | None
) -> None:
    task = reconciler.store(Status.QUEUED, 2 * ONE_HOUR, refusal=refusal)
    reconciler.run()
    stored = reconciler.stored(task)
    assert stored.status is Status.FAILED
    assert stored.error == (refusal or repairs.NEVER_SUBMITTED)
    assert reconciler.messages("submissions") == []
    assert reconciler.functions.metrics()["TaskFailed"] == 1


def test_a_task_that_was_claimed_since_the_query_does_not_fail_for_its_age(reconciler: Reconciler) -> None:
    """A submission is on the wire. Its result would be lost if the task failed."""
    task = reconciler.store(Status.QUEUED, 2 * ONE_HOUR)
    reconciler.functions.before_call = run_before(
        "UpdateItem", lambda: reconciler.overwrite(task, status="submitting", attempt_id="another")
    )
    reconciler.run()
    assert reconciler.status(task) is Status.SUBMITTING


# Generated.


def test_archiving_is_queued_again_with_the_images_archived_so_far(reconciler: Reconciler) -> None:
    """The index may not contain the latest image."""
    archived = Image(source_url="https://cdn.example.com/0.png", key="local/t/0.png", content_type="image/png", bytes=9)
    task = reconciler.store(Status.GENERATED, images=(IMAGE, IMAGE))

    def archive_one() -> None:
        reconciler.functions.tasks.update(task.task_id, while_in=Status.GENERATED, images=(archived, IMAGE))

    reconciler.functions.before_call = run_before("UpdateItem", archive_one)
    reconciler.run()
    (job,) = reconciler.messages("archive")
    assert (job["task_id"], job["owner"]) == (task.task_id, "local")
    assert [image.get("key") for image in job["images"]] == ["local/t/0.png", None]
    assert reconciler.due_in(task) == reconciler.seconds(600)


def test_a_task_that_succeeded_since_the_query_is_not_archived_again(reconciler: Reconciler) -> None:
    task = reconciler.store(Status.GENERATED, images=(IMAGE,))
    succeed = run_before("UpdateItem", lambda: reconciler.overwrite(task, status="succeeded"))
    reconciler.functions.before_call = succeed
    reconciler.run()
    assert reconciler.messages("archive") == []
    assert reconciler.status(task) is Status.SUCCEEDED


# Outcomes: announcement and webhook.


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.EXPIRED])
def test_an_unannounced_outcome_is_announced(reconciler: Reconciler, status: Status) -> None:
    task = reconciler.store(status, callback_url=CALLBACK_URL)
    reconciler.run()
    assert reconciler.functions.calls.count("events:PutEvents") == 1
    (message,) = reconciler.messages("webhooks")  # from the rule of the bus
    assert message["detail-type"] == f"Task {status.capitalize()}"
    assert message["detail"]["id"] == f"{task.task_id}.{status}"
    assert reconciler.stored(task).announced is status
    assert reconciler.due_in(task) == reconciler.seconds(120)  # for the webhook
    assert reconciler.queries == []  # an expired task is polled only once it is announced


def test_an_announced_outcome_without_a_callback_url_is_no_longer_due(reconciler: Reconciler) -> None:
    task = reconciler.store(Status.SUCCEEDED)
    reconciler.run()
    assert reconciler.stored(task).announced is Status.SUCCEEDED
    assert reconciler.due_in(task) is None


def pending(**fields: Any) -> Delivery:
    return Delivery(**{"outcome": Status.FAILED, "state": DeliveryState.PENDING, "attempts": 2, **fields})


@pytest.mark.parametrize("delivery", [None, pending(), pending(next_at=datetime(2020, 1, 1, tzinfo=UTC))])
def test_a_due_webhook_is_queued(reconciler: Reconciler, delivery: Delivery | None) -> None:
    task = reconciler.store(Status.FAILED, announced=Status.FAILED, delivery=delivery, callback_url=CALLBACK_URL)
    reconciler.run()
    assert reconciler.messages("webhooks") == [{"type": "webhook", "task_id": task.task_id, "status": "failed"}]
    assert reconciler.due_in(task) == reconciler.seconds(120)
    assert "events:PutEvents" not in reconciler.functions.calls


def test_a_webhook_is_not_queued_before_its_next_try(reconciler: Reconciler) -> None:
    delivery = pending(next_at=datetime.now(UTC) + ONE_HOUR)
    task = reconciler.store(Status.FAILED, announced=Status.FAILED, delivery=delivery, callback_url=CALLBACK_URL)
    reconciler.run()
    assert reconciler.messages("webhooks") == []
    assert reconciler.due_in(task) == reconciler.seconds(3600)


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.GIVEN_UP])
def test_a_task_whose_delivery_has_ended_is_no_longer_due(reconciler: Reconciler, state: DeliveryState) -> None:
    delivery = pending(state=state)
    task = reconciler.store(Status.FAILED, announced=Status.FAILED, delivery=delivery, callback_url=CALLBACK_URL)
    reconciler.run()
    assert reconciler.messages("webhooks") == []
    assert reconciler.due_in(task) is None
