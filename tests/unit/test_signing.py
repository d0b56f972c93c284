"""Who signs with what, checked with the official library, and when the next attempt is due."""

import base64
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fluxgate import settings
from fluxgate.errors import CredentialsUnavailable
from fluxgate.outcomes.signing import LONGEST_WAIT, RETRY_AFTER, SigningKeys, next_attempt

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BODY = '{"type":"task.succeeded","data":{"prompt":"Füchse 🦊"}}'.encode()
ID = "00000000-0000-4000-8000-000000000005.succeeded"


def keys(**stored: object) -> SigningKeys:
    return SigningKeys.from_secret(SecretStr(json.dumps(stored)))


def secret(signing: SigningKeys, owner: str = "o") -> str:
    return signing.secrets(owner)[0].get_secret_value()


def test_the_official_library_verifies_what_the_owners_secret_signed() -> None:
    signing = keys(current="new")
    headers = signing.headers("o", ID, BODY, datetime.now(UTC))
    assert Webhook(secret(signing)).verify(BODY, headers) == json.loads(BODY)
    assert headers.keys() == {"webhook-id", "webhook-timestamp", "webhook-signature", "content-type"}
    assert (headers["webhook-id"], headers["content-type"]) == (ID, "application/json")


def test_the_signature_is_the_standards_own() -> None:
    """Known answer: the official library signs the same id, time and body."""
    signing = keys(current="new")
    headers = signing.headers("o", ID, BODY, NOW)
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["webhook-signature"] == Webhook(secret(signing)).sign(ID, NOW, BODY.decode())


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "body", "owner", "key"])
def test_no_part_of_a_message_can_be_changed(name: str) -> None:
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


def test_an_owners_secret_is_its_own_stable_and_as_long_as_the_standard_wants() -> None:
    signing = keys(current="new", previous="")
    assert len(signing.secrets("o")) == 1
    assert secret(signing) == secret(keys(current="new"))
    assert secret(signing).startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret(signing).removeprefix("whsec_"), validate=True)) <= 64
    assert len({secret(signing, owner) for owner in ("o", "p", "o\n", "")}) == 4


def test_while_a_rotation_is_under_way_both_secrets_verify_and_the_new_one_is_given() -> None:
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
def test_without_a_current_key_nothing_is_signed(stored: str) -> None:
    with pytest.raises(CredentialsUnavailable) as refused:
        SigningKeys.from_secret(SecretStr(stored))
    assert "a-bare-key" not in str(refused.value)


def test_keys_and_secrets_are_never_shown() -> None:
    signing = keys(current="a-bare-key", previous="the-other")
    shown = f"{signing} {signing!r} {signing.secrets('o')}"
    assert not any(word in shown for word in ("a-bare-key", "the-other", secret(signing)))


def test_the_retries_grow_and_take_more_than_a_day() -> None:
    waits = [wait for n in range(1, 100) if (moment := next_attempt(n, None, NOW)) and (wait := moment - NOW)]
    assert waits == list(RETRY_AFTER) == sorted(RETRY_AFTER)
    assert sum(waits, timedelta(0)) >= timedelta(days=1)
    assert next_attempt(len(waits) + 1, None, NOW) is None
    assert next_attempt(len(waits) + 1, "60", NOW) is None


def at(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


RETRY_AFTER_HEADERS = {
    "60": timedelta(minutes=1),
    "0": RETRY_AFTER[0],
    "3": RETRY_AFTER[0],  # sooner than we would by ourselves is too soon
    "99999999": LONGEST_WAIT,
    at(NOW + timedelta(minutes=5)): timedelta(minutes=5),
    at(NOW - timedelta(minutes=5)): RETRY_AFTER[0],
    at(NOW + timedelta(days=90)): LONGEST_WAIT,
    "Sun, 22 Nov 2026 12:05:00": timedelta(minutes=5),  # without a zone
    "Sun, 22 Nov 2026 13:05:00 +0100": timedelta(minutes=5),
}


@pytest.mark.parametrize("header", RETRY_AFTER_HEADERS)
def test_retry_after_is_honoured_within_reason(header: str) -> None:
    moment = next_attempt(1, header, NOW)
    assert moment
    assert moment - NOW == RETRY_AFTER_HEADERS[header]


def test_retry_after_never_shortens_a_wait() -> None:
    assert next_attempt(4, "60", NOW) == NOW + RETRY_AFTER[3]


_words = st.sampled_from(["Sun,", "22", "Nov", "2026", "12:05:00", "GMT", "+9999", "9" * 20, "-1", "::", "٣", "²", ""])


@given(st.text(max_size=40) | st.lists(_words, max_size=8).map(" ".join))
@example("9" * 5000)
@example("9" * 20)
@example("Sun, 99999999999999999999 Nov 2026 12:05:00 GMT")
@example("Sun, 22 Nov 99999999999 12:05:00 -0000")
@example("22 Nov 2026 12:05:00 +99999999999999999999")
def test_whatever_a_receiver_puts_into_retry_after_there_is_a_next_attempt(header: str) -> None:
    moment = next_attempt(1, header, NOW)
    assert moment
    assert RETRY_AFTER[0] <= moment - NOW <= LONGEST_WAIT


def test_on_a_laptop_the_waits_may_be_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIME_SCALE", "100")
    settings.time_scale.cache_clear()
    try:
        assert next_attempt(2, None, NOW) == NOW + RETRY_AFTER[1] / 100
    finally:
        settings.time_scale.cache_clear()
