"""Renders docs/cost.md: the text from cost.md in this folder, the figures from the cost model."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from fluxgate.aws.batch import RESERVE_MILLISECONDS
from fluxgate.providers import acedata
from fluxgate.tasks.store import DUE_SHARDS
from fluxgate.workflows.reconcile_tasks import PER_SHARD
from tests.bench.capacity import TABLE, WRITE_UNIT
from tests.bench.cost.bill import HERE, MONTH_MINUTES, CostModel, MeasuredOperation, scaled, total
from tests.bench.cost.rates import PARTITION, quotas, units

PER_MINUTE = (1, 100, 10_000)
PER_SECOND = {f"{rate:,} per minute": rate / 60 for rate in PER_MINUTE} | {"1,000 per second": 1_000}
SHORT_NAMES = {
    "provider POST /flux/images": "provider",
    "provider POST /flux/tasks": "provider",
    "provider GET picture": "image",
}


def render(model: CostModel) -> str:
    """The complete document."""
    figures = _tables(model) | _figures(model)
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: figures[found[1]], (HERE / "cost.md").read_text())
    return "".join(
        f"{line}\n" for block in re.split(r"\n(?=\n|[-#|]|\d+\. )", text.rstrip()) for line in _wrapped(block)
    )


def _wrapped(block: str) -> list[str]:
    """Wrap one paragraph or list item after its figures are inserted; tables and headings stay unchanged."""
    if block.startswith(("|", "#")) or not block.strip():
        return [block.strip("\n")]
    text, blank = " ".join(block.split()), [""] if block.startswith("\n") else []
    marker = re.match(r"- |\d+\. ", text)
    indent = " " * len(marker[0]) if marker else ""
    lines = textwrap.wrap(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [*blank, *lines]


def _tables(model: CostModel) -> dict[str, str]:
    return {
        "operations": _rows(_operation(model, operation) for operation in model.operations.values()),
        "tasks": _rows(_per_thousand(model)),
        "images": _rows((f"`{name}`", f"${1000 * price:.2f}") for name, price in model.prices["images"].items()),
        "quotas": _rows(_quotas(model)),
    }


def _operation(model: CostModel, operation: MeasuredOperation) -> Iterable[str]:
    yield operation.name
    yield ", ".join(_request(*request) for request in operation.requests.items())
    yield f"{operation.items_read}"
    yield f"{operation.items_written}"
    yield f"{operation.read_units:g}"
    yield f"{sum(operation.units.values())}"
    yield f"{operation.processor_seconds * 1000:.1f}"
    yield f"{model.billed_seconds(operation) * 1000:.0f}"
    yield f"{operation.log_bytes:,}"
    yield f"{sum(model.event_cost(operation.name).values()) * 1000:.4f}"


def _request(name: str, number: int) -> str:
    short = SHORT_NAMES.get(name) or name.partition(" ")[2]
    return f"{number} {short}" if number > 1 else short


def _per_thousand(model: CostModel) -> Iterable[Iterable[str]]:
    """Services in descending order of their cost at the middle rate, then totals."""
    idle = model.fixed_monthly_cost()
    months = {rate: rate * MONTH_MINUTES for rate in PER_MINUTE}  # tasks
    bills = {
        rate: total([scaled(model.task_cost(), tasks), idle, model.rate_dependent_cost(rate)])
        for rate, tasks in months.items()
    }
    for service in sorted({*idle, *model.task_cost()}, key=lambda name: -bills[PER_MINUTE[1]].get(name, 0)):
        yield service, *(f"{1000 * bills[rate][service] / tasks:.3f}" for rate, tasks in months.items())
    totals = {rate: sum(bill.values()) for rate, bill in bills.items()}
    yield "**total**", *(f"**{1000 * totals[rate] / tasks:.3f}**" for rate, tasks in months.items())
    yield (
        "fixed cost, included in the total",
        *(f"{1000 * sum(idle.values()) / tasks:.3f}" for tasks in months.values()),
    )
    yield "total per month", *(f"${dollars:,.0f}" for dollars in totals.values())
    image = model.prices["images"]["flux-dev"] * model.assumptions["task"]["images"]
    yield (
        "relative to `flux-dev`'s price",
        *(f"{100 * totals[rate] / tasks / image:.1f} %" for rate, tasks in months.items()),
    )


def _quotas(model: CostModel) -> Iterable[Iterable[str]]:
    """Usage above a quota is bold."""
    for quota in quotas(model):
        usage = (quota.usage(rate) for rate in PER_SECOND.values())
        cells = (f"**{_round(amount)}**" if amount > quota.limit else _round(amount) for amount in usage)
        yield quota.name, *cells, quota.limit_text, quota.remedy


def _round(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def _figures(model: CostModel) -> dict[str, str]:
    """Figures in the text."""
    largest = max(operation.stored_bytes for operation in model.operations.values())
    owner, due, table = (units(model, place)(1) for place in ("by_owner", "due", TABLE))
    publishing = sum(model.concurrency(name, 1) for name in model.events_per_task if name.startswith("publish"))
    polling = model.deployment.reconcile_seconds - RESERVE_MILLISECONDS / 1000
    return {
        "known_on": f"{model.prices['known_on']}",
        "region": model.prices["region"],
        "assumptions": _assumptions(model),
        "month": f"${sum(model.fixed_monthly_cost().values()):.2f}",
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
        "submit_seconds": f"{model.billed_seconds(model.operations['submission']):.1f}",
        "submitting": f"{model.concurrency('submission', 1000):,.0f}",
        "archiving": f"{model.concurrency('archive', 1000):,.0f}",
        "pass_size": f"{DUE_SHARDS * PER_SHARD:,}",
        "polled": f"{polling // acedata.PACE.total_seconds() * acedata.RETRIEVE_LIMIT:,.0f}",
        "reads": f"{model.assumptions['task']['reads']}",
        "bandwidth": f"{1000 * model.assumptions['task']['image_bytes'] / 1e9:g}",
    }


def _assumptions(model: CostModel) -> str:
    task, waits = model.assumptions["task"], model.assumptions["seconds"]
    sentences = [
        f"images of {task['image_bytes'] / 1e6:g} MB, {task['images']} per task, {task['downloads']} download each",
        f"the client reads each task {task['reads']} times, and one list page per {1 / task['list_pages']:g} tasks",
        f"{100 * task['webhooks']:g} % of tasks have a `callback_url`",
        f"tasks and images are kept for {model.deployment.retention_days} days (`RetentionDays`)",
        f"the provider takes {waits['provider POST /flux/images']:g} s to accept a submission and "
        f"{waits['provider GET picture']:g} s to serve an image",
        f"a webhook receiver responds in {waits['receiver POST']:g} s",
        f"responses take {1000 * waits['dynamodb']:g} ms from DynamoDB, {1000 * waits['sqs']:g} from SQS, "
        f"{1000 * waits['events']:g} from EventBridge and {1000 * waits['s3']:g} from S3",
        f"Lambda polls each queue with {model.assumptions['sqs']['pollers']} pollers, "
        f"every {model.assumptions['sqs']['poll_seconds']} s while it is empty",
        f"Lambda's own log lines are {model.assumptions['logs']['platform_bytes']} bytes per event, "
        f"API Gateway's {model.assumptions['logs']['access_bytes']} per request",
        "X-Ray keeps one trace per second and 5 % of the rest, for each function",
    ]
    return "; ".join(sentences) + "."


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
