"""The composition root: builds the real adapters, each once, on first use."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from fluxgate import settings
from fluxgate.tasks import TaskStore

if TYPE_CHECKING:
    from fluxgate.credentials import Credentials
    from fluxgate.images import ImageStore
    from fluxgate.outbound import ProviderSession
    from fluxgate.providers import CallbackParser, Provider
    from fluxgate.workflows.publish_changes import ArchiveQueue

# Half of the default timeouts would outlive the gateway. Every write is conditional, so a repetition is harmless.
_CLIENT_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def _client(service: Any, config: Config = _CLIENT_CONFIG) -> Any:
    return boto3.client(service, config=config)  # noqa: TID251 - the one place


@cache
def tasks() -> TaskStore:
    from fluxgate.dynamodb import Table

    return TaskStore(Table(_client("dynamodb"), settings.TableSettings.from_environment().tasks_table))


@cache
def images() -> ImageStore:
    from fluxgate.images import ImageStore

    # Signature version 4 and the regional endpoint: a presigned URL of any other kind is redirected or refused.
    config = _CLIENT_CONFIG.merge(Config(signature_version="s3v4", read_timeout=20))
    return ImageStore(
        _client("s3", config),
        settings.BucketSettings.from_environment().images_bucket,
        allow_local=settings.url_settings().allow_local_urls,
    )


@cache
def archive_queue() -> ArchiveQueue:
    from fluxgate.workflows.publish_changes import ArchiveQueue

    return ArchiveQueue(_client("sqs"), settings.ArchiveQueueSettings.from_environment().archive_queue_url)


@cache
def archive_attempts() -> int:
    return settings.ArchiveSettings.from_environment().archive_attempts


@cache
def owners() -> settings.OwnerSettings:
    return settings.OwnerSettings.from_environment()


@cache
def retention() -> timedelta:
    return timedelta(days=settings.RetentionSettings.from_environment().retention_days)


@cache
def _provider_settings() -> settings.ProviderSettings:
    return settings.ProviderSettings.from_environment()


def callback_base_url() -> str:
    return _provider_settings().callback_base_url.rstrip("/")


@cache
def _credentials() -> Credentials:
    from fluxgate.credentials import Credentials

    return Credentials(_client("secretsmanager"))


@cache
def _provider_session() -> ProviderSession:
    from fluxgate.outbound import ProviderSession

    return ProviderSession()


def provider() -> Provider:
    """With a token that is fresh enough. Raises CredentialsUnavailable, before anything is stored or sent."""
    from fluxgate.providers.acedata import AceData

    chosen = _provider_settings()
    token = _credentials().secret(chosen.flux_api_token_secret_arn)
    return AceData(_provider_session(), chosen.flux_api_url, token)


def callback_parser(provider: str) -> CallbackParser:
    """Raises CallbackRefused where there is no such provider."""
    from fluxgate.errors import CallbackRefused
    from fluxgate.providers import acedata

    if provider != acedata.NAME:
        raise CallbackRefused("unknown provider")
    return acedata.parse_callback
