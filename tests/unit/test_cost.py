"""Costs and quota usage, compared with examples calculated by hand from round prices."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.bench.cost.bill import CostModel, Deployment, MeasuredOperation
from tests.bench.cost.rates import quotas, units

PRICES = {
    "lambda": {"gb_second": 1e-5, "million_requests": 0.5},
    "api_gateway": {"million_rest_requests": 3, "million_http_requests": 1},
    "dynamodb": {"million_write_units": 2, "million_read_units": 1, "gb_month": 0.2, "recovery_gb_month": 0.1},
    "s3": {"thousand_puts": 0.01, "thousand_gets": 0.001, "gb_month": 0.02},
    "sqs": {"million_requests": 0.4},
    "eventbridge": {"million_events": 1},
    "secrets_manager": {"secret_month": 0.5, "ten_thousand_requests": 0.1},
    "cloudwatch": {"log_gb": 0.5, "metric_month": 0.3, "alarm_metric_month": 0.1, "dashboard_month": 3},
    "xray": {"million_traces": 5},
    "transfer": {"gb": 0.1},
}
ASSUMPTIONS = {
    "task": {
        "images": 2,
        "image_bytes": 1_000_000,
        "reads": 4,
        "list_pages": 0.5,
        "webhooks": 0.25,
        "downloads": 3,
        "response_bytes": 1_000,
    },
    "seconds": {"dynamodb": 0.01, "sqs": 0.02, "events": 0.03, "s3": 0.1, "provider POST /flux/images": 2},
    "lambda": {"megabytes_per_processor": 2048, "stream_shards": 4},
    "sqs": {"pollers": 5, "poll_seconds": 20},
    "logs": {"platform_bytes": 500, "access_bytes": 300},
    "tracing": {"traces_per_second": 1, "sampled_share": 0.1},
}
DEPLOYMENT = Deployment(
    secrets=2,
    alarm_metrics=10,
    dashboards=1,
    queues=1,
    retention_days=365,
    reconcile_seconds=55,
    parameters={
        "ThrottleRate": 10, "QuotaLimit": 10_000, "CallbackThrottleRate": 100, "ArchiveConcurrency": 10,
        "WebhookConcurrency": 10,
    },
)  # fmt: skip
NOTHING = MeasuredOperation(
    name="",
    memory_mb=1024,
    processor_seconds=0,
    log_bytes=0,
    metrics=frozenset(),
    requests={},
    first={},
    items_read=0,
    items_written=0,
    read_units=0,
    units={},
    stored_bytes=0,
)
NAMES = (
    "submission", "callback", "publish generated", "archive", "publish outcome", "publish outcome, webhook wanted",
    "webhook", "read task", "list page", "reconcile, idle",
)  # fmt: skip


def cost_model(
    operations: Mapping[str, MeasuredOperation] | None = None, **assumptions: Mapping[str, Any]
) -> CostModel:
    """A model in which all other operations cost nothing but their invocation."""
    return CostModel(
        operations=dict.fromkeys(NAMES, NOTHING) | dict(operations or {}),
        deployment=DEPLOYMENT,
        prices=PRICES,
        assumptions=ASSUMPTIONS | assumptions,
    )


def test_billed_seconds_are_scaled_processor_time_plus_waiting() -> None:
    requests = {"dynamodb PutItem": 1, "dynamodb UpdateItem": 1, "provider POST /flux/images": 1}
    operation = replace(NOTHING, processor_seconds=0.1, requests=requests)
    assert cost_model().billed_seconds(operation) == pytest.approx(0.2 + 0.02 + 2)  # half a processor
    assert cost_model().billed_seconds(replace(operation, memory_mb=4096)) == pytest.approx(
        0.1 + 0.02 + 2
    )  # at most one processor


def test_submission_cost_lists_all_services() -> None:
    requests = {"dynamodb PutItem": 1, "dynamodb UpdateItem": 1, "provider POST /flux/images": 1}
    operation = replace(NOTHING, requests=requests, log_bytes=1_200, units={"table": 2, "due": 3})
    assert cost_model({"submission": operation}).event_cost("submission") == pytest.approx(
        {
            "Lambda": 2.02e-5 + 0.5e-6,  # 1 GB for 2.02 s, and one request
            "API Gateway": 3e-6,
            "DynamoDB": 10e-6,  # 5 units at 2 per million
            "S3": 0,
            "SQS": 0,
            "EventBridge": 0,
            "CloudWatch": 1e-6,  # 1,200 + 500 + 300 bytes
            "Data transfer": 1e-7,
        }
    )


def test_queue_event_cost_includes_receive_and_delete() -> None:
    archive = replace(NOTHING, requests={"s3 PutObject": 2, "sqs SendMessage archive": 1})
    bill = cost_model({"archive": archive}).event_cost("archive")
    assert bill["SQS"] == pytest.approx(3 * 0.4e-6)
    assert bill["S3"] == pytest.approx(2 * 0.01e-3)
    assert bill["API Gateway"] == 0


def test_rule_with_a_queue_target_costs_one_message() -> None:
    event = replace(NOTHING, requests={"events PutEvents": 1})
    bill = cost_model({"publish outcome, webhook wanted": event}).event_cost("publish outcome, webhook wanted")
    assert bill["SQS"] == pytest.approx(0.4e-6)
    assert bill["EventBridge"] == pytest.approx(1e-6)


def test_task_cost_includes_storage_until_its_retention_ends() -> None:
    """Twelve months: 2 MB of images and a 1,000 byte item, which `by_owner` contains too."""
    bill = cost_model({"publish outcome": replace(NOTHING, stored_bytes=900)}).task_cost()
    assert bill["S3"] == pytest.approx(0.002 * 12 * 0.02 + 6 * 0.001e-3)
    assert bill["DynamoDB"] == pytest.approx(1e-6 * 12 * (2 * 0.2 + 0.1))
    assert bill["Data transfer"] == pytest.approx(3 * 0.002 * 0.1 + (1 + 4 + 0.5) * 1e-7)


def test_task_cost_is_the_sum_of_its_events() -> None:
    """1 + 1 + 1 + 1 + 0.75 + 0.25 + 0.25 + 4 + 0.5, of which 5.5 through the REST API and one through the HTTP API."""
    bill = cost_model(logs={"platform_bytes": 0, "access_bytes": 0}).task_cost()
    assert bill["Lambda"] == pytest.approx(9.75 * 0.5e-6)
    assert bill["API Gateway"] == pytest.approx(5.5 * 3e-6 + 1e-6)
    assert bill["SQS"] == pytest.approx((2 + 2 * 0.25 + 0.25) * 0.4e-6)


def test_fixed_monthly_cost_needs_no_tasks() -> None:
    """730 hours: 43,800 passes that read five units each; five pollers that poll every 20 seconds."""
    idle = replace(NOTHING, read_units=5, metrics=frozenset({"A", "B"}))
    bill = cost_model({"reconcile, idle": idle}, logs={"platform_bytes": 0, "access_bytes": 0}).fixed_monthly_cost()
    assert bill["DynamoDB"] == pytest.approx(0.219)
    assert bill["SQS"] == pytest.approx(657_000 * 0.4e-6)
    assert bill["Secrets Manager"] == 1
    assert bill["CloudWatch"] == pytest.approx(2 * 0.3 + 10 * 0.1 + 3)
    assert bill["X-Ray"] == pytest.approx(0.219)


def test_traces_are_sampled_by_function() -> None:
    """Twelve tasks per second: one trace per second and a tenth of the rest. A month has 2,628,000 seconds."""
    traces_of = {1: 2.1, 4: 1 + 0.1 * 47, 0.5: 1.5, 0.75: 1 + 0.1 * 8, 0.25: 1.2}  # by events per task
    traces = 4 * traces_of[1] + traces_of[4] + traces_of[0.5] + traces_of[0.75] + 2 * traces_of[0.25]
    assert cost_model().rate_dependent_cost(12 * 60)["X-Ray"] == pytest.approx(traces * 2_628_000 * 5e-6)
    assert cost_model().rate_dependent_cost(1)["X-Ray"] == pytest.approx(9.75 * 43_800 * 5e-6)  # all traces


def test_each_process_reads_its_secret_every_five_minutes() -> None:
    """Ten tasks per second of two seconds each: 20 processes, 8,760 reads per month each."""
    submission = replace(
        NOTHING, requests={"provider POST /flux/images": 1}, first={"secretsmanager GetSecretValue": 1}
    )
    model = cost_model({"submission": submission})
    assert model.rate_dependent_cost(600)["Secrets Manager"] == pytest.approx(20 * 8_760 * 0.1 / 10_000)
    assert model.rate_dependent_cost(1)["Secrets Manager"] == pytest.approx(
        8_760 * 0.1 / 10_000
    )  # at least one process


def test_partition_units_are_a_share_of_the_index_units() -> None:
    model = cost_model(
        {"submission": replace(NOTHING, units={"table": 2, "due": 3}), "read task": replace(NOTHING, units={"due": 1})}
    )
    assert units(model, None)(10) == pytest.approx(10 * (5 + 4))
    assert units(model, "due", 10)(10) == pytest.approx(7)


def test_quotas_compare_usage_with_the_templates_defaults() -> None:
    found = {quota.name: (quota.usage(2), quota.limit) for quota in quotas(cost_model())}
    assert found["REST requests/s, per key"] == (11, 10)
    assert found["requests/s, both APIs"] == (13, 10_000)
    assert found["callbacks/s"] == (2, 100)
