"""What Flexprice's own SDK knows of each route: the model of its body and that of its answer, made from their OpenAPI."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import flexprice
from flexprice import models
from pydantic import BaseModel

FOLDER = Path(flexprice.__file__).parent
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
def routes() -> dict[str, Known]:
    """By `METHOD /v1/path`, with `{}` for what is named in it."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text()
        starts = [match.start() for match in re.finditer(r"\n    (?:async )?def ", text)] + [len(text)]
        for start, end in pairwise(starts):
            part = text[start:end]
            call = _CALL.search(part)
            if call is None or "_build_request_async" in part:
                continue
            route = f"{call['method']} /v1{re.sub(r'{[^}]+}', '{}', call['path'])}"
            bodies = list(_BODY.finditer(part))  # where it stands in a request with a path, it comes last
            found[route] = Known(_model(bodies[-1] if bodies else None), _model(_ANSWER.search(part)))
    return found


def _model(match: re.Match[str] | None) -> Any:
    if match is None:
        return None
    return getattr(models, match["type"].removeprefix("models."), match["type"])
