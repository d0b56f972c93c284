"""Webhook signatures, verified with the Standard Webhooks library."""

import base64
import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fluxgate.errors import CredentialsUnavailable
from fluxgate.outcomes.signing import SigningKeys

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BODY = '{"type":"task.succeeded","data":{"prompt":"Füchse 🦊"}}'.encode()
ID = "00000000-0000-4000-8000-000000000005.succeeded"


def keys(**stored: object) -> SigningKeys:
    return SigningKeys.from_secret(SecretStr(json.dumps(stored)))


def secret(signing: SigningKeys, owner: str = "o") -> str:
    return signing.secrets(owner)[0].get_secret_value()


def test_standard_library_verifies_the_signature() -> None:
    signing = keys(current="new")
    headers = signing.headers("o", ID, BODY, datetime.now(UTC))
    assert Webhook(secret(signing)).verify(BODY, headers) == json.loads(BODY)
    assert headers.keys() == {"webhook-id", "webhook-timestamp", "webhook-signature", "content-type"}
    assert (headers["webhook-id"], headers["content-type"]) == (ID, "application/json")


def test_signature_equals_the_standard_librarys() -> None:
    signing = keys(current="new")
    headers = signing.headers("o", ID, BODY, NOW)
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["webhook-signature"] == Webhook(secret(signing)).sign(ID, NOW, BODY.decode())


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "body", "owner", "key"])
def test_verification_fails_if_any_part_changes(name: str) -> None:
    signing, body, owner = keys(current="new"), BODY, "o"
    headers = signing.headers(owner, ID, body, datetime.now(UTC))
    match name:
        case "webhook-id":
            headers[name] = ID.replace("succeeded", "failed")
        case "webhook-timestamp":
            headers[name] = str(int(headers[name]) - 1)
        case "body":
            body += b" "
        case "owner":
            owner = "other"
        case "key":
            signing = keys(current="other")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(signing, owner)).verify(body, headers)


def test_secret_is_stable_unique_per_owner_and_of_standard_length() -> None:
    signing = keys(current="new", previous="")
    assert len(signing.secrets("o")) == 1
    assert secret(signing) == secret(keys(current="new"))
    assert secret(signing).startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret(signing).removeprefix("whsec_"), validate=True)) <= 64
    assert len({secret(signing, owner) for owner in ("o", "p", "o\n", "")}) == 4


def test_during_a_rotation_both_secrets_verify_and_clients_get_the_new_one() -> None:
    before, during, after = keys(current="old"), keys(current="new", previous="old"), keys(current="new")
    headers = during.headers("o", ID, BODY, datetime.now(UTC))
    assert len(headers["webhook-signature"].split(" ")) == 2
    for receiver in (before, after):
        Webhook(secret(receiver)).verify(BODY, headers)
    assert secret(during) == secret(after)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(before)).verify(BODY, after.headers("o", ID, BODY, datetime.now(UTC)))


MALFORMED = ["", "a-bare-key", "[]", "null", "{}", '{"current": ""}', '{"current": ["a-bare-key"]}',
             '{"previous": "a-bare-key"}']  # fmt: skip


@pytest.mark.parametrize("stored", MALFORMED)
def test_stored_secret_without_a_current_key_is_unavailable(stored: str) -> None:
    with pytest.raises(CredentialsUnavailable) as error:
        SigningKeys.from_secret(SecretStr(stored))
    assert "a-bare-key" not in str(error.value)


def test_keys_and_secrets_are_not_in_any_representation() -> None:
    signing = keys(current="a-bare-key", previous="the-other")
    text = f"{signing} {signing!r} {signing.secrets('o')}"
    assert not any(value in text for value in ("a-bare-key", "the-other", secret(signing)))
