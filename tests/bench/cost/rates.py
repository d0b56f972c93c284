"""What a rate of tasks asks of each quota, and what lifts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fluxgate.tasks.store import DUE_SHARDS
from tests.bench.cost.bill import HTTP, REST, Books

DAY = 86_400  # seconds
PARTITION = 1_000  # write units per second of all items with one key


@dataclass(frozen=True)
class Quota:
    what: str
    needed: Callable[[float], float]  # by tasks per second
    limit: float
    said: str
    lifted_by: str


def quotas(books: Books) -> list[Quota]:
    """As the stack is deployed with its defaults, in a region of the largest kind."""
    default = {name: float(value) for name, value in books.deployed.parameters.items() if str(value).isdecimal()}
    shards = books.assumed["lambda"]["stream_shards"]
    publish = [name for name in books.events_per_task if name.startswith("publish")]

    def events(names: set[str]) -> Callable[[float], float]:
        return lambda rate: rate * sum(books.events_per_task[name] for name in names)

    def busy(*names: str) -> Callable[[float], float]:
        return lambda rate: sum(books.concurrency(name, rate) for name in names)

    return [
        Quota("REST requests/s, of one key", events(REST), default["ThrottleRate"], f"{default['ThrottleRate']:,.0f}",
              "`ThrottleRate`, `ThrottleBurst`, to 10,000 and 5,000; more keys"),
        Quota("… a day", lambda rate: DAY * events(REST)(rate), default["QuotaLimit"], f"{default['QuotaLimit']:,.0f}",
              "`QuotaLimit`; more keys"),
        Quota("requests/s of both APIs", events(REST | HTTP), 10_000, "10,000 an account; 2,500 in small regions",
              "Service Quotas"),
        Quota("callbacks/s", events(HTTP), default["CallbackThrottleRate"], f"{default['CallbackThrottleRate']:,.0f}",
              "`CallbackThrottleRate`, `CallbackThrottleBurst`"),
        Quota("Lambda, processes at once", busy(*books.events_per_task), 1_000, "1,000 an account; new ones have fewer",
              "Service Quotas"),
        Quota("… that submit", busy("submission"), 1_000, "the same; 1,000 more every 10 s", "Service Quotas"),
        Quota("… that archive", busy("archive"), default["ArchiveConcurrency"], f"{default['ArchiveConcurrency']:,.0f}",
              "`ArchiveConcurrency`, to 1,000"),
        Quota("… that deliver", busy("webhook"), default["WebhookConcurrency"], f"{default['WebhookConcurrency']:,.0f}",
              "`WebhookConcurrency`, to 1,000"),
        Quota("… that publish changes", busy(*publish), shards, f"{shards}: the shards of a new table's stream",
              "`ParallelizationFactor` in the template, to 10 for each shard; more shards come with more load"),
        Quota("DynamoDB, write units/s", units(books, None), 4_000, "4,000 at first, then twice the last peak; 40,000",
              "warm throughput beforehand; Service Quotas"),
        Quota("… of one owner in `by_owner`", units(books, "by_owner"), PARTITION, "1,000: one partition key",
              "design, below"),
        Quota("… of one shard of `due`", units(books, "due", DUE_SHARDS), PARTITION, "1,000: one partition key",
              "design, below"),
        Quota("DynamoDB, read units/s", lambda rate: rate * sum(
            number * books.operations[name].read_units for name, number in books.events_per_task.items()),
              12_000, "12,000 at first; 40,000", "warm throughput beforehand; Service Quotas"),
        Quota("EventBridge, events/s", events(set(publish) - {"publish generated"}), 10_000,
              "10,000 in us-east-1, hundreds in small regions", "Service Quotas"),
    ]  # fmt: skip


def units(books: Books, index: str | None, shares: int = 1) -> Callable[[float], float]:
    """Written per second; None: to the table and all its indexes."""

    def needed(rate: float) -> float:
        return sum(
            rate * number * units / shares
            for name, number in books.events_per_task.items()
            for place, units in books.operations[name].units.items()
            if index in {None, place}
        )

    return needed
