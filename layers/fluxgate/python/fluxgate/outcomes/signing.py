"""Standard Webhooks: who signs with what, and one signed POST (https://www.standardwebhooks.com, version 1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from fluxgate.errors import CredentialsUnavailable
from fluxgate.tasks.model import scaled

PREFIX = "whsec_"

# Waits after the first, second, … failed attempt, as the specification proposes: about a day and a half in all.
RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000))
LONGEST_WAIT = timedelta(hours=24)  # of those that a receiver may ask for


class _Stored(BaseModel):
    """The signing key as it lies in Secrets Manager; `previous` is empty but for the time of a rotation."""

    model_config = ConfigDict(hide_input_in_errors=True)

    current: SecretStr = Field(min_length=1)
    previous: SecretStr | None = None


@dataclass(frozen=True)
class SigningKeys:
    """The stack's keys, the current one first. While a rotation is under way there are two, and both sign."""

    keys: Sequence[SecretStr]

    @classmethod
    def from_secret(cls, secret: SecretStr) -> SigningKeys:
        """Raises CredentialsUnavailable where there is no current key: nothing is ever sent unsigned."""
        try:
            stored = _Stored.model_validate_json(secret.get_secret_value())
        except ValidationError:
            raise CredentialsUnavailable("the signing key is not {current, previous?}") from None
        return cls([key for key in (stored.current, stored.previous) if key])

    def secrets(self, owner: str) -> list[SecretStr]:
        """An owner's secrets, as it configures them at its receiver, the current one first."""
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


def next_attempt(attempts: int, retry_after: str | None, now: datetime) -> datetime | None:
    """When to try again after so many failed attempts, not before the receiver wants it; None: never again."""
    if attempts > len(RETRY_AFTER):
        return None
    return now + scaled(max(RETRY_AFTER[attempts - 1], min(_wait(retry_after, now), LONGEST_WAIT)))


def _wait(retry_after: str | None, now: datetime) -> timedelta:
    """RFC 9110, 10.2.3: seconds or a date. Anything else, which may be of any length and malice, counts as nothing."""
    text = retry_after or ""
    try:
        if text.isascii() and text.isdigit():
            return timedelta(seconds=int(text))
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return timedelta(0)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
