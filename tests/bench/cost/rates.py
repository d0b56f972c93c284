"""Compares the usage at a rate of tasks with each quota."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fluxgate.tasks.store import DUE_SHARDS
from tests.bench.cost.bill import HTTP_OPERATIONS, REST_OPERATIONS, CostModel

DAY = 86_400  # seconds
PARTITION = 1_000  # write units per second and partition key


@dataclass(frozen=True)
class Quota:
    name: str
    usage: Callable[[float], float]  # by tasks per second
    limit: float
    limit_text: str
    remedy: str


def quotas(model: CostModel) -> list[Quota]:
    """For a stack deployed with default parameters, in one of the largest regions."""
    shards = model.assumptions["lambda"]["stream_shards"]
    publish = [name for name in model.events_per_task if name.startswith("publish")]
    apis = REST_OPERATIONS | HTTP_OPERATIONS
    in_advance = "warm throughput in advance; Service Quotas"

    def default(parameter: str) -> tuple[float, str]:
        value = float(model.deployment.parameters[parameter])
        return value, f"{value:,.0f}"

    def events(names: set[str], seconds: int = 1) -> Callable[[float], float]:
        return lambda rate: rate * seconds * sum(model.events_per_task[name] for name in names)

    def processes(*names: str) -> Callable[[float], float]:
        return lambda rate: sum(model.concurrency(name, rate) for name in names)

    def read_units(rate: float) -> float:
        return rate * sum(number * model.operations[name].read_units for name, number in model.events_per_task.items())

    return [
        Quota("REST requests/s, per key", events(REST_OPERATIONS), *default("ThrottleRate"),
              "`ThrottleRate`, `ThrottleBurst`, up to 10,000 and 5,000; use more keys"),
        Quota("REST requests/day, per key", events(REST_OPERATIONS, DAY), *default("QuotaLimit"),
              "`QuotaLimit`; use more keys"),
        Quota("requests/s, both APIs", events(apis), 10_000, "10,000 per account; 2,500 in small regions",
              "Service Quotas"),
        Quota("callbacks/s", events(HTTP_OPERATIONS), *default("CallbackThrottleRate"),
              "`CallbackThrottleRate`, `CallbackThrottleBurst`"),
        Quota("Lambda concurrency", processes(*model.events_per_task), 1_000,
              "1,000 per account; lower for new accounts", "Service Quotas"),
        Quota("… submitting", processes("submission"), 1_000, "the same; grows by 1,000 every 10 s", "Service Quotas"),
        Quota("… archiving", processes("archive"), *default("ArchiveConcurrency"),
              "`ArchiveConcurrency`, up to 1,000"),
        Quota("… delivering", processes("webhook"), *default("WebhookConcurrency"),
              "`WebhookConcurrency`, up to 1,000"),
        Quota("… publishing changes", processes(*publish), shards, f"{shards}: the shards of a new table's stream",
              "`ParallelizationFactor` in the template, up to 10 per shard; shards increase with load"),
        Quota("DynamoDB write units/s", units(model, None), 4_000,
              "4,000 initially, then twice the previous peak; 40,000", in_advance),
        Quota("… per owner in `by_owner`", units(model, "by_owner"), PARTITION, "1,000 per partition key",
              "design change, see below"),
        Quota("… per shard of `due`", units(model, "due", DUE_SHARDS), PARTITION, "1,000 per partition key",
              "design change, see below"),
        Quota("DynamoDB read units/s", read_units, 12_000, "12,000 initially; 40,000", in_advance),
        Quota("EventBridge events/s", events(set(publish) - {"publish generated"}), 10_000,
              "10,000 in us-east-1, hundreds in small regions", "Service Quotas"),
    ]  # fmt: skip


def units(model: CostModel, index: str | None, shares: int = 1) -> Callable[[float], float]:
    """Write units per second by tasks per second. None: of the table and all its indexes."""

    def usage(rate: float) -> float:
        return sum(
            rate * number * units / shares
            for name, number in model.events_per_task.items()
            for place, units in model.operations[name].units.items()
            if index in {None, place}
        )

    return usage
