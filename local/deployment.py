"""Deploys template.yaml: functions, routes and triggers, with their references resolved by moto."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.aws import ACCOUNT, REGION
from local.openapi import Api, http_api, rest_api
from local.template import Template, deployable, of_type, resolved

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local.aws import LocalAws

STACK = "fluxgate"
RESOLVED_OUTPUT = "LocalSettings"  # the stack output in which moto resolves the properties that this package reads


@dataclass(frozen=True)
class Function:
    name: str  # its folder in functions/
    arn: str
    handler: str
    code: Path
    environment: Mapping[str, str]
    role_arn: str
    timeout: int  # seconds
    memory: int  # MB
    log_format: str = "Text"

    @property
    def role(self) -> str:
        """The role's name."""
        return self.role_arn.rpartition("/")[2]


@dataclass(frozen=True)
class EventSource:
    """An event source mapping: the source of its records and its handling of failures."""

    name: str
    source_arn: str
    function: str
    function_arn: str
    batch_size: int
    filters: tuple[str, ...]
    reports_failures: bool
    concurrency: int
    bisects: bool
    retries: int | None  # None retries until the record expires
    failure_destination: str | None

    @property
    def service(self) -> str:
        return self.source_arn.split(":")[2]


@dataclass(frozen=True)
class Schedule:
    name: str
    function: str
    expression: str
    input: str | None


@dataclass(frozen=True)
class Deployment:
    functions: Mapping[str, Function]
    rest_api: Api
    http_api: Api
    event_sources: tuple[EventSource, ...]
    schedules: tuple[Schedule, ...]
    resources: Mapping[str, str]  # logical id to physical id


def deploy(
    aws: LocalAws, template: Template, parameters: Mapping[str, str], environment: Mapping[str, str], root: Path
) -> Deployment:
    """Create the stack in moto.

    `environment` overrides variables that the template declares for a function; others are not set. `root` is the
    template's folder.
    """
    secrets = {name: _create_secret(aws, name) for name in of_type(template, "AWS::SecretsManager::Secret")}
    stack = resolved(deployable(template, secrets), RESOLVED_OUTPUT, _emulated_resources(template))
    _trust_deployer(stack, aws.deployer_arn)
    emulated, resources = _create_stack(aws, stack, parameters)
    properties = {name: resource["Properties"] for name, resource in emulated.items()}
    for name, arn in secrets.items():
        _store_secret(aws, arn, properties[name])
    functions = {
        name: _function(name, properties[name], _overrides(environment, declared), root)
        for name, declared in of_type(template, "AWS::Lambda::Function").items()
    }
    sources = of_type(template, "AWS::Lambda::EventSourceMapping")
    schedules = [name for name in emulated if "ScheduleExpression" in properties[name]]
    names = {logical_id: function.name for logical_id, function in functions.items()}
    return Deployment(
        functions={function.name: function for function in functions.values()},
        rest_api=rest_api(template, names),
        http_api=http_api(template, names),
        event_sources=tuple(_event_source(name, properties[name], functions) for name in sources),
        schedules=tuple(_schedule(name, properties[name], names) for name in schedules),
        resources=resources | secrets,
    )


def _emulated_resources(template: Template) -> dict[str, Any]:
    """The resources that this package emulates, so that it needs their properties."""
    emulated = of_type(
        template, "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::SecretsManager::Secret"
    )
    scheduled = of_type(template, "AWS::Events::Rule", "AWS::Scheduler::Schedule")
    return emulated | {name: rule for name, rule in scheduled.items() if "ScheduleExpression" in rule["Properties"]}


def _trust_deployer(template: Template, deployer_arn: str) -> None:
    """Let the deployer assume the roles in place of Lambda. moto supports only principals of the type AWS."""
    for role in of_type(template, "AWS::IAM::Role").values():
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            statement["Principal"] = {"AWS": deployer_arn}


def _create_stack(
    aws: LocalAws, template: Template, parameters: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    outputs = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    (emulated,) = (output["OutputValue"] for output in outputs if output["OutputKey"] == RESOLVED_OUTPUT)
    return json.loads(emulated), {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}


def _create_secret(aws: LocalAws, name: str) -> str:
    """Create a secret without a value: the stack needs its ARN, and its value may refer to the stack."""
    return str(aws.client("secretsmanager").create_secret(Name=f"{STACK}-{name}")["ARN"])


def _store_secret(aws: LocalAws, arn: str, properties: Mapping[str, Any]) -> None:
    client = aws.client("secretsmanager")
    if "GenerateSecretString" in properties:
        value = _generate_secret(client, dict(properties["GenerateSecretString"]))
    else:
        value = properties["SecretString"]
    client.put_secret_value(SecretId=arn, SecretString=value)


def _overrides(environment: Mapping[str, str], declared: Mapping[str, Any]) -> dict[str, str]:
    """The variables that the template declares for the function, including those with no value at AWS."""
    names = declared["Properties"].get("Environment", {}).get("Variables", {})
    return {name: environment[name] for name in names if name in environment}


def _generate_secret(secrets_manager: Any, options: dict[str, Any]) -> str:
    """A random password, inserted into the JSON object SecretStringTemplate if there is one."""
    template, key = options.pop("SecretStringTemplate", None), options.pop("GenerateStringKey", None)
    password = str(secrets_manager.get_random_password(**options)["RandomPassword"])
    return json.dumps({**json.loads(template), key: password}) if template else password


def _function(logical_id: str, properties: Mapping[str, Any], environment: Mapping[str, str], root: Path) -> Function:
    code = root / properties["Code"]["S3Key"]
    variables = properties.get("Environment", {}).get("Variables", {})
    return Function(
        name=code.name,
        arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}-{logical_id}",
        handler=properties["Handler"],
        code=code,
        environment={**{name: _text(value) for name, value in variables.items()}, **environment},
        role_arn=properties["Role"],
        timeout=int(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        log_format=properties.get("LoggingConfig", {}).get("LogFormat", "Text"),
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _event_source(name: str, properties: Mapping[str, Any], functions: Mapping[str, Function]) -> EventSource:
    function = functions[properties["FunctionName"]]
    retries = int(properties.get("MaximumRetryAttempts", -1))
    filters = properties.get("FilterCriteria", {}).get("Filters", [])
    return EventSource(
        name=name,
        source_arn=properties["EventSourceArn"],
        function=function.name,
        function_arn=function.arn,
        batch_size=int(properties.get("BatchSize", 10)),
        filters=tuple(entry["Pattern"] for entry in filters),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        concurrency=int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", 5)),
        bisects=properties.get("BisectBatchOnFunctionError", False),
        retries=retries if retries >= 0 else None,
        failure_destination=properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
    )


def _schedule(name: str, properties: Mapping[str, Any], names: Mapping[str, str]) -> Schedule:
    """From an EventBridge rule, which has a list of targets, or an EventBridge Scheduler schedule, which has one."""
    target = properties["Target"] if "Target" in properties else properties["Targets"][0]
    return Schedule(name, names[target["Arn"]], properties["ScheduleExpression"], target.get("Input"))
