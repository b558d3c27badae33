"""`make deploy`, against the emulator in place of an account: build and deployment have one set of parameters, and a
change of one alone publishes."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from tollgate_cli import deploy
from tollgate_cli.__main__ import app
from tollgate_cli.stack import Stack

NAME = "account"
OTHER = "x86_64" if deploy.local_parameters()["Architecture"] == "arm64" else "arm64"
ELF_MACHINES = {"x86_64": 62, "arm64": 183}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a deployment reads of a checkout, with a build directory of its own."""
    root = tmp_path_factory.mktemp("checkout")
    for name in (*deploy.INPUTS, "tollgate_cli", "console/package.json", "LICENSE"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, root / name, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / name, root / name)
    for installed in (".venv", ".venv-sam", "console/node_modules"):
        (root / installed).symlink_to(ROOT / installed)
    return root


@pytest.fixture(scope="module")
def account(stack: Stack, checkout: Path) -> Iterator[Stack]:
    """The emulator as an account of this process's credentials, with a stack for the other architecture."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in deploy._environment(stack.endpoint).items():
            patch.setenv(name, value)
        stack.client("s3").create_bucket(Bucket="account-artifacts")
        _deploy(checkout, {"Architecture": OTHER, "RetentionDays": "90", "ArchiveDays": "0", "GuardEvents": "false"})
        yield stack
    stack.client("cloudformation").delete_stack(StackName=NAME)


def _deploy(checkout: Path, given: dict[str, str]) -> None:
    more = ("--no-confirm-changeset", "--no-resolve-s3", "--s3-bucket", "account-artifacts")
    deploy.deploy_to_account(NAME, given, more, checkout)


def _functions(stack: Stack) -> dict[str, Any]:
    """Each function's version behind its alias, with its configuration."""
    resources = stack.client("cloudformation").describe_stack_resources(StackName=NAME)["StackResources"]
    functions = [r for r in resources if r["ResourceType"] == "AWS::Lambda::Function"]
    found = stack.client("lambda")
    return {
        r["LogicalResourceId"]: found.get_function_configuration(
            FunctionName=r["PhysicalResourceId"],
            Qualifier=found.get_alias(FunctionName=r["PhysicalResourceId"], Name="live")["FunctionVersion"],
        )
        for r in functions
    }


def test_the_wheels_are_of_the_machine_that_the_functions_run_on(account: Stack, checkout: Path) -> None:
    assert {tuple(one["Architectures"]) for one in _functions(account).values()} == {(OTHER,)}
    packages = checkout / ".aws-sam" / "build" / "TollgateLayer" / "python"
    tags = {
        line.rpartition("-")[2]
        for wheel in packages.glob("*.dist-info/WHEEL")
        for line in wheel.read_text().splitlines()
        if line.startswith("Tag: ")
    }
    machine = OTHER.replace("arm64", "aarch64")
    assert tags > {"any"}
    assert all(tag == "any" or tag.endswith(machine) for tag in tags), tags
    compiled = list(packages.rglob("*.so"))
    assert compiled
    for library in compiled:
        assert struct.unpack_from("<H", library.read_bytes(), 18)[0] == ELF_MACHINES[OTHER], library


def test_a_changed_parameter_alone_publishes_every_function_and_leaves_the_others(
    account: Stack, checkout: Path
) -> None:
    before = _functions(account)
    _deploy(checkout, {"LogLevel": "DEBUG"})
    after = _functions(account)
    assert before.keys() == after.keys()
    for name, one in after.items():
        assert int(one["Version"]) > int(before[name]["Version"]), name
        assert one["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
        assert one["Architectures"] == [OTHER]
    assert after["ManageFunction"]["Environment"]["Variables"]["TOLLGATE_RETENTION_DAYS"] == "90"


def test_a_parameter_that_the_template_has_not_is_refused(account: Stack, checkout: Path) -> None:
    """SAM would leave it out and say nothing."""
    assert account
    with pytest.raises(deploy.SamError, match=r"^LogLevl: .*LogLevel"):
        _deploy(checkout, {"LogLevl": "DEBUG"})
    with pytest.raises(deploy.SamError, match="Revision"):
        _deploy(checkout, {"Revision": "0" * 64})


@pytest.mark.parametrize("argument", ["--parameter-overrides", "--guided", "--region=eu-west-1", "--stack-name"])
def test_nothing_sets_parameters_or_their_stack_apart_from_the_build(argument: str) -> None:
    with pytest.raises(deploy.SamError, match="PARAMETERS"):
        deploy.deploy_to_account(NAME, {}, [argument])


def test_make_hands_all_of_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        "make",
        "--no-print-directory",
        "-n",
        "deploy",
        "STACK=shop",
        "PARAMETERS=Architecture=x86_64 LogLevel=WARN",
    ]
    shown = subprocess.run([*told, "ARGS=--no-confirm-changeset"], cwd=ROOT, capture_output=True, text=True, check=True)
    arguments = shown.stdout.strip().splitlines()[-1].partition("bin/tollgate ")[2].split()
    calls: list[Any] = []
    monkeypatch.setattr(deploy, "deploy_to_account", lambda *call: calls.append(call))
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert calls == [("shop", {"Architecture": "x86_64", "LogLevel": "WARN"}, ["--no-confirm-changeset"])]
    assert CliRunner().invoke(app, ["deploy", "--parameter", "LogLevel"]).exit_code == 2
