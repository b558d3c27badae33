"""JSON with exact numbers: fractions are read as Decimal and written digit for digit."""

from __future__ import annotations

import re
from typing import Any

import simplejson

from tollgate.domain.errors import InvalidInput

MAX_DEPTH = 32

_surrogate = re.compile(r"\\u[dD][89a-fA-F]").search


def loads(text: str) -> Any:
    """The value of a JSON document. Raises InvalidInput where the text is not JSON (NaN and Infinity are not), nests
    deeper than MAX_DEPTH, or contains half a surrogate pair, which UTF-8 cannot encode.
    """
    try:
        value = simplejson.loads(text, use_decimal=True)
        if _surrogate(text):
            simplejson.dumps(value, use_decimal=True, ensure_ascii=False).encode()
    except RecursionError as error:
        raise _too_deep() from error
    except (ValueError, ArithmeticError) as error:
        raise InvalidInput("body", f"must be valid JSON ({_what_is_wrong(error)})") from error
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    return value


def _too_deep() -> InvalidInput:
    return InvalidInput("body", f"must not nest deeper than {MAX_DEPTH} levels")


def _what_is_wrong(error: Exception) -> str:
    """The parser's own words, which name the place; Python's are put plainly."""
    if isinstance(error, simplejson.JSONDecodeError):
        return str(error)
    if isinstance(error, UnicodeError):
        return "a text has half of a surrogate pair"
    return "a number has too many digits"


def _depth(value: Any) -> int:
    levels, layer = 0, [value]
    while layer:
        levels += 1
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
    return levels - 1


def dumps(value: Any) -> str:
    """The value as compact JSON. Raises ValueError for NaN or an infinity."""
    text: str = simplejson.dumps(value, use_decimal=True, allow_nan=False, separators=(",", ":"))
    return text
