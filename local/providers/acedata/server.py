"""The simulator's HTTP API: submissions, task retrieval and image downloads."""

import json
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from local.providers.acedata.behaviour import Behaviour, Refusal, ResponseKind
from local.providers.acedata.downloads import download, html_page
from local.providers.acedata.generation import Generation
from local.providers.acedata.records import Submission, Task, task_page
from local.providers.acedata.state import IMAGES, TASKS, SimulatorState
from local.providers.acedata.validation import MODELS, find_violation
from local.providers.listener import ConnectionDropped, HttpRequest, HttpResponse, Listener

MAX_BATCH = 50  # ids per retrieve_batch
_TASK_NOT_FOUND = Refusal(404, "not_found", "Task not found.")  # the vendor does not document this response


class Simulator(SimulatorState):
    """A context manager that serves the provider's API at `url`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        behaviour: Behaviour | None = None,
        token: str | None = None,
        public_url: str | None = None,
        models: frozenset[str] = MODELS,
        listing: bool = False,
        keep_alive: float = 60,
        verbose: bool = False,
    ) -> None:
        """Bind the port; 0 takes a free one. `start` begins to serve.

        `token`: the only accepted token; None accepts any.
        `public_url`: base of the image URLs, in which `{port}` is replaced by the port.
        `models`: the accepted models.
        `listing`: lets /flux/tasks list tasks without ids.
        `keep_alive`: seconds until idle connections close; 0 closes them after each response.
        `verbose`: logs each request.
        """
        super().__init__(behaviour or Behaviour())
        self._listener = Listener(self._serve, host, port, keep_alive=keep_alive, verbose=verbose)
        self.port = self._listener.port
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"
        self.public_url = (public_url or self.url).replace("{port}", str(self.port))
        self._generation = Generation(self._record, self.public_url)
        self._token, self._models, self._listing = token, models, listing

    def start(self) -> Self:
        self._listener.start()
        return self

    def close(self) -> None:
        """Stop serving and abandon unfinished tasks."""
        self._generation.close(self.tasks)
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, request: HttpRequest) -> HttpResponse:
        match request.method, request.path:
            case "POST", str(path) if path == IMAGES:
                return self._submit(request)
            case "POST", str(path) if path == TASKS:
                return self._retrieve(request)
            case "GET", str(path) if path.startswith("/images/"):
                image = self._image(path.removeprefix("/images/"))
                if image is None:
                    return html_page(404)
                return download(image, redirected=request.query == "plain", pause=self._generation.pause)
        return _refuse(Refusal.of("no_api"))

    def _submit(self, request: HttpRequest) -> HttpResponse:
        body = _parse(request.body)
        behaviour = self._behaviour_for(IMAGES, body)
        refusal = self._authorize(request) or self._validate(body) or behaviour.refusal
        task = Task(body, behaviour) if refusal is None and behaviour.accepted else None
        if task:
            self._record(task)
        self._record(Submission(body, request.headers, task is not None, task.id if task else None))
        if task:
            self._generation.start(task)
        return self._injected_response(request, behaviour, refusal) or self._submission_response(task)

    def _submission_response(self, task: Task | None) -> HttpResponse:
        """The task's id if there is a callback URL or `async`, else the result once it is generated."""
        if task is None:
            raise ConnectionDropped
        if task.request.get("callback_url") or task.request.get("async"):
            flag = {"success": True} if task.behaviour.response_success else {}
            return _json(200, {**flag, "task_id": task.id})
        task.finished.wait()
        if task.response is None:
            raise ConnectionDropped
        failure = task.behaviour.failure
        return _json(failure.status if failure else 200, task.response)

    def _retrieve(self, request: HttpRequest) -> HttpResponse:
        body = _parse(request.body)
        self._record_retrieval(body)
        behaviour = self._behaviour_for(TASKS, body)
        refusal = self._authorize(request) or behaviour.refusal
        return self._injected_response(request, behaviour, refusal) or self._retrieval_response(body)

    def _retrieval_response(self, body: Any) -> HttpResponse:
        listed = {task.id: task for task in self.tasks if task.behaviour.listed}
        match body:
            case {"action": "retrieve", "id": str(task_id)}:
                return _json(200, listed[task_id].to_json()) if task_id in listed else _refuse(_TASK_NOT_FOUND)
            case {"action": "retrieve_batch", "ids": [*ids]} if len(ids) <= MAX_BATCH:
                items = [listed[task_id].to_json() for task_id in ids if task_id in listed]
                return _json(200, {"items": items, "count": len(items)})
            case {"action": "retrieve_batch"} if self._listing and "ids" not in body:
                return _json(200, task_page(list(listed.values()), body))
        return _refuse(Refusal.of("bad_request"))

    def _injected_response(
        self, request: HttpRequest, behaviour: Behaviour, refusal: Refusal | None
    ) -> HttpResponse | None:
        """A refusal or an injected failure, after the response delay; None if neither applies."""
        self._generation.pause(behaviour.response_delay)
        if refusal:
            return _refuse(refusal)
        match behaviour.response:
            case ResponseKind.HTML:
                return html_page(behaviour.response_status)
            case ResponseKind.GARBLED:
                return HttpResponse(behaviour.response_status, "application/json", b'{"task_id": "')
            case ResponseKind.DROPPED | ResponseKind.RESET:
                raise ConnectionDropped(reset=behaviour.response is ResponseKind.RESET)
            case ResponseKind.HANGING:
                while not (request.disconnected or self._generation.closed):
                    self._generation.pause(0.05)
                raise ConnectionDropped
        return None

    def _authorize(self, request: HttpRequest) -> Refusal | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme or (scheme.lower() == "bearer" and not token.strip()):
            return Refusal.of("no_token")
        valid = scheme.lower() == "bearer" and self._token in {None, token.strip()}
        return None if valid else Refusal.of("invalid_token")

    def _validate(self, body: object) -> Refusal | None:
        violation = find_violation(body, self._models)
        return Refusal(400, "bad_request", violation) if violation else None


def _parse(body: bytes) -> Any:
    """The JSON of a body, None if it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _json(status: int, body: object) -> HttpResponse:
    return HttpResponse(status, "application/json", json.dumps(body).encode())


def _refuse(refusal: Refusal) -> HttpResponse:
    return _json(refusal.status, refusal.body(trace_id=str(uuid4())))
