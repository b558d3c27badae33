"""What is no JSON, told in words that somebody understands who does not know Python."""

from __future__ import annotations

import pytest

from tollgate.domain.errors import InvalidInput
from tollgate.exact_json import MAX_DEPTH, loads


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, f"must not nest deeper than {MAX_DEPTH} levels"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, f"must not nest deeper than {MAX_DEPTH} levels"),
        ("[" * 40 + "]" * 40, f"must not nest deeper than {MAX_DEPTH} levels"),
        ("9" * 100_000, "must be valid JSON (a number has too many digits)"),
        ("1e" + "9" * 50, "must be valid JSON (a number has too many digits)"),
        (r'{"a": "\ud800"}', "must be valid JSON (a text has half of a surrogate pair)"),
        (r'{"\udfff": 1}', "must be valid JSON (a text has half of a surrogate pair)"),
        ("", "must be valid JSON (Expecting value: line 1 column 1 (char 0))"),
        ("{} x", "must be valid JSON (Extra data: line 1 column 4 - line 1 column 5 (char 3 - 4))"),
        ("NaN", "must be valid JSON (Expecting value: line 1 column 1 (char 0))"),
        ("-Infinity", "must be valid JSON (Expecting value: line 1 column 1 (char 0))"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_wrong_is_said_plainly(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as error:
        loads(text)
    assert str(error.value).endswith(told), str(error.value)
