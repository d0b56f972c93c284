"""docs/cost.md: its words from the text beside this module, its figures from the books."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from fluxgate.aws.batch import RESERVE_MILLISECONDS
from fluxgate.providers import acedata
from fluxgate.tasks.store import DUE_SHARDS
from fluxgate.workflows.reconcile_tasks import PER_SHARD
from tests.bench.capacity import TABLE, WRITE_UNIT
from tests.bench.cost.bill import HERE, MONTH_MINUTES, Books, Operation, times, total
from tests.bench.cost.rates import PARTITION, quotas, units

PER_MINUTE = (1, 100, 10_000)
PER_SECOND = {f"{rate:,} a minute": rate / 60 for rate in PER_MINUTE} | {"1,000 a second": 1_000}
SHORT = {
    "provider POST /flux/images": "provider",
    "provider POST /flux/tasks": "provider",
    "provider GET picture": "picture",
}


def written(books: Books) -> str:
    """The whole document."""
    figures = _tables(books) | _figures(books)
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: figures[found[1]], (HERE / "cost.md").read_text())
    return "".join(
        f"{line}\n" for block in re.split(r"\n(?=\n|[-#|]|\d+\. )", text.rstrip()) for line in _wrapped(block)
    )


def _wrapped(block: str) -> list[str]:
    """One paragraph or item of a list, which the figures have made longer or shorter; tables as they are."""
    if block.startswith(("|", "#")) or not block.strip():
        return [block.strip("\n")]
    text, blank = " ".join(block.split()), [""] if block.startswith("\n") else []
    marker = re.match(r"- |\d+\. ", text)
    indent = " " * len(marker[0]) if marker else ""
    lines = textwrap.wrap(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [*blank, *lines]


def _tables(books: Books) -> dict[str, str]:
    return {
        "operations": _rows(_operation(books, operation) for operation in books.operations.values()),
        "tasks": _rows(_per_thousand(books)),
        "pictures": _rows((f"`{model}`", f"${1000 * price:.2f}") for model, price in books.prices["pictures"].items()),
        "quotas": _rows(_quotas(books)),
    }


def _operation(books: Books, operation: Operation) -> Iterable[str]:
    yield operation.name
    yield ", ".join(_request(*request) for request in operation.requests.items())
    yield f"{operation.items_read}"
    yield f"{operation.items_written}"
    yield f"{operation.read_units:g}"
    yield f"{sum(operation.units.values())}"
    yield f"{operation.processor_seconds * 1000:.1f}"
    yield f"{books.seconds(operation) * 1000:.0f}"
    yield f"{operation.log_bytes:,}"
    yield f"{sum(books.of_event(operation.name).values()) * 1000:.4f}"


def _request(name: str, number: int) -> str:
    short = SHORT.get(name) or name.partition(" ")[2]
    return f"{number} {short}" if number > 1 else short


def _per_thousand(books: Books) -> Iterable[Iterable[str]]:
    """Services in the order of what they cost at the middle rate, then sums."""
    idle = books.of_month()
    months = {rate: rate * MONTH_MINUTES for rate in PER_MINUTE}  # tasks
    bills = {rate: total([times(books.of_task(), tasks), idle, books.of_rate(rate)]) for rate, tasks in months.items()}
    for service in sorted({*idle, *books.of_task()}, key=lambda name: -bills[PER_MINUTE[1]].get(name, 0)):
        yield service, *(f"{1000 * bills[rate][service] / tasks:.3f}" for rate, tasks in months.items())
    sums = {rate: sum(bill.values()) for rate, bill in bills.items()}
    yield "**together**", *(f"**{1000 * sums[rate] / tasks:.3f}**" for rate, tasks in months.items())
    yield "of it, also where no task comes", *(f"{1000 * sum(idle.values()) / tasks:.3f}" for tasks in months.values())
    yield "a month", *(f"${dollars:,.0f}" for dollars in sums.values())
    picture = books.prices["pictures"]["flux-dev"] * books.assumed["task"]["pictures"]
    yield (
        "beside `flux-dev`'s own price",
        *(f"{100 * sums[rate] / tasks / picture:.1f} %" for rate, tasks in months.items()),
    )


def _quotas(books: Books) -> Iterable[Iterable[str]]:
    """What is needed beyond a quota is bold."""
    for quota in quotas(books):
        needed = (quota.needed(rate) for rate in PER_SECOND.values())
        cells = (f"**{_round(amount)}**" if amount > quota.limit else _round(amount) for amount in needed)
        yield quota.what, *cells, quota.said, quota.lifted_by


def _round(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def _figures(books: Books) -> dict[str, str]:
    """What the text mentions."""
    largest = max(operation.stored_bytes for operation in books.operations.values())
    owner, due, table = (units(books, place)(1) for place in ("by_owner", "due", TABLE))
    publishing = sum(books.concurrency(name, 1) for name in books.events_per_task if name.startswith("publish"))
    asking = books.deployed.reconcile_seconds - RESERVE_MILLISECONDS / 1000
    return {
        "known_on": f"{books.prices['known_on']}",
        "region": books.prices["region"],
        "assumptions": _assumptions(books),
        "month": f"${sum(books.of_month().values()):.2f}",
        "item": f"{largest}",
        "headroom": f"{WRITE_UNIT - largest}",
        "table_units": f"{table:g}",
        "owner_units": f"{owner:g}",
        "due_units": f"{due:g}",
        "all_units": f"{owner + due + table:g}",
        "owner_rate": f"{PARTITION / owner:,.0f}",
        "due_rate": f"{PARTITION * DUE_SHARDS / due:,.0f}",
        "shards": f"{DUE_SHARDS}",
        "publish_rate": f"{1 / publishing:,.0f}",
        "submit_seconds": f"{books.seconds(books.operations['submission']):.1f}",
        "submitting": f"{books.concurrency('submission', 1000):,.0f}",
        "archiving": f"{books.concurrency('archive', 1000):,.0f}",
        "pass_size": f"{DUE_SHARDS * PER_SHARD:,}",
        "asked": f"{asking // acedata.PACE.total_seconds() * acedata.RETRIEVE_LIMIT:,.0f}",
        "reads": f"{books.assumed['task']['reads']}",
        "bandwidth": f"{1000 * books.assumed['task']['picture_bytes'] / 1e9:g}",
    }


def _assumptions(books: Books) -> str:
    task, waits = books.assumed["task"], books.assumed["seconds"]
    said = [
        f"pictures of {task['picture_bytes'] / 1e6:g} MB, {task['pictures']} a task, {task['downloads']} download each",
        f"the client reads each task {task['reads']} times, and a list page for every {1 / task['list_pages']:g} tasks",
        f"{100 * task['webhooks']:g} % of the tasks have a `callback_url`",
        f"tasks and pictures stay {books.deployed.retention_days} days (`RetentionDays`)",
        f"the provider takes {waits['provider POST /flux/images']:g} s to accept a submission and "
        f"{waits['provider GET picture']:g} s for a picture; a receiver answers in {waits['receiver POST']:g} s",
        f"an answer takes {1000 * waits['dynamodb']:g} ms from DynamoDB, {1000 * waits['sqs']:g} from SQS, "
        f"{1000 * waits['events']:g} from EventBridge, {1000 * waits['s3']:g} from S3",
        f"Lambda polls each queue with {books.assumed['sqs']['pollers']} pollers, "
        f"every {books.assumed['sqs']['poll_seconds']} s when it is empty",
        f"Lambda's own log lines are {books.assumed['logs']['platform_bytes']} bytes an event, "
        f"API Gateway's {books.assumed['logs']['access_bytes']} a request",
        "X-Ray keeps one trace a second and 5 % of the others, of each function",
    ]
    return "; ".join(said) + "."


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
