"""The template as CloudFormation gets it: after SAM's own translator, with the values of its parameters."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

Template = dict[str, Any]

REVISION = "0" * 64
PARAMETERS = {"Revision": REVISION}
SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"  # the translator needs another pydantic than the layer

_PROGRAM = """
import json, logging, sys
from types import SimpleNamespace
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

logging.disable(logging.WARNING)
template = yaml_parse(open(sys.argv[1]).read())
for name, resource in template["Resources"].items():  # as `sam deploy` uploads what was built
    for place in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
        resource["Properties"][place] = f"s3://artifacts/{name}"
print(json.dumps(transform(template, json.loads(sys.argv[2]), SimpleNamespace(load=dict))))
"""


def transformed(parameters: dict[str, str] | None = None, path: Path = ROOT / "template.yaml") -> Template:
    """The transformed template. What is not given has the template's default; the revision is zero."""
    return _transformed(json.dumps(PARAMETERS | (parameters or {})), path)


@cache
def _transformed(parameters: str, path: Path) -> Template:
    done = subprocess.run(
        [SAM_PYTHON, "-c", _PROGRAM, path, parameters],
        env=os.environ | {"AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Template = json.loads(done.stdout)
    return found


def of_type(template: Template, kind: str) -> dict[str, Any]:
    """The resources of a type, by their logical ids."""
    return {name: one for name, one in template["Resources"].items() if one["Type"] == kind}
