"""Inside a sandbox, around the handler: turns tracing on, and says what the process has used so far.

The emulator hands out no trace header, without which the tracer records nothing; here every request is sampled.
"""

import os
import resource
import time
from typing import Any

from app import handler as measured  # type: ignore[import-not-found]

TRACE = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1"


def handler(event: Any, context: Any) -> Any:
    if event == "usage":
        return {"cpu": time.process_time(), "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    os.environ["_X_AMZN_TRACE_ID"] = TRACE
    return measured(event, context)
