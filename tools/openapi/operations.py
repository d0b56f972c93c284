"""The parts of the OpenAPI document that the code does not state: descriptions, examples and problems by operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DESCRIPTION = (
    "Image generation with Flux models. A request creates a task. Poll the task, or receive a webhook, to get its "
    "images. Paths are relative to the API's base URL, which includes its stage."
)
TAGS = {
    "Images": "Generate and edit images",
    "Tasks": "Read and delete tasks",
    "Models": "List models, sizes and limits",
    "Webhooks": "Verify and resend webhooks",
}
HEADERS = {
    "Idempotency-Key": "Requests with the same key and the same content return the same task",
    "Prefer": "`wait=N`: wait up to N seconds for the outcome (RFC 7240)",
}

# Problem codes: of every operation, of operations with a body, with a task id in the path, and that submit a task.
COMMON = {"invalid_api_key", "access_denied", "no_api_key", "throttled", "quota_exceeded", "storage_unavailable"}
COMMON |= {"internal_error", "gateway_timeout"}
BODY = {"malformed_body", "bad_request", "body_too_large", "unsupported_media_type", "invalid_request"}
NOT_FOUND = {"task_not_found", "route_not_found"}
SUBMISSION = BODY | {"idempotency_mismatch", "task_deleted", "credentials_unavailable"}


@dataclass(frozen=True)
class Operation:
    """An operation's id and texts."""

    id: str
    tag: str
    summary: str
    responses: dict[int, tuple[str, str | None]]  # status: description, name of the schema
    problems: set[str] = field(default_factory=set)  # codes, besides COMMON
    examples: dict[str, Any] = field(default_factory=dict)  # of the request body
    description: str = ""


_SUBMISSION_DESCRIPTION = (
    "Returns 202 with the task. With `Prefer: wait=N` the request waits up to N seconds, 25 at most, and returns 200 "
    "with the outcome; if the outcome takes longer, it returns 202. Once the task is stored, the response is never an "
    "error, even if the provider refuses the request: check `status`. If you do not receive a response, repeat the "
    "request with the same `Idempotency-Key`."
)
_SUBMISSION_RESPONSES: dict[int, tuple[str, str | None]] = {
    200: ("The task with its outcome, if the request waited for it", "SettledTaskView"),
    202: ("The task", "TaskView"),
}

# By method and path, in the order of the document.
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("post", "/v1/images/generations"): Operation(
        "generateImages",
        "Images",
        "Generate images from a prompt",
        _SUBMISSION_RESPONSES,
        SUBMISSION,
        {
            "short": {"prompt": "A red fox in deep snow, golden hour, photorealistic"},
            "full": {
                "prompt": "A lighthouse on a cliff at golden hour",
                "model": "flux-pro-1.1-ultra",
                "size": "16:9",
                "count": 2,
                "callback_url": "https://example.com/hooks/fluxgate",
                "metadata": {"campaign": "winter"},
            },
        },
        _SUBMISSION_DESCRIPTION,
    ),
    ("post", "/v1/images/edits"): Operation(
        "editImage",
        "Images",
        "Edit an image with a prompt",
        _SUBMISSION_RESPONSES,
        SUBMISSION,
        {"short": {"prompt": "Make it night", "image_url": "https://example.org/lighthouse.png"}},
        _SUBMISSION_DESCRIPTION,
    ),
    ("get", "/v1/tasks"): Operation(
        "listTasks",
        "Tasks",
        "List your tasks, newest first",
        {200: ("A page of tasks", "TaskPage")},
        {"invalid_request"},
        description="With the `status` filter a page can have fewer than `limit` tasks, or none, although more follow: "
        "continue until `cursor` is null.",
    ),
    ("get", "/v1/tasks/{task_id}"): Operation(
        "getTask",
        "Tasks",
        "Get a task with fresh image URLs",
        {200: ("The task", "TaskView")},
        NOT_FOUND,
    ),
    ("post", "/v1/tasks/batch"): Operation(
        "getTasks",
        "Tasks",
        "Get up to 50 tasks",
        {200: ("Those of the tasks that are yours", "TaskBatch")},
        BODY,
        {"two": {"task_ids": ["09b64ef7-62ac-4136-9e70-5e784fa1bf5f", "2c9d4b6e-7f0a-4c1d-8b57-3e1a0d9f6c24"]}},
    ),
    ("delete", "/v1/tasks/{task_id}"): Operation(
        "deleteTask",
        "Tasks",
        "Delete a task and its images, or cancel a queued task",
        {204: ("The task is deleted", None)},
        NOT_FOUND | {"task_in_flight"},
        description="A task that has been submitted to the provider cannot be deleted before it has an outcome. The "
        "idempotency key of a deleted task stays used.",
    ),
    ("post", "/v1/tasks/{task_id}/webhook"): Operation(
        "resendWebhook",
        "Webhooks",
        "Resend the webhook of an outcome",
        {202: ("The webhook will be sent", "TaskView")},
        NOT_FOUND | {"nothing_to_deliver", "queue_unavailable"},
    ),
    ("get", "/v1/models"): Operation(
        "listModels", "Models", "List models, their sizes and limits", {200: ("All models", "ModelList")}
    ),
    ("get", "/v1/webhook-secret"): Operation(
        "getWebhookSecret",
        "Webhooks",
        "Get the secret that verifies your webhooks",
        {200: ("The secret", "WebhookSecret")},
        {"credentials_unavailable"},
    ),
}

PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "One entry per invalid field",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "request_id": {"type": "string"},
    },
}
