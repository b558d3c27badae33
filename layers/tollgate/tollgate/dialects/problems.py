"""What pydantic found wrong with a request, by the path of each field in what the caller sent.

pydantic says where by its way through the schema, on which the members of a union stand too, in its own words
(`anchor.function-plain[start_rule()]`). A caller knows the request alone: a path here holds names of fields and numbers
of list entries of the request, and at its end perhaps a field that is missing.

This module needs pydantic's core alone, as the check function does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails, ValidationError

from tollgate.dialects.field_rules import type_name

Path = tuple[int | str, ...]

_KINDS = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "bool_parsing": "a boolean",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "finite_number": "a number",
    "is_instance_of": "a number",  # of Decimal, the only class that is asked for
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "an array",
    "tuple_type": "an array",
}
_BOUNDS = {
    "string_pattern_mismatch": "must be an e-mail address",  # no other text has a pattern
    "string_too_short": "must be at least {min_length} characters",
    "string_too_long": "must be at most {max_length} characters",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "string_unicode": "must be text of whole characters",
}
_JSON_WORDS = {"True": "true", "False": "false", "''": "empty"}


class Problem(NamedTuple):
    """What is wrong with one field. `path` leads to it in the request, and is empty for the request itself."""

    path: Path
    detail: ErrorDetails

    @property
    def field(self) -> str:
        """The path as errors name it."""
        return ".".join(map(str, self.path))


def problems(error: ValidationError, sent: Any) -> list[Problem]:
    """All that is wrong with what was sent, in pydantic's order.

    Where a member of a union was understood deeper than another, only what is wrong in the depth is told: an object with
    a bad field is not told that it could have been a text.
    """
    found = [(_path(each["loc"], sent, each), each) for each in error.errors(include_url=False)]
    above = {path[:deep] for path, _ in found for deep in range(len(path))}
    return [Problem(path, detail) for path, detail in found if path not in above]


def rules(error: ValidationError, sent: Any, rule: Callable[[Problem], tuple[str, str]]) -> list[tuple[str, str]]:
    """Each field that is wrong, once, with its rule, as `rule` words a problem; of a union the rules of all its members."""
    found: dict[str, list[str]] = {}
    for problem in problems(error, sent):
        field, words = rule(problem)
        told = found.setdefault(field, [])
        if words not in told:
            told.append(words)
    return [(field, ", or ".join(told)) for field, told in found.items()]


def words(detail: ErrorDetails) -> str:
    """What a field must be, in plain words: those of the rule that refused it, or ours for what pydantic refuses."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "is required"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]} (received {type_name(detail['input'])})"
    if kind == "literal_error":
        return f"must be {_JSON_WORDS.get(context['expected'], 'one of ' + str(context['expected']))}"
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return detail["msg"].removeprefix("Value error, ")


def _path(loc: Path, sent: Any, detail: ErrorDetails) -> Path:
    """The way that leads to what pydantic looked at, else the first that can be gone."""
    ways = list(_ways(loc, sent, missing=detail["type"] == "missing"))
    looked_at = detail["input"]
    return next((path for path, value in ways if value is looked_at), ways[0][0])


def _ways(loc: Path, value: Any, *, missing: bool) -> Iterator[tuple[Path, Any]]:
    """Each way through the value that the location can mean, with its end: a part that is no name or number in the value is
    a word of pydantic's own, and so may be one that is. Of a missing field the end is the object that lacks it."""
    if not loc:
        yield (), value
        return
    part, rest = loc[0], loc[1:]
    if missing and not rest and isinstance(value, dict):
        yield (part,), value
        return
    if _leads(part, value):
        for path, end in _ways(rest, value[part], missing=missing):
            yield (part, *path), end
    yield from _ways(rest, value, missing=missing)


def _leads(part: int | str, value: Any) -> bool:
    """Whether it names a field, or numbers an entry, of the value."""
    if isinstance(value, list):
        return isinstance(part, int) and 0 <= part < len(value)
    return isinstance(value, dict) and part in value
