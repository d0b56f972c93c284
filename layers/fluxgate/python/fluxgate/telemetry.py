"""Logger, tracer and metrics, built once, and the one decorator that every handler wears."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["about_model", "about_task", "count", "entrypoint", "logger", "metrics", "milliseconds", "tracer"]

Handler = Callable[[dict[str, Any], LambdaContext], Any]

# Not every event is worth a metric.
warnings.filterwarnings("ignore", "No application metrics to publish")

logger = Logger()
# Only calls to AWS are patched. requests is not: its patch records whole paths, and ours carry tokens (outbound.py
# records the host).
tracer = Tracer(patch_modules=["botocore"])
metrics = Metrics()


def entrypoint(correlation_id_path: str | None = None) -> Callable[[Handler], Handler]:
    """Logs with the request's id and a clean slate for each event, traces, and flushes the metrics at the end."""

    def decorate(handler: Handler) -> Handler:
        traced = tracer.capture_lambda_handler(capture_response=False)(handler)
        measured = metrics.log_metrics(capture_cold_start_metric=True)(traced)
        logged: Handler = logger.inject_lambda_context(
            correlation_id_path=correlation_id_path, clear_state=True, log_event=False
        )(measured)
        return logged

    return decorate


def about_task(task_id: str) -> None:
    """Let every log line and the trace of this event carry the task's id."""
    logger.append_keys(task_id=task_id)
    tracer.put_annotation("task_id", task_id)


def about_model(model: str) -> None:
    """Let the trace of this event be found by the model."""
    tracer.put_annotation("model", model)


def count(name: str, value: int = 1) -> None:
    metrics.add_metric(name, MetricUnit.Count, value)


def milliseconds(name: str, value: float) -> None:
    metrics.add_metric(name, MetricUnit.Milliseconds, value)
