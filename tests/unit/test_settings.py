"""Settings from the environment: required, typed, immutable, and never quoted in an error."""

from collections.abc import Iterator

import pytest

from fluxgate.errors import SettingsInvalid
from fluxgate.settings import ArchiveSettings, OwnerSettings, ProviderSettings, TableSettings, UrlSettings, read


@pytest.fixture(autouse=True)
def _uncached() -> Iterator[None]:
    read.cache_clear()
    yield
    read.cache_clear()


def test_error_names_every_missing_or_empty_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLUX_API_URL", "FLUX_API_TOKEN_SECRET_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLUX_API_URL", "")
    with pytest.raises(SettingsInvalid) as error:
        read(ProviderSettings)
    assert all(name in str(error.value) for name in ("FLUX_API_URL", "FLUX_API_TOKEN_SECRET_ARN"))


def test_error_does_not_quote_an_invalid_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_ATTEMPTS", "s3cret")
    with pytest.raises(SettingsInvalid) as error:
        read(ArchiveSettings)
    assert "ARCHIVE_ATTEMPTS" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_owner_aliases_map_key_ids_to_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER_ALIASES", "a1=web,b2=web,c3=cli")
    monkeypatch.delenv("LOCAL_OWNER", raising=False)
    assert read(OwnerSettings).owner_aliases == {"a1": "web", "b2": "web", "c3": "cli"}
    monkeypatch.setenv("OWNER_ALIASES", "")  # the default in the template
    read.cache_clear()
    assert read(OwnerSettings) == OwnerSettings()


def test_local_urls_are_not_allowed_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLOW_LOCAL_URLS", raising=False)
    assert not read(UrlSettings).allow_local_urls
    monkeypatch.setenv("ALLOW_LOCAL_URLS", "")  # as `sam local` sets it
    read.cache_clear()
    assert not read(UrlSettings).allow_local_urls


def test_settings_are_immutable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_TABLE", "tasks")
    settings = read(TableSettings)
    with pytest.raises(AttributeError):
        settings.tasks_table = "other"
