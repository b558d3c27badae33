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
    """The transformed template. What is not given has the template's default; the revision is zero. Whether it makes its
    table is decided already, as CloudFormation decides it."""
    given = PARAMETERS | (parameters or {})
    template = _transformed(json.dumps(given), path)
    decided: Template = _decided(template, {"MakesTable": not given.get("ExistingTable")})
    return decided


def _decided(part: Any, conditions: dict[str, bool]) -> Any:
    """A part of a template without these conditions: of each choice what is chosen, and no resource that is not made."""
    match part:
        case {"Fn::If": [str(name), yes, no]} if name in conditions:
            return _decided(yes if conditions[name] else no, conditions)
        case dict():
            return {
                name: _decided(
                    {k: v for k, v in one.items() if k != "Condition"} if _asks(one, conditions) else one, conditions
                )
                for name, one in part.items()
                if not _asks(one, conditions) or conditions[one["Condition"]]
            }
        case list():
            return [_decided(one, conditions) for one in part]
    return part


def _asks(one: Any, conditions: dict[str, bool]) -> bool:
    """Whether a resource is made on one of these conditions."""
    return (
        isinstance(one, dict)
        and "Type" in one
        and isinstance(one.get("Condition"), str)
        and one["Condition"] in conditions
    )


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
