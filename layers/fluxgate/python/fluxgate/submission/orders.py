"""Orders: requests that other systems put on the submission queue or the event bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from pydantic import BaseModel, ConfigDict, StringConstraints

from fluxgate.aws.batch import json_body
from fluxgate.catalogue import Action
from fluxgate.errors import InvalidRequest
from fluxgate.wire.requests import EditRequest, GenerateRequest, IdempotencyKey
from fluxgate.wire.validation import validate_all


class _Envelope(BaseModel):
    """The fields of an order that a request over HTTP does not have."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    action: Action
    owner: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    idempotency_key: IdempotencyKey | None = None


@dataclass(frozen=True)
class Order:
    owner: str
    idempotency_key: str
    request: GenerateRequest | EditRequest

    @classmethod
    def parse(cls, body: object, default_key: str) -> Order:
        """From `{action, owner, idempotency_key?, …}`; the rest is the request. Raises InvalidRequest."""
        if not isinstance(body, dict):
            raise InvalidRequest([("", "An order is a JSON object.")])
        fields = {name: value for name, value in body.items() if name not in _Envelope.model_fields}
        model = EditRequest if body.get("action") == "edit" else GenerateRequest
        envelope, request = validate_all((_Envelope, body), (model, fields))
        return cls(envelope.owner, envelope.idempotency_key or default_key, request)


def submission(record: SQSRecord) -> str | Order:
    """The content of a message on the submission queue: the id of a deferred task, or an order sent directly or through
    the event bus. The default idempotency key of an order is the id of its message or event.

    Raises InvalidRequest.
    """
    body = json_body(record)
    if isinstance(body, dict) and body.get("type") == "submit":
        return str(body["task_id"])
    if isinstance(body, dict) and "detail-type" in body:
        return Order.parse(body.get("detail"), f"event-{body.get('id')}")
    return Order.parse(body, f"message-{record.message_id}")
