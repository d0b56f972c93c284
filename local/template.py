"""Reads template.yaml: SAM's own translator makes CloudFormation of it, and what moto cannot make is taken out."""

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

# Played by this package, or (alarms, log groups) watched by nobody here.
PLAYED_LOCALLY = ("AWS::Lambda::", "AWS::ApiGateway", "AWS::SecretsManager::", "AWS::CloudWatch::", "AWS::Logs::")
# What requests here lack, TLS, is all that the bucket policies ask for; rules of moto send without a queue policy; and
# topics would send mail.
LEFT_OUT = {"AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::Topic", "AWS::Scheduler::Schedule"}
# Where SAM accepts a folder only after packaging. The folder returns as the key of an object.
PACKAGED = ("CodeUri", "ContentUri")
PACKAGE = "s3://local/"


class _Loader(yaml.CSafeLoader):
    """YAML with CloudFormation's tags, by way of libyaml."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


class _Region:
    """All that the translator asks of a boto3 session."""

    region_name = REGION


def translate(path: Path, parameters: dict[str, str], change: Callable[[Template], None] | None = None) -> Template:
    """What `sam deploy` would hand to CloudFormation, after `change` had its way with the template."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    template: Template = yaml.load(path.read_text(), _Loader)
    if change:
        change(template)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        properties |= {name: f"{PACKAGE}{properties[name]}" for name in PACKAGED if name in properties}
    translated: Template = Translator({}, Parser(), boto_session=_Region()).translate(template, parameters)
    return translated


def of_type(template: Template, *types: str) -> Resources:
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] in types}


def deployable(template: Template, stand_ins: dict[str, str]) -> Template:
    """The part that moto makes. What is left out becomes a parameter of the same name, so that a `!Ref` finds its
    stand-in, or else its own name."""
    kept = {name: resource for name, resource in template["Resources"].items() if _is_made_by_moto(resource)}
    absent = set(template["Resources"]) - set(kept)
    parameters = {name: {"Type": "String", "Default": stand_ins.get(name, name)} for name in absent}
    return {
        **template,
        "Parameters": template.get("Parameters", {}) | parameters,
        "Resources": _without_attributes_of(absent, kept),
        "Outputs": {},
    }


def resolved(template: Template, name: str, value: object) -> Template:
    """The template with an output in which moto resolves the intrinsic functions inside `value`, as JSON."""
    absent = set(template["Parameters"])
    output = {"Value": {"Fn::ToJsonString": _without_attributes_of(absent, value)}}
    return {**template, "Outputs": template["Outputs"] | {name: output}}


def _is_made_by_moto(resource: dict[str, Any]) -> bool:
    is_schedule = "ScheduleExpression" in resource.get("Properties", {})
    return not (resource["Type"].startswith(PLAYED_LOCALLY) or resource["Type"] in LEFT_OUT or is_schedule)


def _without_attributes_of(absent: Iterable[str], node: Any) -> Any:
    """A parameter has no attributes: `!GetAtt Absent.Arn` becomes `!Ref Absent`."""
    match node:
        case {"Fn::GetAtt": [str(name), *_]} if name in absent:
            return {"Ref": name}
        case {"Fn::Sub": str(text)}:
            return {
                "Fn::Sub": re.sub(r"\$\{(\w+)\.\w+\}", lambda at: f"${{{at[1]}}}" if at[1] in absent else at[0], text)
            }
        case dict():
            return {key: _without_attributes_of(absent, value) for key, value in node.items()}
        case list():
            return [_without_attributes_of(absent, value) for value in node]
    return node
