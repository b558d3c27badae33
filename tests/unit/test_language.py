"""One noun means one thing: words that docs/glossary.md replaced do not come back.

Names are looked for in code and tests, phrases in their comments and in the documents. A word that is right in one place
(a table's row, a vendor's own term) is let through there, by file.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RETIRED_NAMES = {
    "Row": "Grant",
    "row": "grant",
    "rows": "grants",
    "Place": "BalanceKey",
    "World": "Balances",
    "world": "balances",
    "fold": "as_of",
    "folded": "all_as_of",
    "restated": "recomputed",
    "hot": "fast_path",
    "quick": "fast",
    "settle": "apply_spent, or finalize",
    "OnceKeys": "IdempotencyStore",
    "use_up": "consume_keys",
    "beside": "used_elsewhere",
    "slot": "entity_share",
    "Watches": "AlertStateStore",
    "looker": "subject",
    "Teller": "alerts",
    "telling": "alerts",
    "Tally": "UseBatch",
    "tally": "batch",
    "judged": "answer",
    "unmoved": "ungranted_use",
    "lenient": "may_go_negative",
    "governed": "counted_by_customer",
    "clocked": "has_test_clock",
    "Arrived": "QueuedUse",
    "Intake": "UsageQueue",
}
RETIRED_PHRASES = {
    r"\bhot path\b": "fast path",
    r"\bfold(ed|s)?\b": "as of an instant",
    r"\b(worlds?)\b": "balances",
    r"\bsettle(d|s|ment)?\b|\bsettling\b": "finalize, or: with what was spent applied",
    r"\brestated\b": "recomputed",
    r"\bgoverned\b|\bclocked\b|\blenient\b": "counted_by_customer, has_test_clock, may_go_negative",
    r"\btally\b": "batch",
}
RETIRED_PARTS = {
    **dict.fromkeys(("row", "rows"), "grant"),
    **dict.fromkeys(("fold", "folds", "folded", "folding"), "as_of"),
    **dict.fromkeys(("world", "worlds"), "balances"),
    **dict.fromkeys(("settle", "settles", "settled", "settling", "settlement"), "finalize"),
    **dict.fromkeys(("tally", "intake"), "batch, usage_queue"),
}
"""Words of a name that is put together: `each_row`, `test_folding_twice`."""
_ROWS = {"row", "rows"}
ALLOWED: dict[str, set[str]] = {
    # the lines of Lotus's answers, and of a trace or a page
    "layers/tollgate/tollgate/dialects/lotus/access.py": _ROWS,
    "tests/handlers/lotus.py": _ROWS,
    "tests/handlers/test_lotus_access.py": _ROWS,
    "tests/e2e/test_lotus_sdk.py": _ROWS,
    "tests/integration/test_servers.py": _ROWS,
    "tollgate_cli/demo.py": _ROWS,
    # where an item remembers the ids of its last deductions
    "layers/tollgate/tollgate/store/balances.py": {"slot"},
    # names of what is stored, which renaming does not reach
    "layers/tollgate/tollgate/store/codecs/balances.py": {"governed", "clocked"},
    # a field that a caller sees
    "docs/reservations.md": {"settled"},
}


def sources() -> Iterator[Path]:
    for folder in ("layers/tollgate/tollgate", "functions", "tollgate_cli", "tests"):
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if path != Path(__file__))


def documents() -> Iterator[Path]:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    yield from (page for page in sorted(pages) if page.name not in ("glossary.md", "CHANGELOG.md"))


def retired_in(path: Path) -> list[str]:
    """Each retired word of a source file, with its line and what to say."""
    found = []
    allowed = ALLOWED.get(str(path.relative_to(ROOT)), set())
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        line = token.start[0]
        if token.type == tokenize.NAME and token.string in RETIRED_NAMES and token.string not in allowed:
            found.append(f"{path}:{line}: {token.string}: say {RETIRED_NAMES[token.string]}")
        elif token.type == tokenize.NAME and "_" in token.string and token.string != "add_row":  # of a table on screen
            parts = RETIRED_PARTS.keys() & set(token.string.lower().split("_")) - allowed
            found += [f"{path}:{line}: {token.string}: say {RETIRED_PARTS[part]}" for part in sorted(parts)]
        elif token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            found += [f"{path}:{line}: {found_word}" for found_word in retired_phrases(token.string, allowed)]
    return found


def retired_phrases(text: str, allowed: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    return [
        f"{match.group(0)}: say {better}"
        for phrase, better in RETIRED_PHRASES.items()
        for match in re.finditer(phrase, text, re.IGNORECASE)
        if match.group(0).lower() not in allowed
    ]


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_code_says_what_the_glossary_says(path: Path) -> None:
    assert retired_in(path) == []


@pytest.mark.parametrize("page", list(documents()), ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_say_what_the_glossary_says(page: Path) -> None:
    allowed = ALLOWED.get(str(page.relative_to(ROOT)), set())
    assert retired_phrases(page.read_text(), allowed) == []


def test_a_retired_word_is_found() -> None:
    assert retired_phrases("The hot path folds the world.") != []
