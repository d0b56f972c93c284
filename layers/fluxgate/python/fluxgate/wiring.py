"""The composition root: builds adapters from settings, each once, on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from fluxgate import settings
from fluxgate.clock import Clock
from fluxgate.tasks.store import TaskStore

if TYPE_CHECKING:
    from pydantic import SecretStr

    from fluxgate.aws.messaging import EventBus, Queue
    from fluxgate.aws.secrets import Secrets
    from fluxgate.http.trusted import ProviderSession
    from fluxgate.images.archive import ImageArchive
    from fluxgate.images.store import ImageStore
    from fluxgate.outcomes.receivers import Receivers
    from fluxgate.outcomes.signing import SigningKeys
    from fluxgate.providers.port import Provider
    from fluxgate.reconciliation.polling import Polling
    from fluxgate.reconciliation.repairs import Repairs
    from fluxgate.submission.intake import Intake
    from fluxgate.submission.submitter import Submitter


@cache
def clock() -> Clock:
    return Clock(settings.read(settings.TimeSettings).time_scale)


@cache
def _config() -> Config:
    """The default timeouts would outlive API Gateway's. Retrying is harmless because every write is conditional.

    The last two options save a tenth of a warm submission's CPU time: the services validate parameters themselves, and
    the user agent is not built for each request.
    """
    return Config(
        connect_timeout=2,
        read_timeout=5,
        retries={"mode": "standard", "total_max_attempts": 3},
        parameter_validation=False,
        user_agent=f"app/{settings.read(settings.UserAgentSettings).aws_sdk_ua_app_id}",
    )


def _client(service: Any, config: Config | None = None) -> Any:
    return boto3.client(service, config=config or _config())  # noqa: TID251 - only here


@cache
def tasks() -> TaskStore:
    from fluxgate.aws.dynamodb import Table

    return TaskStore(Table(_client("dynamodb"), settings.read(settings.TableSettings).tasks_table), clock())


def _bucket() -> tuple[Any, str]:
    # Presigned URLs need signature version 4 and the regional endpoint; others are redirected or rejected.
    config = _config().merge(Config(signature_version="s3v4", read_timeout=20))
    return _client("s3", config), settings.read(settings.BucketSettings).images_bucket


@cache
def images() -> ImageStore:
    from fluxgate.images.store import ImageStore

    return ImageStore(*_bucket())


@cache
def image_archive() -> ImageArchive:
    from fluxgate.images.archive import ImageArchive

    return ImageArchive(*_bucket(), allow_local=_allow_local_urls())


def _allow_local_urls() -> bool:
    chosen: settings.UrlSettings = settings.read(settings.UrlSettings)
    return chosen.allow_local_urls


def request_validation() -> None:
    """Configure which URLs requests may contain. Without this call only public https URLs are valid."""
    from fluxgate.wire import requests

    requests.allow_local_urls.set(_allow_local_urls())


@cache
def _queue(url: str) -> Queue:
    from fluxgate.aws.messaging import Queue

    return Queue(_sqs, url)


@cache
def _sqs() -> Any:
    return _client("sqs")


def archive_queue() -> Queue:
    return _queue(settings.read(settings.ArchiveQueueSettings).archive_queue_url)


def webhook_queue() -> Queue:
    return _queue(settings.read(settings.WebhookQueueSettings).webhook_queue_url)


def _submission_queue() -> Queue:
    return _queue(settings.read(settings.SubmissionSettings).submission_queue_url)


@cache
def event_bus() -> EventBus:
    from fluxgate.aws.messaging import EventBus

    return EventBus(_client("events"), settings.read(settings.EventBusSettings).event_bus)


@cache
def receivers() -> Receivers:
    from fluxgate.outcomes.receivers import Receivers

    return Receivers(allow_local=_allow_local_urls())


@cache
def secrets() -> Secrets:
    from fluxgate.aws.secrets import Secrets

    return Secrets(_client("secretsmanager"))


def signing_keys() -> SigningKeys:
    """Raises CredentialsUnavailable."""
    return _signing_keys(secrets().secret(settings.read(settings.WebhookSettings).webhook_signing_key_secret_arn))


@lru_cache(maxsize=1)
def _signing_keys(secret: SecretStr) -> SigningKeys:
    from fluxgate.outcomes.signing import SigningKeys

    return SigningKeys.from_secret(secret)


@cache
def intake() -> Intake:
    from fluxgate.providers.registry import DEFAULT_PROVIDER
    from fluxgate.submission.intake import Intake

    retention = settings.read(settings.RetentionSettings).retention
    return Intake(tasks=tasks(), provider=DEFAULT_PROVIDER, retention=retention, clock=clock())


@cache
def provider_session() -> ProviderSession:
    from fluxgate.http.trusted import ProviderSession

    return ProviderSession()


def provider() -> Provider:
    """Uses the current token. Raises CredentialsUnavailable before anything is stored or sent."""
    from fluxgate.providers.registry import DEFAULT_PROVIDER, PROVIDERS

    chosen = settings.read(settings.ProviderSettings)
    token = secrets().secret(chosen.flux_api_token_secret_arn)
    return PROVIDERS[DEFAULT_PROVIDER].connect(provider_session(), chosen.flux_api_url, token, clock())


def submitter() -> Submitter:
    """Raises CredentialsUnavailable before anything is stored or sent."""
    from fluxgate.submission.submitter import Submitter

    return Submitter(
        provider=provider(),
        tasks=tasks(),
        queue=_submission_queue(),
        callback_base_url=settings.read(settings.CallbackSettings).callback_base_url.rstrip("/"),
        max_age=settings.read(settings.SubmissionSettings).max_age,
        clock=clock(),
    )


def repairs() -> Repairs:
    from fluxgate.reconciliation.repairs import Repairs

    return Repairs(
        tasks=tasks(),
        submissions=_submission_queue(),
        archive=archive_queue(),
        webhooks=webhook_queue(),
        bus=event_bus(),
        submission_max_age=settings.read(settings.SubmissionSettings).max_age,
        clock=clock(),
    )


def polling(has_time: Callable[[], bool]) -> Polling:
    from fluxgate.reconciliation.polling import Polling

    max_age = settings.read(settings.ResultSettings).max_age
    return Polling(tasks=tasks(), provider=provider, result_max_age=max_age, clock=clock(), has_time=has_time)
