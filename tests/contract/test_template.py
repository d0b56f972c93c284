"""Rules for the parameters, functions, queues, policies and alarms in template.yaml."""

import json
import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from fluxgate.aws.messaging import SOURCE
from fluxgate.outcomes.events import DETAIL_TYPES, TaskEvent
from fluxgate.tasks.model import OUTCOMES, Status
from tests.harness import ROOT, event

TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


WITHOUT_PERMISSIONS = {"ShowPageFunction"}
FUNCTIONS = of_type("AWS::Serverless::Function")
STATEMENTS = [
    (name, statement)
    for name, function in FUNCTIONS.items()
    for policy in function["Policies"]
    for statement in policy["Statement"]
]


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_parameter_has_a_description_bounds_and_one_group(name: str) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert parameter["Description"].endswith(".")
    bounds = {"AllowedValues", "AllowedPattern", "MinValue", "MinLength"}
    assert bounds & parameter.keys()
    if parameter["Type"] == "Number":
        assert "AllowedValues" in parameter or {"MinValue", "MaxValue"} <= parameter.keys()
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sum(group["Parameters"].count(name) for group in groups) == 1


def test_only_the_provider_token_has_no_default() -> None:
    assert [name for name, parameter in TEMPLATE["Parameters"].items() if "Default" not in parameter] == [
        "FluxApiToken"
    ]
    assert TEMPLATE["Parameters"]["FluxApiToken"]["NoEcho"] is True


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_its_own_log_group_policy_memory_and_timeout(name: str) -> None:
    function = FUNCTIONS[name]
    stem = name.removesuffix("Function")
    assert function["LoggingConfig"] == {"LogGroup": {"Ref": f"{stem}Logs"}}
    assert function["Description"]
    assert bool(function["Policies"]) == (name not in WITHOUT_PERMISSIONS)
    assert function["Events"]
    assert 128 <= function["MemorySize"] <= 1024
    assert 1 <= function["Timeout"] <= 60


def test_functions_log_json() -> None:
    assert TEMPLATE["Globals"]["Function"]["LoggingConfig"] == {"LogFormat": "JSON"}


def test_every_function_and_api_has_a_log_group_with_the_configured_retention() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    stems = {name.removesuffix("Function") for name in FUNCTIONS}
    assert groups.keys() == {f"{stem}Logs" for stem in stems | {"Api", "CallbackApi"}}
    for name, group in groups.items():
        assert group == {"RetentionInDays": {"Ref": "LogRetentionDays"}}
        assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Delete"


@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_statement_has_a_sid_and_allows_one_action_on_one_resource(name: str, statement: dict[str, Any]) -> None:
    assert isinstance(statement["Action"], str)
    assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", statement["Action"])
    assert isinstance(statement["Resource"], dict)
    resource = json.dumps(statement["Resource"])
    assert resource.count("*") == resource.count("/*")
    assert statement["Sid"]


def test_gateway_errors_are_problem_details() -> None:
    responses = RESOURCES["Api"]["Properties"]["GatewayResponses"]
    assert {response["StatusCode"] for response in responses.values()} >= {403, 404, 413, 429, 504}
    for response in responses.values():
        body = json.loads(response["ResponseTemplates"]["application/json"])
        assert body.keys() == {"type", "title", "status", "detail", "code", "errors", "request_id"}
        assert body["status"] == response["StatusCode"]
        assert response["ResponseParameters"]["Headers"]["Content-Type"] == "'application/problem+json'"


@pytest.mark.parametrize("name", [name for name in of_type("AWS::SQS::Queue") if "DeadLetter" not in name])
def test_queue_has_a_dead_letter_queue_and_a_visibility_timeout_above_the_functions_timeout(name: str) -> None:
    queue = of_type("AWS::SQS::Queue")[name]
    dead_letter_queue = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert of_type("AWS::SQS::Queue")[dead_letter_queue]["MessageRetentionPeriod"] == 14 * 24 * 3600
    for function in FUNCTIONS.values():
        for source in function["Events"].values():
            if source["Properties"].get("Queue") == {"Fn::GetAtt": [name, "Arn"]}:
                assert queue["VisibilityTimeout"] > function["Timeout"]
                assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_archive_attempts_are_fewer_than_the_receives_before_the_dead_letter_queue() -> None:
    attempts = FUNCTIONS["ArchiveImagesFunction"]["Environment"]["Variables"]["ARCHIVE_ATTEMPTS"]
    assert attempts < RESOURCES["ArchiveQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]


def test_stream_filter_matches_the_handled_statuses_and_failed_records_are_stored() -> None:
    """Deletion, expiry and the other statuses would invoke publish_changes for nothing."""
    stream = FUNCTIONS["PublishChangesFunction"]["Events"]["Changes"]["Properties"]
    (entry,) = stream["FilterCriteria"]["Filters"]
    pattern = json.loads(entry["Pattern"])
    assert set(pattern["eventName"]) == {"INSERT", "MODIFY"}
    assert set(pattern["dynamodb"]["NewImage"]["status"]["S"]) == {Status.GENERATED, *OUTCOMES}
    assert stream["BisectBatchOnFunctionError"] is True
    assert stream["DestinationConfig"]["OnFailure"]["Type"] == "S3"
    assert stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_webhook_rule_matches_the_event_of_every_outcome() -> None:
    pattern = RESOURCES["WebhookRule"]["Properties"]["EventPattern"]
    assert DETAIL_TYPES.keys() == OUTCOMES
    assert set(pattern["detail-type"]) == set(DETAIL_TYPES.values())
    assert pattern["source"] == [SOURCE]
    assert pattern["detail"].keys() <= TaskEvent.model_fields.keys()


def test_order_rule_matches_the_example_order_and_no_outcome() -> None:
    pattern = RESOURCES["ImageRequestedRule"]["Properties"]["EventPattern"]
    (record,) = event("submit_queued.good_event")["Records"]
    assert pattern == {"detail-type": [json.loads(record["body"])["detail-type"]]}
    assert not {*pattern["detail-type"]} & {*DETAIL_TYPES.values()}


@pytest.mark.parametrize("name", ["TasksTable", "ImagesBucket", "FailedChangesBucket"])
def test_resource_with_data_is_retained(name: str) -> None:
    assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", of_type("AWS::S3::Bucket"))
def test_bucket_is_private_encrypted_and_tls_only(name: str) -> None:
    bucket = RESOURCES[name]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    assert bucket["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == {"Ref": "RetentionDays"}
    (statement,) = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": False}})


def test_access_logs_contain_no_paths_and_no_keys() -> None:
    formats = [
        RESOURCES["Api"]["Properties"]["AccessLogSetting"]["Format"],
        RESOURCES["CallbackApi"]["Properties"]["AccessLogSettings"]["Format"],
    ]
    for line in formats:
        assert isinstance(json.loads(line), dict)
        for secret in ("$context.path", "$context.http.path", 'identity.apiKey"', "requestOverride", "authorizer"):
            assert secret not in line


def test_every_function_and_every_dead_letter_queue_has_an_alarm() -> None:
    """The REST API's 5xx alarm covers the functions behind it."""
    watched = json.dumps(of_type("AWS::CloudWatch::Alarm"))
    assert '"5XXError"' in watched
    for name, function in FUNCTIONS.items():
        behind_the_api = any(source["Type"] == "Api" for source in function["Events"].values())
        assert (json.dumps({"Ref": name}) in watched) != behind_the_api
    for name in of_type("AWS::SQS::Queue"):
        assert ("DeadLetter" in name) == (json.dumps({"Fn::GetAtt": [name, "QueueName"]}) in watched)
