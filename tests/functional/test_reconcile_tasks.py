"""The repairer: whatever was lost on the way is made good, once it is due, and nothing else is touched."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from fluxgate.clock import Clock
from fluxgate.errors import QueueUnavailable, StorageUnavailable
from fluxgate.http.trusted import ProviderSession
from fluxgate.providers import acedata
from fluxgate.providers.acedata import AceData
from fluxgate.providers.port import Accepted
from fluxgate.reconciliation import repairs
from fluxgate.tasks.items import timestamp
from fluxgate.tasks.model import Delivery, DeliveryState, Image, Status, Task, TaskError, token_hash
from fluxgate.tasks.schedule import next_due
from local.providers.acedata import Behaviour, Refusal, ResponseKind
from tests.harness import Context, Functions, event

MINUTE = event("reconcile_tasks.good_minute")
TOKEN = "the-token-of-the-attempt"
ATTEMPT = "0123456789abcdef"
ONE_HOUR = timedelta(hours=1)
A_WHILE = timedelta(minutes=20)  # every open task is due after it
TASKS = "/flux/tasks"
QUEUES = {"submissions": "SubmissionQueue", "archive": "ArchiveQueue", "webhooks": "WebhookQueue"}
IMAGE = Image(source_url="https://cdn.example.com/1.png")


class World:
    """What the reconciler finds, and what it leaves."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.simulator = functions.simulator
        self._sqs = functions.stack.client("sqs")
        self._dynamodb = functions.stack.client("dynamodb")
        self._table = functions.stack.deployment.resources["TasksTable"]
        self._provider = AceData(ProviderSession(), self.simulator.url, SecretStr("simulated"), Clock())
        self._asked_before = len(self.simulator.retrievals)

    def clear(self) -> None:
        for item in self._dynamodb.scan(TableName=self._table)["Items"]:
            self._dynamodb.delete_item(TableName=self._table, Key={"task_id": item["task_id"]})
        for queue in QUEUES:
            self.messages(queue)

    def run(self, **environment: str) -> None:
        self.functions.invoke("reconcile_tasks", MINUTE, **environment)

    def task(self, status: Status, age: timedelta = A_WHILE, **facts: Any) -> Task:
        """A stored task of which nothing has been heard for so long."""
        then = datetime.now(UTC) - age
        defaults: dict[str, Any] = {
            "task_id": str(uuid4()), "owner": "local", "status": status, "action": "generate", "model": "flux-dev",
            "prompt": "nobody may read this", "size": "512x512", "count": 1, "provider": "acedata", "created_at": then,
            "updated_at": then, "attempted_at": then, "expires_at": then.replace(microsecond=0) + timedelta(days=30),
            "attempt_id": ATTEMPT, "callback_tokens": frozenset({token_hash(TOKEN)}), "attempts": 1,
        }  # fmt: skip
        stored = Task(**defaults | facts)
        self.functions.store(stored)
        return stored

    def submitted(self, behaviour: Behaviour | None = None, *, answered: bool = True, **facts: Any) -> Task:
        """A task that the simulated provider has, and has finished unless its latency says otherwise."""
        task_id = str(uuid4())
        draft = self.task(Status.SUBMITTING, task_id=task_id, **{"attempted_at": datetime.now(UTC), **facts})
        if behaviour:
            self.simulator.behave(behaviour)
        answer = self._provider.submit(draft, f"https://callbacks.example.com/prod/callbacks/acedata/{task_id}/{TOKEN}")
        assert isinstance(answer, Accepted)
        theirs = next(task for task in self.simulator.tasks if task.id == answer.handle)
        if theirs.behaviour.latency == 0:
            self.simulator.wait_for(theirs.finished.is_set)
        if not answered:
            return draft
        self.change(task_id, status="submitted", provider_task_id=answer.handle)
        return self.stored(task_id)

    def change(self, task_id: str, **facts: str | None) -> None:
        """As if it had been written before; None removes."""
        updates = {
            name: {"Action": "PUT", "Value": {"S": value}} if value is not None else {"Action": "DELETE"}
            for name, value in facts.items()
        }
        self._dynamodb.update_item(TableName=self._table, Key={"task_id": {"S": task_id}}, AttributeUpdates=updates)

    def delete(self, task_id: str) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key={"task_id": {"S": task_id}})

    def stored(self, task: str | Task) -> Task:
        return self.functions.stored(task if isinstance(task, str) else task.task_id)

    def due_in(self, task: Task) -> float | None:
        """Seconds until it is due; None: never."""
        item = self._dynamodb.get_item(TableName=self._table, Key={"task_id": {"S": task.task_id}})["Item"]
        if "due_at" not in item:
            assert "due_shard" not in item
            return None
        return (datetime.fromisoformat(item["due_at"]["S"]) - datetime.now(UTC)).total_seconds()

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """The bodies that have been sent since the last reading."""
        url = self.functions.stack.deployment.resources[QUEUES[queue]]
        found = []
        while messages := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What the provider has been asked."""
        return self.simulator.retrievals[self._asked_before :]

    def refuse_calls(self, wanted: Callable[[str, str], bool], operation: str, code: str = "InternalError") -> None:
        """Let those calls to AWS fail whose operation and body are wanted."""

        def refuse(model: Any, params: dict[str, Any], **_: Any) -> Any:
            body = params["body"].decode() if isinstance(params["body"], bytes) else str(params["body"])
            if model.name != operation or not wanted(model.name, body):
                return None
            response = type("Response", (), {"status_code": 400, "headers": {}, "content": b""})()
            return response, {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}

        self.functions.before_call = refuse

    def meanwhile(self, happen: Callable[[], object], before: str) -> None:
        """Let something happen just before the reconciler's first call of this operation."""
        waiting = [happen]

        def strike(model: Any, **_: Any) -> None:
            if model.name == before and waiting:
                waiting.pop()()

        self.functions.before_call = strike


@pytest.fixture
def world(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(acedata, "PACE", timedelta(0))
    world = World(functions)
    world.clear()
    yield world
    functions.simulator._overrides.clear()
    functions.simulator._listing = False
    world.clear()


def test_nothing_due_costs_ten_queries_and_asks_nobody(world: World) -> None:
    for status in Status:
        world.task(status, timedelta(0))
    world.run()
    assert world.functions.calls == ["dynamodb:Query"] * 10
    assert world.questions == []


def test_a_token_that_cannot_be_read_stops_only_what_needs_it(world: World) -> None:
    asked, told = world.submitted(), world.task(Status.SUCCEEDED)
    world.refuse_calls(lambda *_: True, "GetSecretValue")
    world.run()
    assert world.functions.calls.count("events:PutEvents") == 1
    assert world.stored(told).announced is Status.SUCCEEDED
    assert world.stored(asked).status is Status.SUBMITTED
    assert world.functions.metrics()["ProviderNotAsked"] == 1


def test_an_item_that_cannot_be_read_hinders_no_other(world: World) -> None:
    odd, told = world.task(Status.SUCCEEDED), world.task(Status.SUCCEEDED)
    world.change(odd.task_id, status="no such state")
    world.run()
    assert world.stored(told).announced is Status.SUCCEEDED
    assert world.functions.metrics()["TaskUnreadable"] == 1
    assert odd.task_id in world.functions.logs()


# ---------------------------------------------------------------- submitted: the callback was lost


def test_a_missed_callback_is_made_good(world: World) -> None:
    task = world.submitted()
    world.run()
    stored = world.stored(task)
    assert stored.status is Status.GENERATED
    assert stored.generated_at == stored.updated_at > task.updated_at
    (theirs,) = (theirs for theirs in world.simulator.tasks if theirs.id == task.provider_task_id)
    assert [image.source_url for image in stored.images] == [
        f"{world.simulator.public_url}/images/{image.name}" for image in theirs.images
    ]


def test_a_missed_failure_is_kept_in_the_providers_words(world: World) -> None:
    task = world.submitted(Behaviour(latency=0, callbacks=0, failure=Refusal.of("forbidden")))
    world.run()
    stored = world.stored(task)
    assert (stored.status, stored.error) == (
        Status.FAILED,
        TaskError(code="forbidden", message="The content has been blocked by moderation."),
    )
    assert world.functions.metrics()["TaskFailed"] == 1


@pytest.mark.parametrize("running_response", [False, True])
def test_what_is_still_running_is_looked_at_again(world: World, running_response: bool) -> None:
    task = world.submitted(Behaviour(latency=float("inf"), running_response=running_response))
    world.run()
    assert world.stored(task) == task
    assert world.due_in(task) == pytest.approx(120, abs=10)


def test_the_provider_is_asked_in_batches_and_slowly(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real pause
    moments: list[float] = []

    def note_moment(_: object) -> bool:
        moments.append(time.monotonic())
        return True

    world.simulator.behave(Behaviour(), times=None, path=TASKS, when=note_moment)
    for number in range(101):
        world.task(Status.SUBMITTED, provider_task_id=f"unknown-{number}")
    world.run()
    assert sorted(len(question["ids"]) for question in world.questions) == [1, 50, 50]
    assert all(later - earlier > 1 for earlier, later in pairwise(moments))
    assert len({task_id for question in world.questions for task_id in question["ids"]}) == 101


def test_a_result_settles_every_task_that_names_its_id(world: World) -> None:
    task = world.submitted()
    twin = world.task(Status.SUBMITTED, provider_task_id=task.provider_task_id)
    world.run()
    assert [world.stored(one).status for one in (task, twin)] == [Status.GENERATED] * 2
    assert len(world.questions) == 1


# ---------------------------------------------------------------- submitting: the answer was lost


def test_a_submission_whose_answer_was_lost_is_found_and_its_result_taken(world: World) -> None:
    world.simulator._listing = True
    tasks = [world.submitted(answered=False) for _ in range(2)]
    world.submitted()  # another one, which is in the list as well
    world.run()
    for task in tasks:
        stored = world.stored(task)
        assert stored.status is Status.GENERATED
        assert stored.provider_task_id in {theirs.id for theirs in world.simulator.tasks}
    listings = [question for question in world.questions if "ids" not in question]
    assert len(listings) == 1


def test_a_found_submission_that_still_runs_is_submitted(world: World) -> None:
    world.simulator._listing = True
    task = world.submitted(Behaviour(latency=float("inf")), answered=False)
    world.run()
    stored = world.stored(task)
    assert (stored.status, bool(stored.provider_task_id)) == (Status.SUBMITTED, True)


def test_an_expired_submission_that_is_found_keeps_its_id(world: World) -> None:
    world.simulator._listing = True
    running = Behaviour(latency=float("inf"))
    late = world.submitted(running, answered=False)
    expired = world.submitted(running, answered=False)
    world.change(expired.task_id, status="expired", announced="expired")
    time.sleep(1.1)
    world.run(RESULT_MAX_AGE_SECONDS="1")
    for task in (late, expired):
        assert world.stored(task).status is Status.EXPIRED
        assert world.stored(task).provider_task_id
        assert world.due_in(task) is not None


@pytest.mark.parametrize("token", ["another-token", token_hash(TOKEN)])
def test_somebody_elses_submission_is_not_ours(world: World, token: str) -> None:
    world.simulator._listing = True
    task = world.submitted(answered=False, callback_tokens=frozenset({token_hash(token)}))
    world.run()
    assert world.stored(task) == task
    assert world.due_in(task) == pytest.approx(120, abs=10)


@pytest.mark.parametrize("code", ["bad_request", "api_not_implemented", "forbidden", "api_error", "no_api"])
def test_a_provider_without_a_list_is_no_obstacle(world: World, code: str) -> None:
    refusal = Behaviour(refusal=Refusal.of(code))
    world.simulator.behave(refusal, path=TASKS, times=None, when=lambda question: "ids" not in question)
    young = world.task(Status.SUBMITTING)
    old = world.task(Status.SUBMITTING, 2 * ONE_HOUR)
    known = world.submitted()
    world.run()
    assert world.stored(young).status is Status.SUBMITTING
    assert world.stored(old).status is Status.EXPIRED
    assert world.stored(known).status is Status.GENERATED


# ---------------------------------------------------------------- a provider that cannot be asked

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
def test_an_outage_expires_nothing_and_is_over_when_it_is_over(world: World, outage: str) -> None:
    submitted = world.submitted(attempted_at=datetime.now(UTC) - 2 * ONE_HOUR)
    submitting = world.task(Status.SUBMITTING, 2 * ONE_HOUR)
    unavailable = OUTAGES[outage]
    world.simulator.behave(unavailable, path=TASKS, times=1)
    world.run()
    assert len(world.questions) == 1
    assert [world.stored(task) for task in (submitted, submitting)] == [submitted, submitting]
    assert world.functions.metrics()["ProviderNotAsked"] == 1
    # They give way to what else is due, for a while.
    for task in (submitted, submitting):
        assert world.due_in(task) == pytest.approx(120, abs=10)
        world.change(task.task_id, due_at=timestamp(datetime.now(UTC)))
    world.run()
    assert world.stored(submitted).status is Status.GENERATED
    assert world.stored(submitting).status is Status.EXPIRED


def test_a_provider_that_is_down_expires_nothing(world: World) -> None:
    task = world.task(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id="p")
    world.run(FLUX_API_URL="http://127.0.0.1:1")
    assert world.stored(task) == task
    assert "NewConnectionError" in world.functions.logs() or "ConnectionError" in world.functions.logs()


def test_only_what_it_was_asked_about_expires(world: World) -> None:
    tasks = [world.task(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id=f"unknown-{n}") for n in range(60)]
    world.simulator.behave(Behaviour(), path=TASKS)
    world.simulator.behave(OUTAGES["html"], path=TASKS)
    world.run()
    asked, _ = world.questions
    expired = {
        str(world.stored(task).provider_task_id) for task in tasks if world.stored(task).status is Status.EXPIRED
    }
    assert expired == set(asked["ids"])
    assert len(expired) == 50


def test_an_unreachable_list_does_not_keep_the_known_from_being_asked(world: World) -> None:
    world.simulator.behave(OUTAGES["html"], path=TASKS, times=None, when=lambda question: "ids" not in question)
    lost = world.task(Status.SUBMITTING, 2 * ONE_HOUR)
    known = world.submitted()
    world.run()
    assert world.stored(lost).status is Status.SUBMITTING
    assert world.stored(known).status is Status.GENERATED


def test_one_bad_id_does_not_keep_the_others_from_being_asked(world: World) -> None:
    bad = world.task(Status.SUBMITTED, provider_task_id="bad")
    good = [world.submitted() for _ in range(3)]
    refusal = Behaviour(refusal=Refusal.of("bad_request"))
    world.simulator.behave(refusal, path=TASKS, times=None, when=lambda question: "bad" in question["ids"])
    world.run()
    assert [world.stored(task).status for task in good] == [Status.GENERATED] * 3
    assert world.stored(bad) == bad


# ---------------------------------------------------------------- expiry, and the late result


def test_a_task_expires_after_the_provider_was_asked_and_is_asked_about_ever_more_rarely(world: World) -> None:
    task = world.task(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id="unknown")
    world.run()
    expired = world.stored(task)
    assert expired.status is Status.EXPIRED
    assert len(world.questions) == 1
    assert world.functions.metrics()["TaskExpired"] == 1
    assert world.due_in(task) == pytest.approx(60, abs=10)  # for its announcement
    now = datetime.now(UTC)
    waits = []
    for age in (timedelta(0), timedelta(minutes=30), timedelta(days=3)):
        world.change(
            task.task_id, announced="expired", updated_at=timestamp(now - age), due_at=timestamp(now - timedelta(1))
        )  # fmt: skip
        world.run()
        waits.append(world.due_in(task) or 0)
    assert waits == pytest.approx([600, 1800, 3 * 86400], abs=15)
    assert len(world.questions) == 4
    assert world.stored(task).status is Status.EXPIRED


def test_the_end_of_the_retention_ends_the_asking(world: World) -> None:
    then = datetime.now(UTC) - timedelta(days=5)
    end = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    task = world.task(
        Status.EXPIRED,
        timedelta(days=5),
        announced=Status.EXPIRED,
        provider_task_id="unknown",
        updated_at=then,
        expires_at=end,
    )
    world.run()
    assert len(world.questions) == 1
    assert world.due_in(task) is None


def test_a_late_result_still_counts(world: World) -> None:
    task = world.submitted()
    world.change(task.task_id, status="expired", announced="expired")
    world.run()
    assert world.stored(task).status is Status.GENERATED


def test_a_late_failure_changes_no_outcome(world: World) -> None:
    task = world.submitted(Behaviour(latency=0, callbacks=0, failure=Refusal.of("forbidden")))
    world.change(task.task_id, status="expired", announced="expired")
    world.run()
    assert (world.stored(task).status, world.stored(task).error) == (Status.EXPIRED, None)


# ---------------------------------------------------------------- queued


def test_a_queued_task_whose_message_was_lost_is_queued_again(world: World) -> None:
    task = world.task(Status.QUEUED, timedelta(minutes=2), attempts=3)
    world.run()
    assert world.messages("submissions") == [{"type": "submit", "task_id": task.task_id, "attempt": 4}]
    assert world.stored(task) == task
    assert world.questions == []
    assert world.due_in(task) == pytest.approx(120, abs=10)


@pytest.mark.parametrize(("minutes", "seconds"), [(1.5, 90), (10, 600), (50, 600), (59.9, 60)])
def test_a_message_that_only_waits_for_its_turn_is_not_repeated_every_minute(
    world: World, minutes: float, seconds: float
) -> None:
    """But not beyond the age at which the task is given up."""
    task = world.task(Status.QUEUED, timedelta(minutes=minutes))
    world.run()
    assert world.due_in(task) == pytest.approx(seconds, abs=10)


@pytest.mark.parametrize("refusal", [None, TaskError(code="too_many_requests", message="slow down")])
def test_a_task_that_was_never_accepted_fails_with_the_providers_reason(
    world: World, refusal: TaskError | None
) -> None:
    task = world.task(Status.QUEUED, 2 * ONE_HOUR, refusal=refusal)
    world.run()
    stored = world.stored(task)
    assert stored.status is Status.FAILED
    assert stored.error == (refusal or repairs.NEVER_SUBMITTED)
    assert world.messages("submissions") == []
    assert world.functions.metrics()["TaskFailed"] == 1


def test_a_task_that_is_being_submitted_by_now_does_not_fail_for_its_age(world: World) -> None:
    """A submission is on the wire: were the task failed, nobody would ask for its image."""
    task = world.task(Status.QUEUED, 2 * ONE_HOUR)
    world.meanwhile(lambda: world.change(task.task_id, status="submitting", attempt_id="another"), before="UpdateItem")
    world.run()
    assert world.stored(task).status is Status.SUBMITTING


def test_a_new_attempt_does_not_expire_with_the_old_one(world: World) -> None:
    """The index may still show the attempt before."""
    task = world.task(Status.SUBMITTING, 2 * ONE_HOUR)
    world.meanwhile(lambda: world.change(task.task_id, attempt_id="another"), before="UpdateItem")
    world.run()
    assert world.stored(task).status is Status.SUBMITTING


# ---------------------------------------------------------------- generated


def test_images_are_archived_again_and_progress_is_not_lost(world: World) -> None:
    done = Image(source_url="https://cdn.example.com/0.png", key="local/t/0.png", content_type="image/png", bytes=9)
    task = world.task(Status.GENERATED, images=(IMAGE, IMAGE))

    def archive_one() -> None:
        world.functions.tasks.update(task.task_id, while_in=Status.GENERATED, images=(done, IMAGE))

    world.meanwhile(archive_one, before="UpdateItem")  # and the index does not show it
    world.run()
    (job,) = world.messages("archive")
    assert (job["task_id"], job["owner"]) == (task.task_id, "local")
    assert [image.get("key") for image in job["images"]] == ["local/t/0.png", None]
    assert world.due_in(task) == pytest.approx(600, abs=10)


def test_a_task_that_has_succeeded_by_now_is_not_archived_again(world: World) -> None:
    task = world.task(Status.GENERATED, images=(IMAGE,))
    world.meanwhile(lambda: world.change(task.task_id, status="succeeded"), before="UpdateItem")
    world.run()
    assert world.messages("archive") == []
    assert world.stored(task).status is Status.SUCCEEDED


# ---------------------------------------------------------------- outcomes: announcement and webhook


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.EXPIRED])
def test_an_outcome_that_was_not_announced_is_announced(world: World, status: Status) -> None:
    task = world.task(status, callback_url="https://receiver.example.com/")
    world.run()
    assert world.functions.calls.count("events:PutEvents") == 1
    (message,) = world.messages("webhooks")  # which the rule has put there
    assert message["detail-type"] == f"Task {status.capitalize()}"
    assert message["detail"]["id"] == f"{task.task_id}.{status}"
    stored = world.stored(task)
    assert stored.announced is status
    assert world.due_in(task) == pytest.approx(120, abs=10)  # for its webhook
    assert world.questions == []  # not before its outcome has been told


def test_an_announced_outcome_that_nobody_wants_to_be_told_of_is_done(world: World) -> None:
    task = world.task(Status.SUCCEEDED)
    world.run()
    assert world.stored(task).announced is Status.SUCCEEDED
    assert world.due_in(task) is None


def pending(**facts: Any) -> Delivery:
    return Delivery(**{"outcome": Status.FAILED, "state": DeliveryState.PENDING, "attempts": 2, **facts})


@pytest.mark.parametrize("delivery", [None, pending(), pending(next_at=datetime(2026, 11, 22, tzinfo=UTC))])
def test_a_due_webhook_is_sent(world: World, delivery: Delivery | None) -> None:
    task = world.task(Status.FAILED, announced=Status.FAILED, delivery=delivery, callback_url="https://r.example.com/")
    world.run()
    assert world.messages("webhooks") == [{"type": "webhook", "task_id": task.task_id, "status": "failed"}]
    assert world.due_in(task) == pytest.approx(120, abs=10)
    assert "events:PutEvents" not in world.functions.calls


def test_a_webhook_is_not_sent_before_its_time(world: World) -> None:
    later = datetime.now(UTC) + ONE_HOUR
    task = world.task(
        Status.FAILED, announced=Status.FAILED, delivery=pending(next_at=later), callback_url="https://r.example.com/"
    )
    world.run()
    assert world.messages("webhooks") == []
    assert world.due_in(task) == pytest.approx(3600, abs=10)


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.GIVEN_UP])
def test_what_is_delivered_or_given_up_is_done(world: World, state: DeliveryState) -> None:
    task = world.task(
        Status.FAILED, announced=Status.FAILED, delivery=pending(state=state), callback_url="https://r.example.com/"
    )
    world.run()
    assert world.messages("webhooks") == []
    assert world.due_in(task) is None


def test_an_expired_task_is_asked_about_while_its_webhook_waits(world: World) -> None:
    task = world.task(
        Status.EXPIRED,
        announced=Status.EXPIRED,
        provider_task_id="unknown",
        callback_url="https://r.example.com/",
        delivery=pending(outcome=Status.EXPIRED, next_at=datetime.now(UTC) + timedelta(minutes=5)),
    )
    world.run()
    assert len(world.questions) == 1
    assert world.messages("webhooks") == []
    assert world.due_in(task) == pytest.approx(300, abs=10)


# ---------------------------------------------------------------- staleness, faults, time


def one_of_each(world: World) -> list[Task]:
    return [
        world.task(
            status,
            2 * ONE_HOUR,
            announced=status,
            callback_url="https://r.example.com/",
            provider_task_id="unknown",
            images=(IMAGE,),
        )
        for status in Status
    ]


def test_a_task_that_has_moved_on_by_now_is_left_alone(world: World) -> None:
    tasks = one_of_each(world)
    others = [Status.SUCCEEDED if task.status is not Status.SUCCEEDED else Status.GENERATED for task in tasks]

    def move_on() -> None:
        for task, other in zip(tasks, others, strict=True):
            world.change(task.task_id, status=other.value, due_at="9999-01-01T00:00:00Z")

    world.meanwhile(move_on, before="UpdateItem")
    world.run()
    assert [world.stored(task).status for task in tasks] == others
    assert [world.messages(queue) for queue in QUEUES] == [[], [], []]
    refused = [record for record in world.functions.log_records() if record.get("message") == "Nothing to reconcile"]
    assert {record["task_id"] for record in refused} == {task.task_id for task in tasks}


def test_a_task_that_is_gone_stops_no_other_and_does_not_come_back(world: World) -> None:
    gone = one_of_each(world)

    def vanish() -> None:
        for task in gone:
            world.delete(task.task_id)

    world.meanwhile(vanish, before="UpdateItem")
    world.run()
    for task in gone:
        with pytest.raises(KeyError):
            world.stored(task)


FAULTS: dict[str, tuple[Status, str, type[Exception]]] = {
    "write": (Status.QUEUED, "UpdateItem", StorageUnavailable),
    "queue": (Status.GENERATED, "SendMessage", QueueUnavailable),
    "bus": (Status.FAILED, "PutEvents", QueueUnavailable),
    "conclusion": (Status.SUBMITTING, "UpdateItem", StorageUnavailable),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_task_that_cannot_be_repaired_stops_no_other_and_is_told(world: World, name: str) -> None:
    status, operation, error = FAULTS[name]
    bad, *good = (world.task(status, images=(IMAGE,)) for _ in range(4))
    world.refuse_calls(lambda _, body: bad.task_id in body, operation)
    with pytest.raises(error):
        world.run()
    assert all((world.due_in(task) or 1) > 0 for task in good)
    assert world.due_in(bad)
    assert "Task not reconciled" in world.functions.logs()
    world.functions.before_call = lambda **_: None
    world.change(bad.task_id, due_at=timestamp(datetime.now(UTC)))
    world.run()
    assert (world.due_in(bad) or 1) > 0


def test_an_unknown_error_stops_no_other_either(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [world.task(Status.QUEUED) for _ in range(3)]

    def explode(_: object, task: Task) -> None:
        if task.task_id == tasks[0].task_id:
            raise ZeroDivisionError
        repaired.append(task.task_id)

    repaired: list[str] = []
    monkeypatch.setattr(repairs, "enqueue", explode)
    with pytest.raises(ZeroDivisionError):
        world.run()
    assert sorted(repaired) == sorted(task.task_id for task in tasks[1:])


def test_an_index_that_cannot_be_read_is_told(world: World) -> None:
    world.refuse_calls(lambda *_: True, "Query", "ThrottlingException")
    with pytest.raises(StorageUnavailable):
        world.run()


def test_it_stops_by_itself_when_there_is_no_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [world.task(Status.QUEUED), world.submitted()]
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _: 1_000)
    world.run()
    assert world.questions == []
    assert [world.stored(task) for task in tasks] == tasks
    assert all((world.due_in(task) or 0) < 0 for task in tasks)  # the next minute's


def test_no_kind_of_work_is_always_the_last_for_which_no_time_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Announcements that take all the time of each minute do not keep the provider from being asked."""
    world.submitted()
    for _ in range(2):
        world.task(Status.SUCCEEDED)
    world.refuse_calls(lambda *_: True, "PutEvents")
    for _ in range(40):
        steps = iter([300_000])  # there is time for one
        monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _, steps=steps: next(steps, 1_000))
        with suppress(QueueUnavailable):
            world.run()
        if world.questions:
            break
    assert world.questions


def test_it_stops_between_two_questions_and_keeps_what_it_has_learnt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [world.task(Status.SUBMITTED, 2 * ONE_HOUR, provider_task_id=f"unknown-{n}") for n in range(60)]
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _: 1_000 if world.questions else 300_000)
    world.run()
    assert [len(question["ids"]) for question in world.questions] == [50]
    statuses = [world.stored(task).status for task in tasks]
    assert (statuses.count(Status.EXPIRED), statuses.count(Status.SUBMITTED)) == (50, 10)


def test_what_the_index_promises_is_what_the_reconciler_writes(world: World) -> None:
    """A task without anything left to do is not in the index after one look at it."""
    task = world.task(Status.SUCCEEDED, announced=Status.SUCCEEDED)
    assert next_due(task, Clock()) is None
    world.run()
    assert world.due_in(task) is None


def test_logs_hold_the_task_and_nothing_secret(world: World) -> None:
    world.simulator._listing = True
    tasks = [
        world.submitted(),
        world.submitted(answered=False),
        world.task(Status.QUEUED, 2 * ONE_HOUR),
        world.task(Status.GENERATED, images=(IMAGE,)),
        world.task(Status.FAILED, callback_url="https://receiver.example.com/secret-path"),
    ]
    world.run()
    logs = world.functions.logs()
    for task in tasks:
        assert task.task_id in logs
    for secret in (TOKEN, token_hash(TOKEN), "nobody may read this", "secret-path", "/images/", "cdn.example.com"):
        assert secret not in logs
