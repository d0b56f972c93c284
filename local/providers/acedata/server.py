"""The simulated provider's front: its two routes and its images."""

import json
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from local.providers.acedata import rules
from local.providers.acedata.behaviour import Answer, Behaviour, Refusal
from local.providers.acedata.delivery import deliver, page
from local.providers.acedata.generation import Generation
from local.providers.acedata.ledger import IMAGES, TASKS, Ledger
from local.providers.acedata.listener import Dropped, Listener, Reply, Request
from local.providers.acedata.records import Submission, Task, listing_of

BATCH = 50  # ids in one retrieve_batch
_UNKNOWN_TASK = Refusal(404, "not_found", "Task not found.")  # the vendor's answer is not documented


class Simulator(Ledger):
    """A context manager that serves the provider's API at `url`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        behaviour: Behaviour | None = None,
        token: str | None = None,
        public_url: str | None = None,
        models: frozenset[str] = rules.MODELS,
        listing: bool = False,
        keep_alive: float = 60,
        verbose: bool = False,
    ) -> None:
        """Bind the port; nothing is served before `start`.

        `token` is the only one accepted, None accepts any. `public_url` begins the image URLs; in it, `{port}` is
        the port. `listing` lets /flux/tasks list tasks without ids. `keep_alive` 0 closes after each answer.
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
        """End everything; what has not been generated yet never is."""
        self._generation.close(self.tasks)
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, request: Request) -> Reply:
        match request.method, request.path:
            case "POST", str(path) if path == IMAGES:
                return self._submit(request)
            case "POST", str(path) if path == TASKS:
                return self._retrieve(request)
            case "GET", str(path) if path.startswith("/images/"):
                image = self._image(path.removeprefix("/images/"))
                plain = request.query == "plain"
                return deliver(image, plain=plain, pause=self._generation.pause) if image else page(404)
        return _refuse(Refusal.of("no_api"))

    def _submit(self, request: Request) -> Reply:
        body = _parsed(request.body)
        behaviour = self._ordered(IMAGES, body)
        refusal = self._unauthorized(request) or self._invalid(body) or behaviour.refusal
        task = Task(body, behaviour) if refusal is None and behaviour.accepted else None
        if task:
            self._record(task)
        self._record(Submission(body, request.headers, task is not None, task.id if task else None))
        if task:
            self._generation.begin(task)
        return self._disturbance(request, behaviour, refusal) or self._result(task)

    def _result(self, task: Task | None) -> Reply:
        """The vendor's answer to a submission: at once with a callback or `async`, else when it is generated."""
        if task is None:
            raise Dropped
        if task.request.get("callback_url") or task.request.get("async"):
            flag = {"success": True} if task.behaviour.answer_success else {}
            return _json(200, {**flag, "task_id": task.id})
        task.finished.wait()
        if task.response is None:
            raise Dropped
        failure = task.behaviour.failure
        return _json(failure.status if failure else 200, task.response)

    def _retrieve(self, request: Request) -> Reply:
        body = _parsed(request.body)
        self._record_retrieval(body)
        behaviour = self._ordered(TASKS, body)
        refusal = self._unauthorized(request) or behaviour.refusal
        return self._disturbance(request, behaviour, refusal) or self._found(body)

    def _found(self, body: Any) -> Reply:
        known = {task.id: task for task in self.tasks if task.behaviour.listed}
        match body:
            case {"action": "retrieve", "id": str(task_id)}:
                return _json(200, known[task_id].view()) if task_id in known else _refuse(_UNKNOWN_TASK)
            case {"action": "retrieve_batch", "ids": [*ids]} if len(ids) <= BATCH:
                items = [known[task_id].view() for task_id in ids if task_id in known]
                return _json(200, {"items": items, "count": len(items)})
            case {"action": "retrieve_batch"} if self._listing and "ids" not in body:
                return _json(200, listing_of(list(known.values()), body))
        return _refuse(Refusal.of("bad_request"))

    def _disturbance(self, request: Request, behaviour: Behaviour, refusal: Refusal | None) -> Reply | None:
        """Whatever comes instead of the result, after the delay; None where the result is due."""
        self._generation.pause(behaviour.answer_delay)
        if refusal:
            return _refuse(refusal)
        match behaviour.answer:
            case Answer.HTML:
                return page(behaviour.answer_status)
            case Answer.GARBLED:
                return Reply(behaviour.answer_status, "application/json", b'{"task_id": "')
            case Answer.DROPPED | Answer.RESET:
                raise Dropped(reset=behaviour.answer is Answer.RESET)
            case Answer.HANGING:
                while not (request.abandoned or self._generation.closed):
                    self._generation.pause(0.05)
                raise Dropped
        return None

    def _unauthorized(self, request: Request) -> Refusal | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme or (scheme.lower() == "bearer" and not token.strip()):
            return Refusal.of("no_token")
        good = scheme.lower() == "bearer" and self._token in {None, token.strip()}
        return None if good else Refusal.of("invalid_token")

    def _invalid(self, body: object) -> Refusal | None:
        fault = rules.fault(body, self._models)
        return Refusal(400, "bad_request", fault) if fault else None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _json(status: int, body: object) -> Reply:
    return Reply(status, "application/json", json.dumps(body).encode())


def _refuse(refusal: Refusal) -> Reply:
    return _json(refusal.status, refusal.body(trace_id=str(uuid4())))
