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
from botocore import __version__ as botocore_of_tests

from tests.conftest import ROOT
from tests.http_events import assert_contains
from tollgate_cli.stack import Stack, function_variables

BUILD = ROOT / ".aws-sam" / "build"
RUNTIME_PYTHON = ROOT / ".venv-runtime" / "bin" / "python"  # as in AWS: boto, and nothing else


def test_the_layer_holds_what_the_functions_need_and_no_more(stack: Stack) -> None:
    assert stack.url
    packages = {path.name for path in (BUILD / "TollgateLayer" / "python").iterdir()}
    assert {"tollgate", "pydantic", "pydantic_core", "simplejson", "aws_lambda_powertools"} <= packages
    assert not packages & {"boto3", "botocore", "moto", "pytest", "tollgate_cli", "tests"}
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "layers/tollgate/requirements.txt").read_text(), re.MULTILINE)
    installed = {name.split("-")[0].replace("_", "-") for name in packages if name.endswith(".dist-info")}
    assert installed == {"tollgate", *locked}
    layer = [path for path in (BUILD / "TollgateLayer").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in layer) < 20 * 1024 * 1024


def test_layer_and_functions_hold_the_bytecode_of_every_module(stack: Stack) -> None:
    """A function cannot write it beside its modules or a layer's, and would compile them at every cold start."""
    assert stack.url
    modules = set(BUILD.glob("TollgateLayer/python/**/*.py")) | set(BUILD.glob("*Function/**/*.py"))
    assert BUILD / "CheckFunction" / "app.py" in modules
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


SAMPLES = (
    ("CheckFunction", "check"),
    ("CheckFunction", "check_and_track"),
    ("CheckFunction", "check_denied"),
    ("TrackFunction", "track"),
    ("ManageFunction", "customers_get"),
    ("AuthorizerFunction", "authorizer"),
)
_PROGRAM = """
import app, json, sys
answer = app.handler(json.load(open(sys.argv[1])), None)
print(json.dumps([answer, getattr(sys.modules.get("botocore"), "__version__", None)]))
"""


def _answered(stack: Stack, function: str, event: str, **more: str) -> tuple[Any, str | None]:
    """A built function's answer to a sample, and the version of botocore where it was loaded."""
    done = subprocess.run(
        [RUNTIME_PYTHON, "-c", _PROGRAM, ROOT / "events" / f"{event}.json"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join((str(BUILD / function), str(BUILD / "TollgateLayer" / "python"))),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **function_variables(stack, "localhost"),
            **more,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer, botocore = json.loads(done.stdout)
    return answer, botocore


def _assert_documented(event: str, answer: Any) -> None:
    documented = json.loads((ROOT / "events" / "answers.json").read_text())[event]
    if "answer" in documented:
        assert answer == documented["answer"]
    else:
        assert answer["statusCode"] == documented["status"], answer
        assert_contains(json.loads(answer["body"]), documented["body"])


@pytest.mark.parametrize(("function", "event"), SAMPLES)
def test_a_built_function_answers_a_sample_as_sam_local_would_run_it(stack: Stack, function: str, event: str) -> None:
    """And without boto, whose version in AWS's runtime is AWS's to choose."""
    answer, botocore = _answered(stack, function, event)
    _assert_documented(event, answer)
    assert botocore is None


@pytest.mark.parametrize(("function", "event"), SAMPLES)
def test_behind_a_proxy_it_answers_the_same_by_the_oldest_boto_that_a_runtime_may_have(
    stack: Stack, function: str, event: str
) -> None:
    """There its clients are botocore's, which the layer does not hold. The other tests run on the current release."""
    answer, botocore = _answered(stack, function, event, HTTPS_PROXY="http://127.0.0.1:9")
    _assert_documented(event, answer)
    pinned = re.search(r"^botocore==(\S+)$", (ROOT / "requirements" / "runtime.in").read_text(), re.MULTILINE)
    assert pinned
    assert botocore == pinned[1]
    assert botocore != botocore_of_tests
