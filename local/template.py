"""Reads template.yaml: translates it to CloudFormation and removes the resources that moto cannot create."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from local.aws import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Template = dict[str, Any]
Resources = dict[str, dict[str, Any]]

# Emulated by this package, or (alarms, log groups) without use locally.
NOT_IN_MOTO = ("AWS::Lambda::", "AWS::ApiGateway", "AWS::SecretsManager::", "AWS::CloudWatch::", "AWS::Logs::")
# The bucket policies only require TLS, which local requests do not use; moto's rules send to queues without a queue
# policy; topics would send e-mail.
OMITTED = {"AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::Topic", "AWS::Scheduler::Schedule"}
# SAM's translator accepts a folder only as an uploaded package. The folder becomes the key of an S3 object.
PACKAGED = ("CodeUri", "ContentUri")
PACKAGE_PREFIX = "s3://local/"


class _Loader(yaml.CSafeLoader):
    """A fast loader of YAML with CloudFormation's tags."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


class _Region:
    """The only part of a boto3 session that the translator uses."""

    region_name = REGION


def translate(path: Path, parameters: dict[str, str], change: Callable[[Template], None] | None = None) -> Template:
    """The CloudFormation template that `sam deploy` would deploy. `change` edits the SAM template first."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    template: Template = yaml.load(path.read_text(), _Loader)
    if change:
        change(template)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        properties |= {name: f"{PACKAGE_PREFIX}{properties[name]}" for name in PACKAGED if name in properties}
    translated: Template = Translator({}, Parser(), boto_session=_Region()).translate(template, parameters)
    return translated


def of_type(template: Template, *types: str) -> Resources:
    """The template's resources of some types, by logical id."""
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] in types}


def deployable(template: Template, substitutes: dict[str, str]) -> Template:
    """The part of the template that moto can create.

    Each omitted resource becomes a parameter of the same name, so that `!Ref` resolves to its value in `substitutes`,
    by default its name.
    """
    resources = {name: resource for name, resource in template["Resources"].items() if _is_supported(resource)}
    omitted = set(template["Resources"]) - set(resources)
    parameters = {name: {"Type": "String", "Default": substitutes.get(name, name)} for name in omitted}
    return {
        **template,
        "Parameters": template.get("Parameters", {}) | parameters,
        "Resources": _without_attributes_of(omitted, resources),
        "Outputs": {},
    }


def resolved(template: Template, name: str, value: object) -> Template:
    """The template with an output `name`, in which moto resolves the intrinsic functions of `value`, as JSON."""
    parameters = set(template["Parameters"])
    output = {"Value": {"Fn::ToJsonString": _without_attributes_of(parameters, value)}}
    return {**template, "Outputs": template["Outputs"] | {name: output}}


def _is_supported(resource: dict[str, Any]) -> bool:
    is_schedule = "ScheduleExpression" in resource.get("Properties", {})
    return not (resource["Type"].startswith(NOT_IN_MOTO) or resource["Type"] in OMITTED or is_schedule)


def _without_attributes_of(parameters: Iterable[str], node: Any) -> Any:
    """Replace `!GetAtt Name.Arn` by `!Ref Name` where Name is now a parameter, which has no attributes."""
    match node:
        case {"Fn::GetAtt": [str(name), *_]} if name in parameters:
            return {"Ref": name}
        case {"Fn::Sub": str(text)}:
            return {
                "Fn::Sub": re.sub(
                    r"\$\{(\w+)\.\w+\}", lambda at: f"${{{at[1]}}}" if at[1] in parameters else at[0], text
                )
            }
        case dict():
            return {key: _without_attributes_of(parameters, value) for key, value in node.items()}
        case list():
            return [_without_attributes_of(parameters, value) for value in node]
    return node
