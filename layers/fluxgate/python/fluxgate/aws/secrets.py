"""Secrets from Secrets Manager, cached and kept out of logs and reprs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from pydantic import SecretStr

from fluxgate.errors import CredentialsUnavailable

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CACHE_SECONDS = 300


class Secrets:
    """Caches each secret for CACHE_SECONDS, so that a rotated token takes effect without a deployment."""

    def __init__(self, client: SecretsManagerClient) -> None:
        self._provider = SecretsProvider(boto3_client=client)

    def secret(self, arn: str) -> SecretStr:
        """Raises CredentialsUnavailable."""
        try:
            value = self._provider.get(arn, max_age=CACHE_SECONDS)
        except GetParameterError as error:
            raise CredentialsUnavailable(type(error.__context__).__name__) from None
        return SecretStr(str(value))
