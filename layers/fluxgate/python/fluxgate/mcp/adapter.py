"""What each tool does for an agent. What fluxgate refuses on purpose is the tool's answer, with what would be right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from fluxgate.errors import (
    CredentialsUnavailable,
    FluxgateError,
    IdempotencyMismatch,
    InvalidRequest,
    StorageUnavailable,
    TaskDeleted,
    TaskNotFound,
)
from fluxgate.mcp import tools
from fluxgate.mcp.protocol import Json, Picture, Server, Tool, ToolResult
from fluxgate.mcp.tools import BatchArguments, SubmitArguments, TaskArguments, TaskReport, TaskReports
from fluxgate.submission.waiting import Wait
from fluxgate.telemetry import about_task, logger
from fluxgate.wire.requests import EditRequest, GenerateRequest, violations_of
from fluxgate.wire.task import PublicStatus
from fluxgate.workflows.read_tasks import list_models
from fluxgate.workflows.submit_task import submit_task

if TYPE_CHECKING:
    from fluxgate.images.store import ImageStore
    from fluxgate.submission.intake import Intake
    from fluxgate.submission.submitter import Submitter
    from fluxgate.tasks.model import Task
    from fluxgate.tasks.store import TaskStore

INFO = {"name": "fluxgate", "title": "Flux image generation", "version": "1.0.0"}

_TOLD: dict[type[FluxgateError], str] = {
    TaskNotFound: "There is no such task of yours: it never was, or it has been deleted. Do not ask about it again.",
    IdempotencyMismatch: f"idempotency_key: {IdempotencyMismatch.MESSAGE}",
    TaskDeleted: f"idempotency_key: {TaskDeleted.MESSAGE}",
    StorageUnavailable: "The service cannot reach its storage. Nothing was bought. Call again in 30 seconds.",
    CredentialsUnavailable: "The service cannot read its credentials. Nothing was bought. Call again in 30 seconds.",
}
_OURS = (StorageUnavailable, CredentialsUnavailable)


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Whom one request comes from, and what its tools need. Adapters are made when a tool asks for them: most requests
    only ask which tools there are."""

    owner: str
    intake: Callable[[], Intake]
    submitter: Callable[[], Submitter]
    tasks: Callable[[], TaskStore]
    images: Callable[[], ImageStore]

    def server(self, allowed_origins: frozenset[str]) -> Server:
        calls: dict[str, Callable[[Json], ToolResult]] = {
            tools.GENERATE: partial(self._submit, tools.GENERATE, GenerateRequest),
            tools.EDIT: partial(self._submit, tools.EDIT, EditRequest),
            tools.GET: self._get_task,
            tools.GET_BATCH: self._get_tasks_batch,
            tools.LIST_MODELS: self._list_models,
            tools.LIST_ACTIONS: self._list_actions,
        }
        return Server(
            info=INFO,
            instructions=tools.INSTRUCTIONS,
            tools={name: Tool(partial(tools.definition, name), partial(_told, call)) for name, call in calls.items()},
            allowed_origins=allowed_origins,
        )

    def _submit(self, name: str, kind: type[GenerateRequest | EditRequest], arguments: Json) -> ToolResult:
        """A task that fails is an error of the tool, and told like any other."""
        how, request = _validated(name, arguments, SubmitArguments, kind)
        wait = Wait.of(how.wait_seconds)  # from now: the submission may take long itself
        intake, submitter = self.intake(), self.submitter()
        task, _ = submit_task(request, owner=self.owner, key=how.idempotency_key, intake=intake, submitter=submitter)
        report = self._report(wait.for_outcome(task, self.tasks()))
        return _result(report, [report], is_error=report.status is PublicStatus.FAILED)

    def _get_task(self, arguments: Json) -> ToolResult:
        (asked,) = _validated(tools.GET, arguments, TaskArguments)
        about_task(str(asked.task_id))
        task = self.tasks().get(str(asked.task_id), self.owner)
        report = self._report(Wait.of(asked.wait_seconds).for_outcome(task, self.tasks()))
        return _result(report, [report])

    def _get_tasks_batch(self, arguments: Json) -> ToolResult:
        (asked,) = _validated(tools.GET_BATCH, arguments, BatchArguments)
        found, not_found = self.tasks().get_many([str(task_id) for task_id in asked.task_ids], self.owner)
        reports = [self._report(task) for task in found]
        return _result(TaskReports(tasks=reports, not_found=not_found), reports)

    def _list_models(self, arguments: Json) -> ToolResult:
        _validated(tools.LIST_MODELS, arguments)
        return _result(list_models())

    def _list_actions(self, arguments: Json) -> ToolResult:
        _validated(tools.LIST_ACTIONS, arguments)
        return _result(tools.list_actions())

    def _report(self, task: Task) -> TaskReport:
        return TaskReport.on(task, lambda key: self.images().url(key))


def _validated(name: str, arguments: Json, *kinds: type[BaseModel]) -> list[Any]:
    """One of each kind, from the arguments that it has fields for; a null counts as absent.

    Raises InvalidRequest, which names every fault at once.
    """
    known = tools.parameters(name)
    there_are = f"There are {', '.join(known)}." if known else "There are none."
    faults = [(other, f"There is no such parameter. {there_are}") for other in arguments if other not in known]
    found = []
    for kind in kinds:
        mine = {
            name: arguments[name] for name in kind.model_fields if name in known and arguments.get(name) is not None
        }
        try:
            found.append(kind.model_validate(mine))
        except ValidationError as error:
            faults += violations_of(error)
    if faults:
        raise InvalidRequest(faults)
    return found


def _told(call: Callable[[Json], ToolResult], arguments: Json) -> ToolResult:
    """What the tool answers; or why it does not, and what would be right."""
    try:
        return call(arguments)
    except InvalidRequest as error:
        logger.info("Arguments refused", extra={"faults": len(error.errors)})
        faults = [f"{field}: {message}" for field, message in error.errors]
        text = "\n".join(["Nothing was done: these arguments are not acceptable. Change them and call again.", *faults])
    except tuple(_TOLD) as error:
        if isinstance(error, _OURS):
            logger.error("Tool failed", extra={"error": type(error).__name__, "reason": str(error)})
        text = _TOLD[type(error)]
    return ToolResult(text, is_error=True)


def _result(content: BaseModel, reports: Sequence[TaskReport] = (), *, is_error: bool = False) -> ToolResult:
    pictures = tuple(
        Picture(url=image.url, name=f"{report.task_id}-{index}", content_type=image.content_type, size=image.bytes)
        for report in reports
        for index, image in enumerate(report.images)
    )
    return ToolResult({"result": content.model_dump(mode="json")}, pictures, is_error=is_error)
