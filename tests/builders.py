"""Objects for tests, valid as they are. A test names only the fields that it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from fluxgate.tasks.model import Status, Task


def a_task(**fields: Any) -> Task:
    """By default a submitting task of the owner `local`, created now and updated when it was created."""
    created_at = fields.get("created_at", datetime.now(UTC))
    defaults: dict[str, Any] = {
        "task_id": str(uuid4()),
        "owner": "local",
        "status": Status.SUBMITTING,
        "action": "generate",
        "model": "flux-dev",
        "prompt": "a fox",
        "size": "512x512",
        "count": 1,
        "provider": "acedata",
        "created_at": created_at,
        "updated_at": created_at,
        "expires_at": created_at.replace(microsecond=0) + timedelta(days=7),
    }
    return Task(**defaults | fields)
