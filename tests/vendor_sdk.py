"""What a vendor's own SDK, made by Speakeasy from their OpenAPI, knows of each route: the model of its body and that of
its answer."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import BaseModel

_CALL = re.compile(
    r'_build_request\(\s*method="(?P<method>[A-Z]+)",\s*path="(?P<path>[^"]+)"(?P<rest>.*?)(?=\n    (?:async )?def |\Z)',
    re.S,
)
_ANSWER = re.compile(
    r'match_response\(http_res, "2(?:XX|\d\d)".*?unmarshal_json_response\(\s*(?P<type>[\w.\[\], ]+?), http_res', re.S
)
_BODY = re.compile(r"(?:body=|\n        request = )models\.(?P<type>\w+)\(")


class Known(NamedTuple):
    """The models of a route; None where there is none."""

    body: type[BaseModel] | None
    answer: type[BaseModel] | None


@cache
def routes(sdk: ModuleType) -> dict[str, Known]:
    """By `METHOD /v1/path`, with `{}` for what is named in it."""
    assert sdk.__file__
    found = {}
    for path in sorted(Path(sdk.__file__).parent.glob("*.py")):
        text = path.read_text()
        starts = [match.start() for match in re.finditer(r"\n    (?:async )?def ", text)] + [len(text)]
        for start, end in pairwise(starts):
            part = text[start:end]
            call = _CALL.search(part)
            if call is None or "_build_request_async" in part:
                continue
            named = re.sub(r"{[^}]+}", "{}", call["path"].removeprefix("/v1"))
            bodies = list(_BODY.finditer(part))  # where it stands in a request with a path, it comes last
            found[f"{call['method']} /v1{named}"] = Known(
                _model(sdk, bodies[-1] if bodies else None), _model(sdk, _ANSWER.search(part))
            )
    return found


def _model(sdk: ModuleType, match: re.Match[str] | None) -> Any:
    if match is None:
        return None
    return getattr(sdk.models, match["type"].removeprefix("models."), match["type"])
