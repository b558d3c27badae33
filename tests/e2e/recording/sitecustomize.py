"""Python runs this at the start of every function of the local stack: it notes what the function asks of AWS.

Of each kind of call the first is kept, in a file of the process under CALLS.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from typing import Any

CLIENT = "tollgate.aws.client"
_FOLDER = os.environ.get("CALLS", "")
_FUNCTION = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
# where a request goes: partitions up to their second part, queues and buses, and what a transaction does there
_PLACE = re.compile(
    rb'"(?:pk|:pk)":\{"S":"[^"#]*#[^"#]*|"(?:Put|Update|Delete|ConditionCheck)":|"(?:QueueUrl|EventBusName)":"[^"]*"'
)


class Recording(importlib.abc.MetaPathFinder):
    """Finds the client's module once, and has its requests noted."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if name != CLIENT:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ImportError(name)
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            _record(module.Client)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _record(client: Any) -> None:
    call, seen = client.call, set()

    def noted(self: Any, operation: str, body: bytes) -> bytes:
        kind = (operation, *sorted(set(_PLACE.findall(body))))
        if kind not in seen:
            seen.add(kind)
            line = json.dumps([_FUNCTION, self._protocol.name, operation, json.loads(body)])
            with open(os.path.join(_FOLDER, f"{os.getpid()}.jsonl"), "a") as file:
                file.write(line + "\n")
        answer: bytes = call(self, operation, body)
        return answer

    client.call = noted


if _FOLDER and _FUNCTION:
    sys.meta_path.insert(0, Recording())
