"""What AWS would refuse in the template, or do to a stack that exists: quotas, replacements, names that collide."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from typing import Any

from tests.conftest import ROOT
from tests.template.transformed import SAM_PYTHON, Template, of_type, transformed

RELEASED = ROOT / "tests" / "template" / "released.yaml"
"""The template of the last release, which stacks in use were made from."""

STATEFUL = (
    "AWS::DynamoDB::Table",
    "AWS::SQS::Queue",
    "AWS::Events::EventBus",
    "AWS::Events::Archive",
    "AWS::ApiGatewayV2::Api",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Logs::LogGroup",
)
"""What holds something that a replacement would lose: items, messages, addresses, how far a stream was read."""

_SCHEMAS = """
import json, sys
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER as manager
schemas = {kind: manager.get_resource_schema("us-east-1", kind).schema for kind in json.loads(sys.argv[1])}
print(json.dumps({kind: {part: [path.rpartition("/")[2] for path in schema.get(part, ())] for part in
    ("createOnlyProperties", "conditionalCreateOnlyProperties", "primaryIdentifier", "readOnlyProperties")}
    for kind, schema in schemas.items()}))
"""


@cache
def _schemas(kinds: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    """Of each type of resource what CloudFormation says of its properties, as cfn-lint knows it."""
    command = [str(SAM_PYTHON), "-c", _SCHEMAS, json.dumps(kinds)]
    found: dict[str, dict[str, list[str]]] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def _kinds(template: Template) -> tuple[str, ...]:
    return tuple(sorted({one["Type"] for one in template["Resources"].values()}))


# ------------------------------------------------------------------ quotas


def test_it_fits_cloudformations_quotas() -> None:
    template = transformed()
    assert len(template["Resources"]) <= 500
    assert len(template["Parameters"]) <= 200
    assert len(template["Outputs"]) <= 200
    assert len(json.dumps(template)) <= 1_000_000, "`sam deploy` uploads it: one in a request's body may have 51,200"
    for name in template["Resources"]:
        assert len(name) <= 255
        assert name.isalnum()


def test_it_fits_the_services_quotas() -> None:
    template = transformed()
    assert len(of_type(template, "AWS::ApiGatewayV2::Route")) <= 300
    assert len(of_type(template, "AWS::ApiGatewayV2::Integration")) <= 300
    assert len(of_type(template, "AWS::ApiGatewayV2::Authorizer")) <= 10
    for function in of_type(template, "AWS::Lambda::Function").values():
        assert len(json.dumps(function["Properties"]["Environment"]["Variables"])) <= 4096
        assert len(function["Properties"]["Layers"]) <= 5
    for role in of_type(template, "AWS::IAM::Role").values():
        assert len(json.dumps(role["Properties"].get("Policies", []))) <= 10_240
    sources = of_type(template, "AWS::Lambda::EventSourceMapping").values()
    assert all(len(one["Properties"].get("FilterCriteria", {}).get("Filters", ())) <= 5 for one in sources)
    streams = [one for one in sources if one["Properties"]["EventSourceArn"] == {"Fn::GetAtt": ["Table", "StreamArn"]}]
    assert len(streams) <= 2, "a third reader of a stream is throttled"


def test_no_two_routes_are_the_same() -> None:
    routes = [one["Properties"]["RouteKey"] for one in of_type(transformed(), "AWS::ApiGatewayV2::Route").values()]
    assert len(set(routes)) == len(routes)


def test_a_queue_hides_a_message_for_six_times_as_long_as_its_function_may_take() -> None:
    """As AWS asks, so that a message does not come again while it is counted."""
    template = transformed()
    queue = template["Resources"]["UsageQueue"]["Properties"]
    function = template["Resources"]["UsageQueueFunction"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]


# ------------------------------------------------------------------ an update of a stack in use


def test_an_update_replaces_nothing_that_holds_something() -> None:
    """CloudFormation makes anew what has another name in the template, or another value where it takes none."""
    before, after = transformed({}, RELEASED), transformed()
    schemas = _schemas(STATEFUL)
    for name, old in before["Resources"].items():
        if old["Type"] not in STATEFUL:
            continue
        new = after["Resources"].get(name)
        assert new is not None, f"{name} would be deleted"
        assert new["Type"] == old["Type"]
        assert new.get("Condition") == old.get("Condition")
        schema = schemas[old["Type"]]
        for part in (*schema["createOnlyProperties"], *schema["conditionalCreateOnlyProperties"]):
            assert new["Properties"].get(part) == old["Properties"].get(part), f"{name}.{part} would replace it"


def test_the_table_outlives_its_stack() -> None:
    for table in of_type(transformed(), "AWS::DynamoDB::Table").values():
        assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
        assert table["Properties"]["DeletionProtectionEnabled"] is True


def test_parameters_that_stacks_have_set_are_still_there() -> None:
    """With every value that they may have now: an update keeps it."""
    before, after = transformed({}, RELEASED)["Parameters"], transformed()["Parameters"]
    for name, old in before.items():
        assert name in after
        assert after[name]["Type"] == old["Type"]
        assert set(after[name].get("AllowedValues", ())) >= set(old.get("AllowedValues", ())), name
        assert ("Default" in old) <= ("Default" in after[name]), name


# ------------------------------------------------------------------ two stacks in one account


_PLACES = ("AWS::Region", "AWS::AccountId", "AWS::Partition", "AWS::URLSuffix")


def _names_a_stack(value: Any) -> bool:
    """Whether a value follows from the stack: its name, or something of it."""
    match value:
        case {"Ref": name}:
            return name not in _PLACES
        case {"Fn::GetAtt": _}:
            return True
        case {"Fn::Sub": str(text)}:
            return any(name not in _PLACES for name in re.findall(r"\$\{([^}]+)\}", text))
        case dict():
            return any(map(_names_a_stack, value.values()))
        case list():
            return any(map(_names_a_stack, value))
    return False


def test_nothing_has_a_name_that_another_stack_could_have() -> None:
    """Of what identifies a resource, some part is left to CloudFormation or follows from the stack."""
    template = transformed()
    schemas = _schemas(_kinds(template))
    for name, one in template["Resources"].items():
        schema = schemas[one["Type"]]
        values = [one.get("Properties", {}).get(part) for part in schema["primaryIdentifier"]]
        assert any(value is None or _names_a_stack(value) for value in values), f"{name} is {values} in every stack"
    assert not [one for one in template["Outputs"].values() if "Export" in one]
