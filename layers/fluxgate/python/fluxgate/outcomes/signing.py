"""Webhook signatures (https://www.standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from fluxgate.errors import CredentialsUnavailable

PREFIX = "whsec_"


class _Stored(BaseModel):
    """The secret in Secrets Manager. `previous` is empty except during a rotation."""

    model_config = ConfigDict(hide_input_in_errors=True)

    current: SecretStr = Field(min_length=1)
    previous: SecretStr | None = None


@dataclass(frozen=True)
class SigningKeys:
    """The stack's signing keys, the current one first. During a rotation there are two, and both sign."""

    keys: Sequence[SecretStr]

    @classmethod
    def from_secret(cls, secret: SecretStr) -> SigningKeys:
        """Raises CredentialsUnavailable without a current key: webhooks are never sent unsigned."""
        try:
            stored = _Stored.model_validate_json(secret.get_secret_value())
        except ValidationError:
            raise CredentialsUnavailable("the signing key is not {current, previous?}") from None
        return cls([key for key in (stored.current, stored.previous) if key])

    def secrets(self, owner: str) -> list[SecretStr]:
        """The owner's secrets in the form that receivers configure, the current one first."""
        digests = [
            hmac.digest(key.get_secret_value().encode(), f"webhook\n{owner}".encode(), "sha256") for key in self.keys
        ]
        return [SecretStr(PREFIX + base64.b64encode(digest).decode()) for digest in digests]

    def headers(self, owner: str, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
        timestamp = str(int(now.timestamp()))
        signed = b".".join([message_id.encode(), timestamp.encode(), body])
        signatures = [_sign(secret, signed) for secret in self.secrets(owner)]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(signatures),
            "content-type": "application/json",
        }


def _sign(secret: SecretStr, signed: bytes) -> str:
    key = base64.b64decode(secret.get_secret_value().removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
