"""A stack over a table that is there already: one that was restored to a point in time, or that a deleted stack left."""

from __future__ import annotations

import json
from typing import Any

from tests.template.transformed import of_type, transformed

NAME = "restored"
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/restored/stream/2026-01-01T00:00:00.000"
EXISTING = {"ExistingTable": NAME, "ExistingTableStream": STREAM}
OWN: dict[str, Any] = {"Ref": "Table"}, {"Fn::GetAtt": ["Table", "Arn"]}, {"Fn::GetAtt": ["Table", "StreamArn"]}  # type: ignore[assignment]
THEIRS = (
    {"Ref": "ExistingTable"},
    {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${ExistingTable}"},
    {"Ref": "ExistingTableStream"},
)


def test_whatever_named_its_own_table_names_the_one_that_is_there() -> None:
    """Settings, roles, both readers of the stream, alarms, the dashboard, outputs: nothing else differs."""
    own, existing = transformed(), transformed(EXISTING)
    table = own["Resources"].pop("Table")
    assert table["Type"] == "AWS::DynamoDB::Table"
    assert of_type(existing, "AWS::DynamoDB::Table") == {}
    text = json.dumps({part: own[part] for part in ("Resources", "Outputs")})
    for mine, other in zip(OWN, THEIRS, strict=True):
        assert json.dumps(mine) in text
        text = text.replace(json.dumps(mine), json.dumps(other))
    assert json.loads(text) == {part: existing[part] for part in ("Resources", "Outputs")}
    assert '"Table"' not in json.dumps(existing["Resources"])
    assert "${Table}" not in json.dumps(existing["Resources"])


def test_a_table_without_its_stream_is_refused_before_anything_is_made() -> None:
    (rule,) = transformed()["Rules"].values()
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExistingTable"}, ""]}]}
    (assertion,) = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExistingTableStream"}, ""]}]}


def test_both_are_not_given_by_default_so_that_an_update_keeps_its_table() -> None:
    parameters = transformed()["Parameters"]
    assert [parameters[name]["Default"] for name in EXISTING] == ["", ""]
