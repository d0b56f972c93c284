"""Compatibility with released versions: today's code reads what each of them has stored and sent, and still writes it.

During a deployment, and after a rollback, two versions share the table and the queues. See versions/1.0.0/README.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from fluxgate.tasks.items import from_item, to_item
from local.stack import Stack
from tests.contract.versions.record import ATTEMPTS, VERSIONS, Recording, record
from tests.contract.versions.recorder import AT_ONCE, Recorder
from tests.contract.versions.responses import pages, responses
from tests.contract.versions.surroundings import Item, OneProcess, Receiver
from tests.harness import Functions, forget

RELEASES = sorted(path.parent.name for path in VERSIONS.glob("*/items.json"))

# Attributes and fields that were added after a release, by file or queue. Its own are never renamed or removed.
ADDED: dict[str, dict[str, frozenset[str]]] = {
    "1.0.0": {},
}

# Texts for people, which may be reworded. Python 3.13 renamed the titles of the statuses 413, 416 and 422.
PROSE = {"message", "detail", "description", "title"}


def flat(recording: Recording) -> Recording:
    """The queues' messages beside the files."""
    return {**recording, **recording["messages"]}


FILES: dict[str, Recording] = {
    release: flat({path.stem: json.loads(path.read_text()) for path in (VERSIONS / release).glob("*.json")})
    for release in RELEASES
}
ITEMS = [(release, name) for release in RELEASES for name in FILES[release]["items"]]
TASKS = [(release, name) for release, name in ITEMS if "created_at" in FILES[release]["items"][name]]
SENT = [
    pytest.param(release, kind, entry, id=f"{release}-{kind}-{entry['about']}-{entry.get('sent_by', '')}".strip("-"))
    for release in RELEASES
    for kind in ("submission", "archive", "webhook", "events", "webhooks")
    for entry in FILES[release][kind]
]


def messages(queue: str) -> list[Any]:
    return [
        pytest.param(release, entry, id=f"{release}-{entry['about']}-{entry['sent_by']}")
        for release in RELEASES
        for entry in FILES[release]["messages"][queue]
    ]


def comparable(today: Any, recorded: Any, added: frozenset[str]) -> Any:
    """Today's value without the names that were added since the release, and with the release's prose."""
    if isinstance(today, dict) and isinstance(recorded, dict):
        kept = {name: part for name, part in today.items() if name in recorded or name not in added}
        return {
            name: recorded[name]
            if name in PROSE and isinstance(part, str) and isinstance(recorded.get(name), str)
            else comparable(part, recorded.get(name), added)
            for name, part in kept.items()
        }
    if isinstance(today, list) and isinstance(recorded, list) and len(today) == len(recorded):
        return [comparable(part, other, added) for part, other in zip(today, recorded, strict=True)]
    return today


def assert_same(today: Any, recorded: Any, release: str, file: str) -> None:
    assert comparable(today, recorded, ADDED[release].get(file, frozenset())) == recorded


@pytest.fixture(scope="module")
def today(backing: Stack) -> Recording:
    """What today's handlers store and send in the same scenarios, and what they show of each release's items."""
    with pytest.MonkeyPatch.context() as patch:
        process = OneProcess(backing, patch)
        found = flat(record(process))
        found["shown"] = {release: responses(process, FILES[release]["items"]) for release in RELEASES}
    forget()
    return found


@pytest.fixture
def recorder(functions: Functions) -> Iterator[Recorder]:
    with Receiver() as receiver:
        recorder = Recorder(functions, receiver)
        yield recorder
        recorder.table.clear()


def test_every_release_names_its_commit_and_has_every_file() -> None:
    assert RELEASES
    for release in RELEASES:
        assert re.search(r"^Commit: [0-9a-f]{40}$", (VERSIONS / release / "README").read_text(), re.MULTILINE)
        assert FILES[release].keys() >= {"items", "messages", "events", "webhooks", "responses"}
        assert release in ADDED


# ---------------------------------------------------------------- today's writer


@pytest.mark.parametrize(("release", "name"), ITEMS)
def test_an_item_is_stored_as_the_release_stores_it(today: Recording, release: str, name: str) -> None:
    """By the handlers: every attribute has the recorded name and type."""
    assert_same(today["items"][name], FILES[release]["items"][name], release, "items")


@pytest.mark.parametrize(("release", "kind", "entry"), SENT)
def test_a_message_event_or_webhook_is_sent_as_the_release_sends_it(
    today: Recording, release: str, kind: str, entry: Any
) -> None:
    same = {name: entry[name] for name in ("about", "sent_by", "detail_type") if name in entry}
    sent = next(other for other in today[kind] if same.items() <= other.items())
    assert_same(sent, entry, release, kind)


@pytest.mark.parametrize(("release", "name"), TASKS)
def test_a_task_that_was_read_is_written_with_the_same_attributes(release: str, name: str) -> None:
    recorded = FILES[release]["items"][name]
    task = from_item({attribute: TypeDeserializer().deserialize(value) for attribute, value in recorded.items()})
    written = {attribute: value for attribute, value in to_item(task).items() if value is not None}
    item: Item = {attribute: TypeSerializer().serialize(value) for attribute, value in written.items()}
    for value in item.values():
        value.get("SS", []).sort()
    index = {"due_shard"} & recorded.keys()  # of the index alone; no part of a task
    assert_same(item | {attribute: recorded[attribute] for attribute in index}, recorded, release, "items")


# ---------------------------------------------------------------- today's reader


@pytest.mark.parametrize(("release", "name"), ITEMS)
def test_a_recorded_item_is_shown_as_the_release_showed_it(today: Recording, release: str, name: str) -> None:
    assert_same(
        today["shown"][release]["tasks"][name], FILES[release]["responses"]["tasks"][name], release, "responses"
    )


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("kind", ["deleted", "waited", "invalid_request"])
def test_a_request_gets_the_response_that_the_release_gave(today: Recording, release: str, kind: str) -> None:
    """About a deleted task; with the idempotency key of a task, waiting for its outcome; and with invalid fields."""
    assert_same(today["shown"][release][kind], FILES[release]["responses"][kind], release, "responses")


@pytest.mark.parametrize("release", RELEASES)
def test_the_models_of_the_release_are_still_offered(today: Recording, release: str) -> None:
    """With everything that a program reads about them."""
    models = {model["name"]: model for model in today["shown"][release]["models"]["models"]}
    for model in FILES[release]["responses"]["models"]["models"]:
        words = {"size": model["size"]}
        assert_same(models[model["name"]] | words, model, release, "responses")


@pytest.mark.parametrize("release", RELEASES)
def test_the_list_of_recorded_tasks_continues_from_each_recorded_cursor(recorder: Recorder, release: str) -> None:
    recorder.load(FILES[release]["items"])
    recorded = FILES[release]["responses"]["pages"]
    assert pages(recorder.functions) == recorded
    for number, page in enumerate(recorded[:-1], start=1):
        assert pages(recorder.functions, page["cursor"]) == recorded[number:]


@pytest.mark.parametrize("release", RELEASES)
def test_the_reconciler_handles_every_recorded_item(recorder: Recorder, release: str) -> None:
    """It raises where an item cannot be repaired, and counts those that it cannot read."""
    recorder.load(FILES[release]["items"])
    due = {item["task_id"]["S"]: item for item in recorder.table.items().values() if "due_at" in item}
    recorder.reconcile(**AT_ONCE)
    assert "TaskUnreadable" not in recorder.functions.metrics()
    left = recorder.table.items()
    assert not [name for name, item in due.items() if left[name] == item]


# ---------------------------------------------------------------- recorded messages


@pytest.mark.parametrize(("release", "entry"), messages("submission"))
def test_a_recorded_submission_message_finds_its_task(recorder: Recorder, release: str, entry: Any) -> None:
    """An order, by itself or through the bus, finds the task that it has created: by its key, and as the same
    request."""
    name = entry["about"]
    recorder.load({name: FILES[release]["items"][name]})
    recorder.receive("submit_queued", entry["body"])
    assert recorder.events == []  # it was not rejected
    (item,) = recorder.table.items().values()
    before = FILES[release]["items"][name]["status"]["S"]
    assert item["status"]["S"] == ("submitted" if before == "queued" else before)


@pytest.mark.parametrize(("release", "entry"), messages("archive"))
def test_a_recorded_archive_message_is_handled(recorder: Recorder, release: str, entry: Any) -> None:
    name = entry["about"]
    recorder.load({name: FILES[release]["items"][name]})
    body = recorder.localized(entry["body"])
    recorder.receive("archive_images", body, receive_count=ATTEMPTS)
    (item,) = recorder.table.items().values()
    before = FILES[release]["items"][name]["status"]["S"]
    assert item["status"]["S"] == ("succeeded" if before == "generated" else before)


@pytest.mark.parametrize(("release", "entry"), messages("webhook"))
def test_a_recorded_webhook_message_is_handled(recorder: Recorder, release: str, entry: Any) -> None:
    """The receiver gets the outcome that the message is about, unless it has had it."""
    name, detail = entry["about"], entry["body"].get("detail", entry["body"])
    item = FILES[release]["items"][name]
    recorder.load({name: item})
    recorder.receive("deliver_webhook", entry["body"])
    state = item["delivery"]["M"]["state"]["S"] if "delivery" in item else "pending"
    is_due = item["status"]["S"] == detail["status"] and state == "pending"
    expected = [f"{detail['task_id']}.{detail['status']}"] if is_due else []
    assert [request.headers["webhook-id"] for request in recorder.receiver.requests] == expected


PUBLISHED = [
    pytest.param(release, entry, id=f"{release}-{entry['about']}")
    for release in RELEASES
    for entry in [*FILES[release]["messages"]["archive"], *FILES[release]["events"]]
    if entry["about"]
    and entry.get("sent_by", "publish_changes") == "publish_changes"
    and FILES[release]["items"][entry["about"]]["status"]["S"] == entry.get("detail", {"status": "generated"})["status"]
]


@pytest.mark.parametrize(("release", "entry"), PUBLISHED)
def test_a_change_of_a_recorded_item_is_published(recorder: Recorder, release: str, entry: Any) -> None:
    """A record of the stream may hold what another version has stored."""
    name = entry["about"]
    recorder.load({name: FILES[release]["items"][name]})
    recorder.publish(name, "submitted")
    if "detail" in entry:
        assert_same(recorder.events[-1]["detail"], entry["detail"], release, "events")
    else:
        (sent,) = recorder.messages
        assert_same(sent["body"], recorder.localized(entry["body"]), release, "archive")
