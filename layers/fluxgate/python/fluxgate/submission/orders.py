"""What other systems ask for: requests on the submission queue, or on the bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from fluxgate.aws import batch
from fluxgate.catalogue import Action
from fluxgate.errors import InvalidRequest
from fluxgate.wire.requests import EditRequest, GenerateRequest, IdempotencyKey, violations_of


class _Envelope(BaseModel):
    """What an order has besides the request."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    action: Action
    owner: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    idempotency_key: IdempotencyKey | None = None


@dataclass(frozen=True)
class Order:
    """A request that another system has put on the submission queue or on the bus."""

    owner: str
    idempotency_key: str
    request: GenerateRequest | EditRequest

    @classmethod
    def parse(cls, body: object, default_key: str) -> Order:
        """From `{action, owner, idempotency_key?, …}`, the rest as over HTTP. Raises InvalidRequest."""
        if not isinstance(body, dict):
            raise InvalidRequest([("", "An order is a JSON object.")])
        rest = {name: value for name, value in body.items() if name not in _Envelope.model_fields}
        kind = EditRequest if body.get("action") == "edit" else GenerateRequest
        found: list[Any] = []
        faults: list[tuple[str, str]] = []
        for model, content in ((_Envelope, body), (kind, rest)):
            try:
                found.append(model.model_validate(content))
            except ValidationError as error:
                faults += violations_of(error)
        if faults:
            raise InvalidRequest(faults)
        envelope, request = found
        return cls(envelope.owner, envelope.idempotency_key or default_key, request)


def submission(record: SQSRecord) -> str | Order:
    """What a message on the submission queue asks for: the id of a deferred task, or an order that another system has
    put there, by itself or through the bus. Without an idempotency key an order has its message's or event's id.

    Raises InvalidRequest.
    """
    body = batch.json_body(record)
    if isinstance(body, dict) and body.get("type") == "submit":
        return str(body["task_id"])
    if isinstance(body, dict) and "detail-type" in body:
        return Order.parse(body.get("detail"), f"event-{body.get('id')}")
    return Order.parse(body, f"message-{record.message_id}")
