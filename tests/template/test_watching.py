"""Alarms tell somebody and are explained; the dashboard shows what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.template.transformed import Template, of_type, transformed

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
WATCHED = {
    ("AWS/ApiGateway", "5xx"),
    ("AWS/ApiGateway", "Latency"),
    ("AWS/DynamoDB", "ReadThrottleEvents"),
    ("AWS/DynamoDB", "UserErrors"),
    ("AWS/DynamoDB", "WriteThrottleEvents"),
    ("AWS/Lambda", "Errors"),
    ("AWS/Lambda", "IteratorAge"),
    ("AWS/Lambda", "RecursiveInvocationsDropped"),
    ("AWS/Lambda", "Throttles"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
}
OF_THE_ACCOUNT = {"Throttles", "UserErrors"}
"""Metrics that AWS counts for all of an account and region."""


def _alarms() -> dict[str, Any]:
    return of_type(transformed(), "AWS::CloudWatch::Alarm")


def test_every_alarm_tells_the_topic_when_it_rings_and_when_it_is_over() -> None:
    told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
    for name, alarm in _alarms().items():
        assert alarm["Properties"]["AlarmActions"] == told, name
        assert alarm["Properties"]["OKActions"] == told, name
        assert alarm["Properties"]["TreatMissingData"] == "notBreaching", f"{name} would ring where nobody calls"


def test_what_matters_is_watched() -> None:
    seen = {(alarm["Properties"]["Namespace"], alarm["Properties"]["MetricName"]) for alarm in _alarms().values()}
    assert seen == WATCHED


def test_every_reader_of_the_stream_is_watched() -> None:
    template = transformed()
    streams = [
        source["Properties"]["FunctionName"]["Ref"].removesuffix("Aliaslive")
        for source in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if source["Properties"]["EventSourceArn"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    ]
    watched = [
        alarm["Properties"]["Dimensions"][0]["Value"]["Ref"]
        for alarm in _alarms().values()
        if alarm["Properties"]["MetricName"] == "IteratorAge"
    ]
    assert sorted(watched) == sorted(streams)


def test_an_alarm_looks_at_this_stack_alone_where_aws_tells_them_apart() -> None:
    for name, alarm in _alarms().items():
        of_the_account = alarm["Properties"]["MetricName"] in OF_THE_ACCOUNT
        assert ("Dimensions" in alarm["Properties"]) is not of_the_account, name
        if of_the_account:
            assert "of the account and region" in alarm["Properties"]["AlarmDescription"]


def test_the_documents_say_of_each_alarm_what_it_means_and_what_to_do() -> None:
    explained = re.findall(r"^\| `(\w+Alarm)` \| (.+) \| (.+) \|$", OPERATIONS, re.MULTILINE)
    assert sorted(name for name, _, _ in explained) == sorted(_alarms())


@pytest.mark.parametrize("parameter", ["AlarmTopic", "Dashboard", "LogLevel"])
def test_the_documents_name_the_parameters_of_watching(parameter: str) -> None:
    assert f"| `{parameter}` |" in OPERATIONS


# ------------------------------------------------------------------ the dashboard


def _dashboard(template: Template) -> list[dict[str, Any]]:
    """The dashboard's widgets, each reference as its resource's name."""
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    text = dashboard["Properties"]["DashboardBody"]["Fn::Sub"][0]
    widgets: list[dict[str, Any]] = json.loads(re.sub(r"\$\{([\w:.]+)\}", r"\1", text))["widgets"]
    return widgets


def test_the_dashboard_is_what_cloudwatch_takes() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in _dashboard(transformed()):
        x, y, width, height = (widget[part] for part in ("x", "y", "width", "height"))
        assert x + width <= 24
        cells = {(column, line) for column in range(x, x + width) for line in range(y, y + height)}
        assert not cells & taken, f"{widget['properties']['title']} lies on another"
        taken |= cells
        assert widget["properties"]["title"]
    assert len(taken) == 24 * (max(line for _, line in taken) + 1), "a hole"


def test_the_dashboard_shows_every_alarm_and_every_function() -> None:
    template = transformed()
    widgets = _dashboard(template)
    (alarms,) = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert sorted(alarms) == sorted(f"{name}.Arn" for name in _alarms())
    shown = json.dumps(widgets)
    for function in of_type(template, "AWS::Lambda::Function"):
        assert shown.count(f'"{function}"') >= 2, f"its errors and its invocations: {function}"


def test_the_dashboard_names_what_is_there() -> None:
    template = transformed()
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    text, given = dashboard["Properties"]["DashboardBody"]["Fn::Sub"]
    named = set(re.findall(r"\$\{([\w:.]+)\}", text)) - given.keys()
    assert named
    assert given == {"TableName": {"Ref": "Table"}}
    for name in named:
        assert name.startswith("AWS::") or name.partition(".")[0] in template["Resources"], name


def test_metrics_of_tollgates_own_say_which_stack_they_are_of() -> None:
    """Two stacks of one account write into one namespace."""
    template = transformed()
    for function in of_type(template, "AWS::Lambda::Function").values():
        variables = function["Properties"]["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "Tollgate"
    for widget in _dashboard(template):
        for metric in widget["properties"].get("metrics", ()):
            assert metric[0] != "Tollgate" or metric[2:4] == ["service", "AWS::StackName"]
