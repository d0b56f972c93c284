"""The composition root: builds the real adapters, each once, on first use."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from fluxgate import settings
from fluxgate.tasks.store import TaskStore

if TYPE_CHECKING:
    from pydantic import SecretStr

    from fluxgate.aws.messaging import EventBus, Queue
    from fluxgate.aws.secrets import Credentials
    from fluxgate.http.trusted import ProviderSession
    from fluxgate.http.untrusted import Receivers
    from fluxgate.images.archive import ImageArchive
    from fluxgate.images.store import ImageStore
    from fluxgate.outcomes.signing import SigningKeys
    from fluxgate.providers.port import CallbackParser, Provider
    from fluxgate.submission.intake import Intake
    from fluxgate.submission.submitter import Submitter
    from fluxgate.workflows.reconcile_tasks import Reconciler


@cache
def _config() -> Config:
    """Half of the default timeouts would outlive the gateway. Every write is conditional, so a repetition is harmless.

    The last two spare a tenth of a warm submission's processor time: botocore would check what the services check
    again, and put its user agent together anew for each request.
    """
    return Config(
        connect_timeout=2,
        read_timeout=5,
        retries={"mode": "standard", "total_max_attempts": 3},
        parameter_validation=False,
        user_agent=f"app/{settings.read(settings.AgentSettings).aws_sdk_ua_app_id}",
    )


def _client(service: Any, config: Config | None = None) -> Any:
    return boto3.client(service, config=config or _config())  # noqa: TID251 - the one place


def prepare(*adapters: Callable[[], object]) -> None:
    """Build adapters while Lambda starts a function, where it has a whole processor whatever its memory, and not when
    the first event waits: a client of boto3 takes 4 ms of processor time, the first of all 36."""
    for adapter in adapters:
        adapter()
    gc.freeze()  # the collector need never look at all this
    gc.set_threshold(10_000)


@cache
def tasks() -> TaskStore:
    from fluxgate.aws.dynamodb import Table

    return TaskStore(Table(_client("dynamodb"), settings.read(settings.TableSettings).tasks_table))


def _bucket() -> tuple[Any, str]:
    # Signature version 4 and the regional endpoint: a presigned URL of any other kind is redirected or refused.
    config = _config().merge(Config(signature_version="s3v4", read_timeout=20))
    return _client("s3", config), settings.read(settings.BucketSettings).images_bucket


@cache
def images() -> ImageStore:
    from fluxgate.images.store import ImageStore

    return ImageStore(*_bucket())


@cache
def image_archive() -> ImageArchive:
    from fluxgate.images.archive import ImageArchive

    return ImageArchive(*_bucket(), allow_local=settings.url_settings().allow_local_urls)


@cache
def _queue(url: str) -> Queue:
    from fluxgate.aws.messaging import Queue

    return Queue(_sqs, url)


@cache
def _sqs() -> Any:
    return _client("sqs")


@cache
def archive_queue() -> Queue:
    return _queue(settings.read(settings.ArchiveQueueSettings).archive_queue_url)


@cache
def webhook_queue() -> Queue:
    return _queue(settings.read(settings.WebhookQueueSettings).webhook_queue_url)


@cache
def _submission_settings() -> settings.SubmissionSettings:
    return settings.read(settings.SubmissionSettings)


@cache
def event_bus() -> EventBus:
    from fluxgate.aws.messaging import EventBus

    return EventBus(_client("events"), settings.read(settings.EventBusSettings).event_bus)


@cache
def receivers() -> Receivers:
    from fluxgate.http.untrusted import Receivers

    return Receivers(allow_local=settings.url_settings().allow_local_urls)


def signing_keys() -> SigningKeys:
    """Raises CredentialsUnavailable."""
    return _signing_keys(credentials().secret(_webhook_settings().webhook_signing_key_secret_arn))


@lru_cache(maxsize=1)
def _signing_keys(secret: SecretStr) -> SigningKeys:
    from fluxgate.outcomes.signing import SigningKeys

    return SigningKeys.from_secret(secret)


@cache
def _webhook_settings() -> settings.WebhookSettings:
    return settings.read(settings.WebhookSettings)


@cache
def _archive_settings() -> settings.ArchiveSettings:
    return settings.read(settings.ArchiveSettings)


def archive_attempts() -> int:
    return _archive_settings().archive_attempts


def archive_max_age() -> timedelta:
    return timedelta(seconds=_archive_settings().archive_max_age_seconds)


@cache
def owners() -> settings.OwnerSettings:
    return settings.read(settings.OwnerSettings)


@cache
def mcp_origins() -> frozenset[str]:
    return settings.read(settings.McpSettings).mcp_allowed_origins


@cache
def intake() -> Intake:
    from fluxgate.providers import acedata
    from fluxgate.submission.intake import Intake

    retention = timedelta(days=settings.read(settings.RetentionSettings).retention_days)
    return Intake(tasks=tasks(), provider=acedata.NAME, retention=retention)


@cache
def _provider_settings() -> settings.ProviderSettings:
    return settings.read(settings.ProviderSettings)


@cache
def credentials() -> Credentials:
    from fluxgate.aws.secrets import Credentials

    return Credentials(_client("secretsmanager"))


@cache
def provider_session() -> ProviderSession:
    from fluxgate.http.trusted import ProviderSession

    return ProviderSession()


def provider() -> Provider:
    """With a token that is fresh enough. Raises CredentialsUnavailable, before anything is stored or sent."""
    from fluxgate.providers.acedata import AceData

    chosen = _provider_settings()
    token = credentials().secret(chosen.flux_api_token_secret_arn)
    return AceData(provider_session(), chosen.flux_api_url, token)


def submitter() -> Submitter:
    """Raises CredentialsUnavailable, before anything is stored or sent."""
    from fluxgate.submission.submitter import Submitter

    chosen = _submission_settings()
    return Submitter(
        provider=provider(),
        tasks=tasks(),
        queue=_queue(chosen.submission_queue_url),
        callback_base_url=_callback_base_url(),
        max_age=timedelta(seconds=chosen.submission_max_age_seconds),
    )


@cache
def _callback_base_url() -> str:
    return settings.read(settings.CallbackSettings).callback_base_url.rstrip("/")


def reconciler(has_time: Callable[[], bool]) -> Reconciler:
    from fluxgate.workflows.reconcile_tasks import Reconciler

    submission = _submission_settings()
    result = settings.read(settings.ResultSettings)
    return Reconciler(
        tasks=tasks(),
        provider=provider,
        submissions=_queue(submission.submission_queue_url),
        archive=archive_queue(),
        webhooks=webhook_queue(),
        bus=event_bus(),
        images=images,
        submission_max_age=timedelta(seconds=submission.submission_max_age_seconds),
        result_max_age=timedelta(seconds=result.result_max_age_seconds),
        has_time=has_time,
    )


def callback_parser(provider: str) -> CallbackParser:
    """Raises CallbackRefused where there is no such provider."""
    from fluxgate.errors import CallbackRefused
    from fluxgate.providers import acedata

    if provider != acedata.NAME:
        raise CallbackRefused("unknown provider")
    return acedata.parse_callback
