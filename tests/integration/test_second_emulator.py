"""The transformed template on a second emulator, moto's server, as far as that goes; what both answer is compared.

moto's CloudFormation knows no HTTP APIs and no policies of a bus, and fails on some of what stands around a function; what is
left out, and what refers to it, is counted here, so that it does not grow unseen.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import session
from tests.template.transformed import REVISION, Template, of_type, transformed
from tollgate_cli.servers import Server, moto

LEFT_OUT = (
    "AWS::ApiGatewayV2::",
    "AWS::CloudWatch::",
    "AWS::Events::",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
)
KEPT = ("AWS::Events::EventBus",)
STACK, BUCKET = "second", "artifacts"


def named(value: Any) -> Iterator[str]:
    """The resources and parameters that a part of a template names."""
    if isinstance(value, list):
        for one in value:
            yield from named(one)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            elif key == "Fn::Sub":
                text, more = (inner, {}) if isinstance(inner, str) else inner
                yield from re.findall(r"\$\{(\w+)", text)
                yield from named(more)
            else:
                yield from named(inner)


def reduced(template: Template) -> Template:
    """The template without the types that are left out, and without all that names one of them."""
    every = template["Resources"]
    left = {name: one for name, one in every.items() if one["Type"] in KEPT or not one["Type"].startswith(LEFT_OUT)}
    while gone := [name for name, one in left.items() if any(n in every and n not in left for n in named(one))]:
        for name in gone:
            del left[name]
    return {key: part for key, part in template.items() if key != "Outputs"} | {"Resources": left}


class Emulator(NamedTuple):
    """An emulator with the stack."""

    url: str
    resources: dict[str, str]  # physical ids by logical ones

    def client(self, service: str) -> Any:
        return _client(self.url, service)


def _client(url: str, service: str) -> Any:
    return session().create_client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def deployed(server: Server, template: Template) -> Emulator:
    """The stack, made by the emulator's CloudFormation from the template's text."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return event\n")
    storage, stacks = _client(server.url, "s3"), _client(server.url, "cloudformation")
    storage.create_bucket(Bucket=BUCKET)
    for one in template["Resources"].values():
        if one["Type"] in ("AWS::Lambda::Function", "AWS::Lambda::LayerVersion"):
            key = one["Properties"].get("Code", one["Properties"].get("Content"))["S3Key"]
            storage.put_object(Bucket=BUCKET, Key=key, Body=content.getvalue())
    stacks.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "Revision", "ParameterValue": REVISION}],
        Capabilities=["CAPABILITY_IAM"],
    )
    stacks.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    pages = stacks.get_paginator("list_stack_resources").paginate(StackName=STACK)
    found = [one for page in pages for one in page["StackResourceSummaries"]]
    return Emulator(server.url, {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found})


@pytest.fixture(scope="module")
def template() -> Template:
    return reduced(transformed({"GuardEvents": "false", "SnapStart": "false"}))


@pytest.fixture(scope="module")
def both(
    template: Template, servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Emulator, Emulator]]:
    logs: Path = tmp_path_factory.mktemp("moto")
    with moto(logs / "moto.log") as second:
        yield deployed(servers["ministack"], template), deployed(second, template)


def test_most_that_holds_something_is_deployed_to_both(template: Template, both: tuple[Emulator, Emulator]) -> None:
    first, second = both
    assert first.resources.keys() == second.resources.keys() == template["Resources"].keys()
    for kind in ("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Lambda::Function", "AWS::IAM::Role"):
        assert of_type(template, kind).keys() == of_type(transformed(), kind).keys()


def test_both_have_the_same_table(both: tuple[Emulator, Emulator]) -> None:
    def table(emulator: Emulator) -> Any:
        client, name = emulator.client("dynamodb"), emulator.resources["Table"]
        found = client.describe_table(TableName=name)["Table"]
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        keys = sorted((one["AttributeName"], one["KeyType"]) for one in found["KeySchema"])
        billing = found["BillingModeSummary"]["BillingMode"]
        return keys, found["StreamSpecification"], billing, found.get("DeletionProtectionEnabled"), ttl

    assert table(both[0]) == table(both[1])


def test_both_have_the_same_queues(template: Template, both: tuple[Emulator, Emulator]) -> None:
    told = ("VisibilityTimeout", "MessageRetentionPeriod")

    def queue(emulator: Emulator, name: str) -> Any:
        url = emulator.resources[name]
        found = emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        moved = json.loads(found.get("RedrivePolicy", "{}")).get("maxReceiveCount")
        return [found[each] for each in told], moved and int(moved)

    for name in of_type(template, "AWS::SQS::Queue"):
        assert queue(both[0], name) == queue(both[1], name), name
