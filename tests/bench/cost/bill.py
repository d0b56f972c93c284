"""Calculates costs in dollars by service: per event, per task and per month."""

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
ITEM_OVERHEAD = 100  # bytes that DynamoDB adds to an item and to its copy in each index

Bill = Mapping[str, float]  # dollars by service
Facts = Mapping[str, Any]

# What an event costs before or after its function.
REST_OPERATIONS = {"submission", "read task", "list page"}
HTTP_OPERATIONS = {"callback"}
QUEUE_REQUESTS = {"archive": 2, "webhook": 2}  # SQS requests: receive, delete
RULE_REQUESTS = {"publish outcome, webhook wanted": 1}  # SQS requests: the rule's send


@dataclass(frozen=True)
class MeasuredOperation:
    """Values per event in a warm process, from bench.json."""

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
    units: Mapping[str, int]  # write units of the table and of each index
    stored_bytes: int  # of the last written item

    @classmethod
    def of(cls, name: str, measurement: Facts) -> Self:
        counts = measurement["counts"][max(measurement["counts"], key=int)]
        units: Counter[str] = Counter()
        for write in measurement["writes"]:
            units.update(write["units"])
        return cls(
            name=name,
            memory_mb=measurement["memory_mb"],
            processor_seconds=measurement["processor_milliseconds"] / 1000,
            log_bytes=measurement["log_bytes"],
            metrics=frozenset(measurement["metrics"]),
            requests=counts["requests"],
            first=counts["first"],
            items_read=counts["items_read"],
            items_written=counts["items_written"],
            read_units=counts["read_units"],
            units=units,
            stored_bytes=measurement["writes"][-1]["bytes"] if measurement["writes"] else 0,
        )


@dataclass(frozen=True)
class Deployment:
    """The resources whose cost does not depend on usage, and the parameters' defaults."""

    secrets: int
    alarm_metrics: int
    dashboards: int
    queues: int  # that Lambda polls
    retention_days: int
    reconcile_seconds: int  # the timeout of one pass
    parameters: Mapping[str, Any]  # their defaults

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
class CostModel:
    """Combines measurements, deployment, prices and assumptions."""

    operations: Mapping[str, MeasuredOperation]
    deployment: Deployment
    prices: Facts
    assumptions: Facts

    def billed_seconds(self, operation: MeasuredOperation) -> float:
        """Billed duration of an event: processor time scaled by the function's share of a processor, plus waiting."""
        share: float = min(operation.memory_mb / self.assumptions["lambda"]["megabytes_per_processor"], 1)
        waits: Mapping[str, float] = self.assumptions["seconds"]
        waiting: float = sum(
            number * waits.get(name, waits.get(name.partition(" ")[0], 0))
            for name, number in operation.requests.items()
        )
        return math.ceil((operation.processor_seconds / share + waiting) * 1000) / 1000

    def event_cost(self, name: str) -> Bill:
        """Without traces, since they are sampled."""
        operation, prices = self.operations[name], self.prices
        requests: Counter[str] = Counter()
        for request, number in operation.requests.items():
            requests[request.partition(" ")[0]] += number
        messages = requests["sqs"] + QUEUE_REQUESTS.get(name, 0) + RULE_REQUESTS.get(name, 0)
        logged = operation.log_bytes + self.assumptions["logs"]["platform_bytes"]
        logged += self.assumptions["logs"]["access_bytes"] * (name in REST_OPERATIONS | HTTP_OPERATIONS)
        return {
            "Lambda": operation.memory_mb / 1024 * self.billed_seconds(operation) * prices["lambda"]["gb_second"]
            + prices["lambda"]["million_requests"] / 1e6,
            "API Gateway": (name in REST_OPERATIONS) * prices["api_gateway"]["million_rest_requests"] / 1e6
            + (name in HTTP_OPERATIONS) * prices["api_gateway"]["million_http_requests"] / 1e6,
            "DynamoDB": sum(operation.units.values()) * prices["dynamodb"]["million_write_units"] / 1e6
            + operation.read_units * prices["dynamodb"]["million_read_units"] / 1e6,
            "S3": operation.requests.get("s3 PutObject", 0) * prices["s3"]["thousand_puts"] / 1000,
            "SQS": messages * prices["sqs"]["million_requests"] / 1e6,
            "EventBridge": requests["events"] * prices["eventbridge"]["million_events"] / 1e6,
            "CloudWatch": logged / GB * prices["cloudwatch"]["log_gb"],
            "Data transfer": (name in REST_OPERATIONS)
            * self.assumptions["task"]["response_bytes"]
            / GB
            * prices["transfer"]["gb"],
        }

    @property
    def events_per_task(self) -> dict[str, float]:
        """Events of a task that succeeds without retries."""
        task = self.assumptions["task"]
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

    def task_cost(self) -> Bill:
        """The cost of one task, including storage until its retention ends. Without traces."""
        events = [scaled(self.event_cost(name), number) for name, number in self.events_per_task.items()]
        return total([*events, self._storage_cost()])

    def _storage_cost(self) -> Bill:
        task, months = self.assumptions["task"], self.deployment.retention_days / MONTH_DAYS
        images = task["images"] * task["image_bytes"] / GB
        item = (self.operations["publish outcome"].stored_bytes + ITEM_OVERHEAD) / GB
        table = self.prices["dynamodb"]
        return {
            "S3": images * months * self.prices["s3"]["gb_month"]
            + task["downloads"] * task["images"] * self.prices["s3"]["thousand_gets"] / 1000,
            "DynamoDB": item * months * (2 * table["gb_month"] + table["recovery_gb_month"]),  # also in by_owner
            "Data transfer": task["downloads"] * images * self.prices["transfer"]["gb"],
        }

    def fixed_monthly_cost(self) -> Bill:
        """The monthly cost without any tasks."""
        deployment, prices = self.deployment, self.prices
        polls = (
            deployment.queues
            * self.assumptions["sqs"]["pollers"]
            * MONTH_SECONDS
            / self.assumptions["sqs"]["poll_seconds"]
        )
        metrics = len(frozenset().union(*(operation.metrics for operation in self.operations.values())))
        fixed = {
            "Secrets Manager": deployment.secrets * prices["secrets_manager"]["secret_month"],
            "CloudWatch": metrics * prices["cloudwatch"]["metric_month"]
            + deployment.alarm_metrics * prices["cloudwatch"]["alarm_metric_month"]
            + deployment.dashboards * prices["cloudwatch"]["dashboard_month"],
            "SQS": polls * prices["sqs"]["million_requests"] / 1e6,
            "X-Ray": MONTH_MINUTES * prices["xray"]["million_traces"] / 1e6,  # of the reconciler
        }
        return total([fixed, scaled(self.event_cost("reconcile, idle"), MONTH_MINUTES)])

    def rate_dependent_cost(self, per_minute: float) -> Bill:
        """Monthly costs that grow with the rate of tasks, but less than proportionally."""
        prices = self.prices
        return {
            "Secrets Manager": self._secret_reads(per_minute)
            * prices["secrets_manager"]["ten_thousand_requests"]
            / 1e4,
            "X-Ray": self._traces(per_minute) * MONTH_SECONDS * prices["xray"]["million_traces"] / 1e6,
        }

    def concurrency(self, name: str, per_second: float) -> float:
        """Busy processes of an operation at this rate of tasks."""
        return per_second * self.events_per_task[name] * self.billed_seconds(self.operations[name])

    def _secret_reads(self, per_minute: float) -> float:
        """Per month: each process reads its secret again when the cached value expires."""
        operations = [name for name in self.events_per_task if self.operations[name].first]
        processes = sum(max(1, self.concurrency(name, per_minute / 60)) for name in operations)
        return processes * MONTH_SECONDS / CACHE_SECONDS

    def _traces(self, per_minute: float) -> float:
        """Traces per second."""
        first: float = self.assumptions["tracing"]["traces_per_second"]
        share: float = self.assumptions["tracing"]["sampled_share"]
        rates = [number * per_minute / 60 for number in self.events_per_task.values()]
        return sum(min(rate, first + share * max(rate - first, 0)) for rate in rates)


def read_toml(path: Path) -> Facts:
    return tomllib.loads(path.read_text())


def total(bills: Iterable[Bill]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for bill in bills:
        found.update(bill)
    return dict(found)


def scaled(bill: Bill, number: float) -> dict[str, float]:
    return {service: dollars * number for service, dollars in bill.items()}
