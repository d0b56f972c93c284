"""Dollars: of one event, of one task, of a month, by service."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fluxgate.aws.secrets import CACHE_SECONDS
from local.stack import ROOT
from local.template import of_type, translate

HERE = Path(__file__).parent
MONTH_HOURS, MONTH_DAYS = 730, 365 / 12
MONTH_MINUTES, MONTH_SECONDS = MONTH_HOURS * 60, MONTH_HOURS * 3600
GB = 1e9
OVERHEAD = 100  # bytes that DynamoDB adds to an item, and to its copy in an index

Bill = Mapping[str, float]  # dollars by service
Facts = Mapping[str, Any]

# What an event needs before or after its function.
REST = {"submission", "read task", "list page"}
HTTP = {"callback"}
QUEUED = {"archive": 2, "webhook": 2}  # SQS requests: received, deleted
FED_BY_RULE = {"publish outcome, webhook wanted": 1}  # SQS requests: the rule sends


@dataclass(frozen=True)
class Operation:
    """One event of a warm process, from bench.json."""

    name: str
    memory_mb: int
    processor_seconds: float
    log_bytes: int
    metrics: frozenset[str]
    requests: Mapping[str, int]
    first: Mapping[str, int]
    items_read: int
    items_written: int
    read_units: float
    units: Mapping[str, int]  # that it writes: of the table and of each index
    stored_bytes: int  # of the item that it writes last

    @classmethod
    def of(cls, name: str, found: Facts) -> Self:
        counts = found["counts"][max(found["counts"], key=int)]
        units: Counter[str] = Counter()
        for write in found["writes"]:
            units.update(write["units"])
        return cls(
            name=name,
            memory_mb=found["memory_mb"],
            processor_seconds=found["processor_milliseconds"] / 1000,
            log_bytes=found["log_bytes"],
            metrics=frozenset(found["metrics"]),
            requests=counts["requests"],
            first=counts["first"],
            items_read=counts["items_read"],
            items_written=counts["items_written"],
            read_units=counts["read_units"],
            units=units,
            stored_bytes=found["writes"][-1]["bytes"] if found["writes"] else 0,
        )


@dataclass(frozen=True)
class Deployed:
    """What the template makes whose price does not depend on use."""

    secrets: int
    alarm_metrics: int
    dashboards: int
    queues: int
    """That Lambda polls."""
    retention_days: int
    reconcile_seconds: int
    """For one pass."""
    parameters: Mapping[str, Any]
    """Their defaults."""

    @classmethod
    def read(cls) -> Self:
        template = translate(ROOT / "template.yaml", {"FluxApiToken": "unused"})
        alarms = [alarm["Properties"] for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()]
        sources = of_type(template, "AWS::Lambda::EventSourceMapping").values()
        defaults = {name: facts.get("Default") for name, facts in template["Parameters"].items()}
        return cls(
            secrets=len(of_type(template, "AWS::SecretsManager::Secret")),
            alarm_metrics=sum(str(alarm).count("'MetricStat'") or 1 for alarm in alarms),
            dashboards=len(of_type(template, "AWS::CloudWatch::Dashboard")),
            queues=sum("ScalingConfig" in source["Properties"] for source in sources),
            retention_days=int(defaults["RetentionDays"]),
            reconcile_seconds=template["Resources"]["ReconcileTasksFunction"]["Properties"]["Timeout"],
            parameters=defaults,
        )


@dataclass(frozen=True)
class Books:
    """All that a bill is made of."""

    operations: Mapping[str, Operation]
    deployed: Deployed
    prices: Facts
    assumed: Facts

    def seconds(self, operation: Operation) -> float:
        """For which an event's function is billed: its share of a processor, and waiting for what it calls."""
        share: float = min(operation.memory_mb / self.assumed["lambda"]["megabytes_per_processor"], 1)
        waits: Mapping[str, float] = self.assumed["seconds"]
        waiting: float = sum(
            number * waits.get(name, waits.get(name.partition(" ")[0], 0))
            for name, number in operation.requests.items()
        )
        return math.ceil((operation.processor_seconds / share + waiting) * 1000) / 1000

    def of_event(self, name: str) -> Bill:
        """Without its trace, of which not every one is kept."""
        operation, prices = self.operations[name], self.prices
        requests: Counter[str] = Counter()
        for request, number in operation.requests.items():
            requests[request.partition(" ")[0]] += number
        messages = requests["sqs"] + QUEUED.get(name, 0) + FED_BY_RULE.get(name, 0)
        logged = operation.log_bytes + self.assumed["logs"]["platform_bytes"]
        logged += self.assumed["logs"]["access_bytes"] * (name in REST | HTTP)
        return {
            "Lambda": operation.memory_mb / 1024 * self.seconds(operation) * prices["lambda"]["gb_second"]
            + prices["lambda"]["million_requests"] / 1e6,
            "API Gateway": (name in REST) * prices["api_gateway"]["million_rest_requests"] / 1e6
            + (name in HTTP) * prices["api_gateway"]["million_http_requests"] / 1e6,
            "DynamoDB": sum(operation.units.values()) * prices["dynamodb"]["million_write_units"] / 1e6
            + operation.read_units * prices["dynamodb"]["million_read_units"] / 1e6,
            "S3": operation.requests.get("s3 PutObject", 0) * prices["s3"]["thousand_puts"] / 1000,
            "SQS": messages * prices["sqs"]["million_requests"] / 1e6,
            "EventBridge": requests["events"] * prices["eventbridge"]["million_events"] / 1e6,
            "CloudWatch": logged / GB * prices["cloudwatch"]["log_gb"],
            "Data transfer": (name in REST) * self.assumed["task"]["answer_bytes"] / GB * prices["transfer"]["gb"],
        }

    @property
    def events_per_task(self) -> dict[str, float]:
        """Of a task that succeeds on the straight way."""
        task = self.assumed["task"]
        return {
            "submission": 1,
            "callback": 1,
            "publish generated": 1,
            "archive": 1,
            "publish outcome": 1 - task["webhooks"],
            "publish outcome, webhook wanted": task["webhooks"],
            "webhook": task["webhooks"],
            "read task": task["reads"],
            "list page": task["list_pages"],
        }

    def of_task(self) -> Bill:
        """Of one task, with what it keeps stored until its retention ends. Without traces."""
        events = [times(self.of_event(name), number) for name, number in self.events_per_task.items()]
        return total([*events, self._kept()])

    def _kept(self) -> Bill:
        task, months = self.assumed["task"], self.deployed.retention_days / MONTH_DAYS
        pictures = task["pictures"] * task["picture_bytes"] / GB
        item = (self.operations["publish outcome"].stored_bytes + OVERHEAD) / GB
        table = self.prices["dynamodb"]
        return {
            "S3": pictures * months * self.prices["s3"]["gb_month"]
            + task["downloads"] * task["pictures"] * self.prices["s3"]["thousand_gets"] / 1000,
            "DynamoDB": item * months * (2 * table["gb_month"] + table["recovery_gb_month"]),  # and in by_owner
            "Data transfer": task["downloads"] * pictures * self.prices["transfer"]["gb"],
        }

    def of_month(self) -> Bill:
        """Of all that is paid whether or not a task comes."""
        deployed, prices = self.deployed, self.prices
        polls = deployed.queues * self.assumed["sqs"]["pollers"] * MONTH_SECONDS / self.assumed["sqs"]["poll_seconds"]
        metrics = len(frozenset().union(*(operation.metrics for operation in self.operations.values())))
        standing = {
            "Secrets Manager": deployed.secrets * prices["secrets_manager"]["secret_month"],
            "CloudWatch": metrics * prices["cloudwatch"]["metric_month"]
            + deployed.alarm_metrics * prices["cloudwatch"]["alarm_metric_month"]
            + deployed.dashboards * prices["cloudwatch"]["dashboard_month"],
            "SQS": polls * prices["sqs"]["million_requests"] / 1e6,
            "X-Ray": MONTH_MINUTES * prices["xray"]["million_traces"] / 1e6,  # the reconciler's
        }
        return total([standing, times(self.of_event("reconcile, idle"), MONTH_MINUTES)])

    def of_rate(self, per_minute: float) -> Bill:
        """What a month of such a rate costs beside its tasks, and less than in proportion to them."""
        prices = self.prices
        return {
            "Secrets Manager": self._secret_reads(per_minute)
            * prices["secrets_manager"]["ten_thousand_requests"]
            / 1e4,
            "X-Ray": self._traces(per_minute) * MONTH_SECONDS * prices["xray"]["million_traces"] / 1e6,
        }

    def concurrency(self, name: str, per_second: float) -> float:
        """Processes that are busy with an operation, when so many tasks come."""
        return per_second * self.events_per_task[name] * self.seconds(self.operations[name])

    def _secret_reads(self, per_minute: float) -> float:
        """A month's: each process reads again what has become old."""
        reading = [name for name in self.events_per_task if self.operations[name].first]
        processes = sum(max(1, self.concurrency(name, per_minute / 60)) for name in reading)
        return processes * MONTH_SECONDS / CACHE_SECONDS

    def _traces(self, per_minute: float) -> float:
        """Per second."""
        each: float = self.assumed["tracing"]["each_second"]
        share: float = self.assumed["tracing"]["share"]
        rates = [number * per_minute / 60 for number in self.events_per_task.values()]
        return sum(min(rate, each + share * max(rate - each, 0)) for rate in rates)


def read(path: Path) -> Facts:
    return tomllib.loads(path.read_text())


def total(bills: Iterable[Bill]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for bill in bills:
        found.update(bill)
    return dict(found)


def times(bill: Bill, number: float) -> dict[str, float]:
    return {service: dollars * number for service, dollars in bill.items()}
