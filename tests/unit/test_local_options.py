"""The environment variables that configure the local stack."""

import pytest

from local import options
from local.stack import Ports


def test_an_invalid_number_is_reported_by_the_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNT", "abc")
    with pytest.raises(options.OptionError, match="COUNT must be a whole number"):
        options.number("COUNT")
    monkeypatch.setenv("COUNT", "")
    assert options.number("COUNT") is None


def test_callback_port_fixes_the_port_of_the_callback_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLBACK_PORT", raising=False)
    assert options.ports(api=3000) == Ports(api=3000, callbacks=0)
    monkeypatch.setenv("CALLBACK_PORT", "3002")
    assert options.ports() == Ports(api=0, callbacks=3002)


def test_a_token_alone_selects_the_real_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLUX_API_URL", "CALLBACK_BASE_URL", "SIMULATOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLUX_API_TOKEN", "token")
    assert options.provider() == {"flux_api_url": "https://api.acedata.cloud", "flux_api_token": "token"}
    monkeypatch.delenv("FLUX_API_TOKEN")
    assert options.provider() == {}
