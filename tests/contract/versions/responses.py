"""What a version shows of recorded items, and how it refuses a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.contract.versions.normalize import without_signatures
from tests.contract.versions.recorder import METADATA, PROMPT, SIZE
from tests.contract.versions.surroundings import Item, TasksTable, about
from tests.harness import Functions, event, with_body

PAGE = 15


def responses(functions: Functions, items: Mapping[str, Item]) -> dict[str, Any]:
    """With these items alone in the table. Moments and ids are the items' own."""
    table = TasksTable(functions)
    table.clear()
    for item in items.values():
        table.put(item)
    found = {
        "tasks": _tasks(functions, items),
        "deleted": functions.http("read_tasks", about("read_tasks.good_task", items["deleted"]["task_id"]["S"])).body,
        "pages": pages(functions),
        "waited": _replayed(functions, "succeeded_announced", Prefer="wait=1"),
        "models": functions.http("read_tasks", event("read_tasks.good_models")).body,
        "invalid_request": functions.http("submit_task", event("submit_task.bad_fields")).body,
    }
    table.clear()
    return dict(json.loads(without_signatures(json.dumps(found))))


def pages(functions: Functions, cursor: str | None = None) -> list[Any]:
    """The owner's list from a cursor on: the ids on each page, and its cursor."""
    request = event("read_tasks.good_list")
    parameters = {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
    request["queryStringParameters"] = parameters
    request["multiValueQueryStringParameters"] = {name: [value] for name, value in parameters.items()}
    page = functions.http("read_tasks", request).body
    shown = {"task_ids": [it["task_id"] for it in page["tasks"]], "cursor": page["cursor"]}
    return [shown, *(pages(functions, page["cursor"]) if page["cursor"] else [])]


def _tasks(functions: Functions, items: Mapping[str, Item]) -> dict[str, Any]:
    """As their owner reads them; null for one that is deleted."""
    ids = {name: item["task_id"]["S"] for name, item in items.items()}
    batch = with_body(event("read_tasks.good_batch"), {"task_ids": list(ids.values())})
    found = {task["task_id"]: task for task in functions.http("read_tasks", batch).body["tasks"]}
    return {name: found.get(task_id) for name, task_id in ids.items()}


def _replayed(functions: Functions, name: str, **headers: str) -> Any:
    """The request behind a task, sent again."""
    body = {"prompt": PROMPT, "size": SIZE, "metadata": METADATA}
    request = with_body(event("submit_task.good_generate"), body, Idempotency_Key=name, **headers)
    return functions.http("submit_task", request).body
