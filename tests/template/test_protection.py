"""What keeps others out, and what a stack can be told: protection of the bus and the log, options that cost nothing when off."""

from __future__ import annotations

import json
import re

from tests.template.transformed import of_type, transformed


def test_the_access_log_names_the_key_and_no_customer() -> None:
    """Paths and queries hold ids of customers; the route's key does not."""
    (stage,) = of_type(transformed(), "AWS::ApiGatewayV2::Stage").values()
    line = stage["Properties"]["AccessLogSettings"]["Format"]
    told = json.loads(re.sub(r"\$context\.([\w.]+)", r"\1", line))
    assert set(told.values()) == {
        "requestId", "requestTime", "routeKey", "status", "responseLatency", "integrationLatency",
        "integrationErrorMessage", "authorizer.error", "identity.sourceIp",
        "authorizer.key_id", "authorizer.environment",
    }  # fmt: skip


def test_nobody_else_puts_tollgates_own_events_on_the_bus() -> None:
    """A Deny holds whatever other policies allow. Those who are let through are those whose roles allow it at all."""
    template = transformed()
    (policy,) = of_type(template, "AWS::Events::EventBusPolicy").values()
    statement = policy["Properties"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "events:PutEvents")
    assert statement["Resource"] == {"Fn::GetAtt": ["Bus", "Arn"]}
    assert statement["Condition"]["ForAnyValue:StringEquals"] == {"events:source": ["tollgate"]}
    let_through = {arn["Fn::GetAtt"][0] for arn in statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]}
    senders = {
        name for name, role in of_type(template, "AWS::IAM::Role").items()
        if "events:PutEvents" in json.dumps(role["Properties"].get("Policies", []))
    }  # fmt: skip
    assert let_through == senders


def test_an_option_that_is_off_adds_nothing() -> None:
    plain, gradual = transformed(), transformed({"GradualDeployment": "true"})
    added = {one["Type"] for name, one in gradual["Resources"].items() if name not in plain["Resources"]}
    assert added == {"AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup", "AWS::IAM::Role"}
    groups = of_type(gradual, "AWS::CodeDeploy::DeploymentGroup")
    assert {name.removesuffix("FunctionDeploymentGroup") for name in groups} == {"Check", "Track"}
    for group in groups.values():
        watched = {alarm["Name"]["Ref"] for alarm in group["Properties"]["AlarmConfiguration"]["Alarms"]}
        assert watched == {"ApiErrorsAlarm", "CheckErrorsAlarm"}
        assert group["Properties"]["AutoRollbackConfiguration"]["Enabled"] is True
    defaults = {name: one.get("Default") for name, one in plain["Parameters"].items()}
    assert (defaults["Tracing"], defaults["WarmReads"], defaults["ManageConcurrency"]) == ("PassThrough", 0, 0)
    manage = plain["Resources"]["ManageFunction"]["Properties"]["ReservedConcurrentExecutions"]
    assert manage == {"Fn::If": ["CapsManage", {"Ref": "ManageConcurrency"}, {"Ref": "AWS::NoValue"}]}
    warm = plain["Resources"]["Table"]["Properties"]["WarmThroughput"]["Fn::If"]
    assert (warm[0], warm[2]) == ("IsWarmed", {"Ref": "AWS::NoValue"})
