"""What is built and deployed: the layer holds what the functions need and no more, and a function run from the build
with the variables of `sam local` reaches the stack (all of `sam local invoke` but its container)."""

from __future__ import annotations

import json
import os
import re
import subprocess
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.http_events import assert_contains
from tollgate_cli.servers import EMULATOR_PYTHON
from tollgate_cli.stack import Stack, function_variables

BUILD = ROOT / ".aws-sam" / "build"


def test_the_layer_holds_what_the_functions_need_and_no_more(stack: Stack) -> None:
    assert stack.url
    packages = {path.name for path in (BUILD / "TollgateLayer" / "python").iterdir()}
    assert {"tollgate", "pydantic", "pydantic_core", "simplejson", "aws_lambda_powertools"} <= packages
    assert not packages & {"boto3", "botocore", "moto", "pytest", "tollgate_cli", "tests"}
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "layers/tollgate/requirements.txt").read_text(), re.MULTILINE)
    installed = {name.split("-")[0].replace("_", "-") for name in packages if name.endswith(".dist-info")}
    assert installed == {"tollgate", *locked}


def test_the_layer_holds_the_bytecode_of_every_module(stack: Stack) -> None:
    """A function cannot write it beside a layer's modules, and would compile them at every cold start."""
    assert stack.url
    modules = {path for path in (BUILD / "TollgateLayer" / "python").rglob("*.py") if "__pycache__" not in path.parts}
    missing = [path for path in modules if not Path(cache_from_source(str(path))).is_file()]
    assert not missing
    flags = Path(cache_from_source(str(BUILD / "TollgateLayer" / "python" / "pydantic" / "main.py"))).read_bytes()[4]
    assert flags == 0b01, "by a hash that is not checked"


def test_the_layer_is_built_for_what_the_template_says_unless_told() -> None:
    """SAM hands the makefile no parameters: its defaults must be the template's."""
    template = (ROOT / "template.yaml").read_text()
    makefile = (ROOT / "layers" / "tollgate" / "Makefile").read_text()

    def default(parameter: str) -> str:
        found = re.search(rf"^  {parameter}:\n(?:    .*\n)*?    Default: (\S+)", template, re.MULTILINE)
        assert found
        return found[1]

    assert f"TOLLGATE_RUNTIME  ?= {default('PythonRuntime')}\n" in makefile
    machine = default("Architecture").replace("arm64", "aarch64")
    assert f"TOLLGATE_PLATFORM ?= {machine}-manylinux2014\n" in makefile


@pytest.mark.parametrize(
    ("function", "event"),
    [
        ("CheckFunction", "check"),
        ("CheckFunction", "check_and_track"),
        ("CheckFunction", "check_denied"),
        ("TrackFunction", "track"),
        ("ManageFunction", "customers_get"),
        ("AuthorizerFunction", "authorizer"),
    ],
)
def test_a_built_function_answers_a_sample_as_sam_local_would_run_it(stack: Stack, function: str, event: str) -> None:
    code = "import app, json, sys; print(json.dumps(app.handler(json.load(open(sys.argv[1])), None)))"
    done = subprocess.run(
        [EMULATOR_PYTHON, "-c", code, ROOT / "events" / f"{event}.json"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(BUILD / function), str(BUILD / "TollgateLayer" / "python"))),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **function_variables(stack, "localhost"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: Any = json.loads(done.stdout)
    documented = json.loads((ROOT / "events" / "answers.json").read_text())[event]
    if "answer" in documented:
        assert answer == documented["answer"]
    else:
        assert answer["statusCode"] == documented["status"], answer
        assert_contains(json.loads(answer["body"]), documented["body"])
