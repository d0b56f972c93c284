"""Tasks as items. Values go through DynamoDB's own types, so numbers come back as Decimal."""

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from fluxgate.tasks.items import _decode, deletion_from_item, from_item, timestamp, to_item
from fluxgate.tasks.model import Delivery, DeliveryState, EpochSeconds, Image, Status, Task, TaskError
from tests.builders import a_task

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(min_size=1, max_size=20)
images = st.builds(Image, source_url=texts, seed=st.none() | st.integers(-(2**63), 2**64), key=st.none() | texts)
tasks = st.fixed_dictionaries(
    {
        "status": st.sampled_from(Status),
        "model": texts,
        "size": texts,
        "count": st.integers(1, 4),
        "provider": texts,
        "task_id": texts,
        "owner": texts,
        "prompt": texts,
        "action": st.sampled_from(["generate", "edit"]),
        "metadata": st.dictionaries(texts, st.text(max_size=9), max_size=3),
        "created_at": moments,
        "updated_at": moments,
        "attempted_at": st.none() | moments,
        "expires_at": moments.map(lambda moment: moment.replace(microsecond=0)),
        "images": st.lists(images, max_size=3).map(tuple),
        "error": st.none() | st.builds(TaskError, code=texts, message=texts),
        "callback_tokens": st.frozensets(texts, max_size=3),
    }
).map(lambda fields: a_task(**fields))


def stored(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as DynamoDB returns it. The table leaves out None."""
    present = {name: TypeSerializer().serialize(value) for name, value in item.items() if value is not None}
    return {name: TypeDeserializer().deserialize(value) for name, value in present.items()}


@given(tasks)
def test_task_is_equal_after_storing(task: Task) -> None:
    item = {name: value for name, value in to_item(task).items() if value is not None}
    assert from_item(item) == task
    assert from_item(stored(item)) == task


@given(moments, moments)
def test_timestamps_sort_as_text(one: datetime, other: datetime) -> None:
    assert (timestamp(one) < timestamp(other)) == (one < other)
    assert timestamp(one).endswith("Z")
    assert datetime.fromisoformat(timestamp(one + timedelta(hours=1))) == one + timedelta(hours=1)


def test_timestamp_is_in_utc_whatever_the_time_zone() -> None:
    assert timestamp(datetime(2026, 11, 22, 13, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-22T12:00:00.000000Z"


# ---------------------------------------------------------------- new fields


class Quality(StrEnum):
    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, kw_only=True)
class Review:
    at: datetime
    score: int
    reviewer: str | None = None


@dataclass(frozen=True, kw_only=True)
class Panel:
    chair: Review
    minutes: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ExtendedTask(Task):
    """A task with one new field of each supported annotation."""

    reviewed_at: datetime | None = None
    score: int = 0
    limit: int | None = None
    flagged: bool = False
    quality: Quality | None = None
    review: Review | None = None
    reviews: tuple[Review, ...] = ()
    scores: dict[str, int] | None = None
    labels: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()
    moments: dict[str, datetime] | None = None
    panel: Panel | None = None


def extended(**fields: Any) -> ExtendedTask:
    return ExtendedTask(**vars(a_task()) | fields)


NEW_FIELDS: list[dict[str, Any]] = [
    {"reviewed_at": NOW},
    {"score": 7},
    {"limit": 2**53 + 1},
    {"flagged": True},
    {"quality": Quality.HIGH},
    {"review": Review(at=NOW, score=9)},
    {"reviews": (Review(at=NOW, score=1, reviewer="a"), Review(at=NOW + timedelta(1), score=2))},
    {"scores": {"a": 1, "b": 2}},
    {"labels": frozenset({"a", "b"})},
    {"numbers": frozenset({1, 2})},
    {"moments": {"begin": NOW}},
    {"panel": Panel(chair=Review(at=NOW, score=3), minutes=NOW)},
    {},
]


@pytest.mark.parametrize("fields", NEW_FIELDS, ids=lambda fields: "-".join(fields) or "none")
def test_new_field_decodes_by_its_annotation(fields: dict[str, Any]) -> None:
    task = extended(**fields)
    decoded = _decode(ExtendedTask, stored(to_item(task)))
    assert decoded == task
    for name, value in fields.items():
        assert type(getattr(decoded, name)) is type(value)


def test_numbers_in_nested_fields_are_int_not_decimal() -> None:
    task = extended(review=Review(at=NOW, score=9), reviews=(Review(at=NOW, score=1),), scores={"a": 1})
    item = stored(to_item(task))
    assert type(item["review"]["score"]) is Decimal
    decoded = _decode(ExtendedTask, item)
    assert decoded.review
    assert decoded.scores
    assert {type(decoded.review.score), type(decoded.reviews[0].score), type(decoded.scores["a"])} == {int}


def test_epoch_seconds_decode_to_a_datetime() -> None:
    kind = make_dataclass("WithEpochSeconds", [("at", EpochSeconds)])
    assert _decode(kind, {"at": Decimal(int(NOW.timestamp()))}) == kind(NOW)


class PlainEnum(Enum):
    ONE = 1


@pytest.mark.parametrize(
    "annotation",
    [float, bytes, complex, object, Any, list, list[str], set[str], PlainEnum, Decimal, tuple[float, ...],
     dict[str, float], float | None, Mapping[str, str], timedelta, int | str, tuple[int, str], Annotated[int, "unit"]],
    ids=str,
)  # fmt: skip
def test_unsupported_annotation_raises_type_error(annotation: Any) -> None:
    kind = make_dataclass("Unsupported", [("field", annotation)])
    with pytest.raises(TypeError, match="no stored form"):
        _decode(kind, {})


# ---------------------------------------------------------------- incomplete and additional attributes


def test_absent_attributes_have_their_defaults_and_unknown_ones_are_ignored() -> None:
    task = a_task()
    item = stored(to_item(task))
    for name in ("metadata", "attempts", "archive_attempts", "images"):
        del item[name]
    assert from_item(item | {"added_later": "x"}) == task


@pytest.mark.parametrize("name", ["task_id", "status", "created_at", "expires_at"])
def test_item_without_a_required_attribute_is_not_a_task(name: str) -> None:
    item = to_item(a_task())
    del item[name]
    with pytest.raises((KeyError, TypeError)):
        from_item(item)


def test_item_of_an_unknown_status_is_not_a_task() -> None:
    with pytest.raises(ValueError, match="resting"):
        from_item(to_item(a_task()) | {"status": "resting"})


def test_nested_datetime_and_status_decode() -> None:
    delivery = Delivery(outcome=Status.SUCCEEDED, state=DeliveryState.PENDING, attempts=2, next_at=NOW)
    decoded = from_item(stored(to_item(a_task(delivery=delivery)))).delivery
    assert decoded == delivery
    assert decoded
    assert (type(decoded.outcome), type(decoded.attempts), type(decoded.next_at)) == (Status, int, datetime)


def test_deletion_has_the_keys_of_archived_images() -> None:
    images = (Image(source_url="https://cdn/1", key="o/t/0.png"), Image(source_url="https://cdn/2"))
    deletion = deletion_from_item(stored(to_item(a_task(task_id="t", images=images, due_at=NOW))))
    assert (deletion.task_id, deletion.keys, deletion.due_at) == ("t", ("o/t/0.png",), NOW)
    assert deletion_from_item({"task_id": "t"}).due_at is None
