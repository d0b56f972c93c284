"""Logger, tracer and metrics, and the decorator that applies them to a handler."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

Handler = Callable[[dict[str, Any], LambdaContext], Any]

logger = Logger()
# `entrypoint` patches botocore. requests is never patched: X-Ray would record paths, and ours contain tokens.
tracer = Tracer(auto_patch=False)
metrics = Metrics()

# Their warnings contain URLs and host names.
CHATTY_LOGGERS = ("urllib3", "requests_hardened")


def entrypoint(correlation_id_path: str | None = None) -> Callable[[Handler], Handler]:
    """Decorate a handler: request ids in logs, cleared keys, a trace, and metrics flushed at the end."""
    warnings.filterwarnings("ignore", "No application metrics to publish")  # not every event has one
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    tracer.patch(["botocore"])

    def decorate(handler: Handler) -> Handler:
        traced = tracer.capture_lambda_handler(capture_response=False)(handler)
        measured = metrics.log_metrics(capture_cold_start_metric=True)(traced)
        logged: Handler = logger.inject_lambda_context(
            correlation_id_path=correlation_id_path, clear_state=True, log_event=False
        )(measured)
        return logged

    return decorate


def annotate_task(task_id: str) -> None:
    """Add the task id to the trace and to all further log lines of this event."""
    logger.append_keys(task_id=task_id)
    tracer.put_annotation("task_id", task_id)


def annotate_model(model: str) -> None:
    """Add the model to the trace."""
    tracer.put_annotation("model", model)


def count(name: str, value: int = 1) -> None:
    metrics.add_metric(name, MetricUnit.Count, value)


def milliseconds(name: str, value: float) -> None:
    metrics.add_metric(name, MetricUnit.Milliseconds, value)
