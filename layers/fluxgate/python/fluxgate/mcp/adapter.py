"""Executes the tools: validates arguments, calls workflows and reports fluxgate's errors as tool errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fluxgate import __version__
from fluxgate.errors import IdempotencyConflict, InvalidRequest, PublicError, ServiceUnavailable
from fluxgate.mcp import tools
from fluxgate.mcp.protocol import ImageLink, Json, Server, Tool, ToolResult
from fluxgate.mcp.tools import TaskReport, TaskReports
from fluxgate.submission.waiting import Wait
from fluxgate.telemetry import annotate_task, logger
from fluxgate.wire.task import PublicStatus
from fluxgate.wire.validation import validate_all
from fluxgate.workflows.read_tasks import list_models
from fluxgate.workflows.submit_task import submit_task

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fluxgate.clock import Clock
    from fluxgate.images.store import ImageStore
    from fluxgate.submission.intake import Intake
    from fluxgate.submission.submitter import Submitter
    from fluxgate.tasks.model import Task
    from fluxgate.tasks.store import TaskStore

INFO = {"name": "fluxgate", "title": "Flux image generation", "version": __version__}


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """The tools for one owner. Dependencies are factories because most requests only list the tools."""

    owner: str
    intake: Callable[[], Intake]
    submitter: Callable[[], Submitter]
    tasks: Callable[[], TaskStore]
    images: Callable[[], ImageStore]
    clock: Clock

    def server(self, allowed_origins: frozenset[str]) -> Server:
        calls: dict[str, Callable[[Json], ToolResult]] = {
            tools.GENERATE: partial(self._submit, tools.GENERATE),
            tools.EDIT: partial(self._submit, tools.EDIT),
            tools.GET: self._get_task,
            tools.GET_BATCH: self._get_tasks_batch,
            tools.LIST_MODELS: self._list_models,
            tools.LIST_ACTIONS: self._list_actions,
        }
        return Server(
            info=INFO,
            instructions=tools.INSTRUCTIONS,
            tools={name: Tool(partial(tools.definition, name), partial(_call, call)) for name, call in calls.items()},
            allowed_origins=allowed_origins,
        )

    def _submit(self, name: str, arguments: Json) -> ToolResult:
        """A failed task is a tool error."""
        request, options = _validated(name, arguments)
        wait = Wait.begin(options.wait_seconds, self.clock)
        intake, submitter = self.intake(), self.submitter()
        key = options.idempotency_key
        task, _ = submit_task(request, owner=self.owner, key=key, intake=intake, submitter=submitter)
        report = self._report(wait.for_outcome(task, self.tasks()))
        return _result(report, [report], is_error=report.status is PublicStatus.FAILED)

    def _get_task(self, arguments: Json) -> ToolResult:
        (query,) = _validated(tools.GET, arguments)
        task_id = str(query.task_id)
        annotate_task(task_id)
        wait = Wait.begin(query.wait_seconds, self.clock)
        report = self._report(wait.for_outcome(self.tasks().get(task_id, self.owner), self.tasks()))
        return _result(report, [report])

    def _get_tasks_batch(self, arguments: Json) -> ToolResult:
        (query,) = _validated(tools.GET_BATCH, arguments)
        found, not_found = self.tasks().get_many([str(task_id) for task_id in query.task_ids], self.owner)
        reports = [self._report(task) for task in found]
        return _result(TaskReports(tasks=reports, not_found=not_found), reports)

    def _list_models(self, arguments: Json) -> ToolResult:
        _validated(tools.LIST_MODELS, arguments)
        return _result(list_models())

    def _list_actions(self, arguments: Json) -> ToolResult:
        _validated(tools.LIST_ACTIONS, arguments)
        return _result(tools.list_actions())

    def _report(self, task: Task) -> TaskReport:
        return TaskReport.of(task, lambda key: self.images().url(key))


def _validated(name: str, arguments: Mapping[str, Any]) -> list[Any]:
    """One instance of each of the tool's argument models. A null counts as absent.

    Raises InvalidRequest with all violations.
    """
    parameters = tools.parameters(name)
    available = f"Available: {', '.join(parameters)}." if parameters else "This tool has no parameters."
    unknown = [(other, f"Unknown parameter. {available}") for other in arguments if other not in parameters]
    given = {name: arguments[name] for name in parameters if arguments.get(name) is not None}
    pairs = [
        (model, {name: value for name, value in given.items() if name in model.model_fields})
        for model in tools.TOOLS[name].arguments
    ]
    return validate_all(*pairs, violations=unknown)


def _call(tool: Callable[[Json], ToolResult], arguments: Json) -> ToolResult:
    """Public errors become tool errors. Any other error fails the invocation and raises the alarm."""
    try:
        return tool(arguments)
    except PublicError as error:
        if isinstance(error, ServiceUnavailable):
            logger.error("Tool call failed", extra={"error": type(error).__name__, "reason": str(error)})
        else:
            violations = len(error.violations) if isinstance(error, InvalidRequest) else 0
            logger.info("Tool call refused", extra={"code": error.code, "violations": violations})
        return ToolResult(_error_text(error), is_error=True)


def _error_text(error: PublicError) -> str:
    match error:
        case InvalidRequest():
            violations = [f"{field}: {message}" for field, message in error.violations]
            return "\n".join([f"{error.message} Correct them and call the tool again.", *violations])
        case IdempotencyConflict():
            return f"{error.field}: {error.message}"
        case _:
            return error.message


def _result(content: BaseModel, reports: Sequence[TaskReport] = (), *, is_error: bool = False) -> ToolResult:
    links = tuple(
        ImageLink(url=image.url, name=f"{report.task_id}-{index}", content_type=image.content_type, size=image.bytes)
        for report in reports
        for index, image in enumerate(report.images)
    )
    return ToolResult({"result": content.model_dump(mode="json")}, links, is_error=is_error)
