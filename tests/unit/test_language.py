"""One noun means one thing: words that docs/glossary.md replaced do not come back.

Names are looked for in code and tests, phrases in their comments and in the documents. A word that is right in one place
(a table's row, a vendor's own term) is let through there, by file.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RETIRED_NAMES = {
    r"Row|row|rows": "grant",
    r"Place|Places|PLACES": "BalanceKey",
    r"World|Worlds|world|worlds": "balances",
    r"fold|folds|folded|folding": "as_of",
    r"restated": "recomputed",
    r"hot": "fast_path",
    r"quick": "fast",
    r"settle|settles|settled|settling|settlement": "apply_spent, or finalize",
    r"Once|OnceKeys|use_up|used_up_keys": "IdempotencyKey, consume_keys",
    r"beside": "used_elsewhere",
    r"slot": "entity_share",
    r"Watches|Teller|telling|looker": "AlertStateStore, alerts, subject",
    r"Tally|tally|judged|_note|unmoved": "UseBatch, answer, ungranted_use",
    r"lenient|governed|clocked": "may_go_negative, counted_by_customer, has_test_clock",
    r"Arrived|Intake|intake|Reported": "QueuedUse, UsageQueue, UsageEvent",
}
RETIRED_PARTS = {
    r"rows?": "grant",
    r"fold(s|ed|ing)?": "as_of",
    r"worlds?": "balances",
    r"settl(e|es|ed|ing|ement)": "finalize",
    r"tally|intake|teller": "batch, usage_queue, alerts",
}
"""Words of a name that is put together: `each_row`, `test_folding_twice`."""
RETIRED_PHRASES = {
    r"hot path": "fast path",
    r"fold(ed|s)?": "as of an instant",
    r"worlds?": "balances",
    r"settl(e|es|ed|ing|ement)": "finalize, or: with what was spent applied",
    r"restated": "recomputed",
    r"governed|clocked|lenient": "counted_by_customer, has_test_clock, may_go_negative",
    r"tally|intake": "batch, usage queue",
    r"judged": "answered",
}
TEXTS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
_ROWS = {"row", "rows"}
ALLOWED: dict[str, set[str]] = {
    # the lines of Lotus's answers, and of a trace or a page
    "layers/tollgate/tollgate/dialects/lotus/access.py": _ROWS,
    "tests/handlers/lotus.py": _ROWS,
    "tests/handlers/test_lotus_access.py": _ROWS,
    "tests/e2e/test_lotus_sdk.py": _ROWS,
    "tests/integration/test_servers.py": _ROWS,
    "tollgate_cli/demo.py": _ROWS,
    # what Rich calls it
    "tollgate_cli/output.py": {"fold"},
    # where an item remembers the ids of its last deductions
    "layers/tollgate/tollgate/store/balances.py": {"slot"},
    # names of what is stored, which renaming does not reach
    "layers/tollgate/tollgate/store/codecs/balances.py": {"governed", "clocked"},
    # a field of a balance that a caller sees
    "docs/openapi/autumn-differences.md": {"settled"},
    "docs/reservations.md": {"settled"},
    "layers/tollgate/tollgate/dialects/autumn/balances.py": {"settled"},
    "tests/e2e/test_reservations.py": {"settled"},
    "tollgate_cli/openapi/autumn_shapes.py": {"settled"},
}


def sources() -> Iterator[Path]:
    for folder in ("layers/tollgate/tollgate", "functions", "tollgate_cli", "tests"):
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if path != Path(__file__))


def documents() -> Iterator[Path]:
    """What is prose: the documents, and the texts of the stack and the schemas. The glossary names the retired words."""
    found = [
        *ROOT.glob("*.md"),
        ROOT / "template.yaml",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "events").rglob("*.md"),
    ]
    found += [*(ROOT / "docs" / "events").glob("*.json"), *(ROOT / "tests" / "mutants").glob("*.txt")]
    yield from (page for page in sorted(found) if page.name not in ("glossary.md", "CHANGELOG.md"))


def retired_in(path: Path) -> list[str]:
    """Each retired word of a source file, with its line and what to say."""
    found = []
    allowed = ALLOWED.get(str(path.relative_to(ROOT)), set())
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            words = retired_words(token.string, allowed)
        elif token.type in TEXTS:
            words = retired_phrases(token.string, allowed)
        else:
            continue
        found += [f"{path}:{token.start[0]}: {word}" for word in words]
    return found


def retired_words(name: str, allowed: Set[str] = frozenset()) -> list[str]:
    """The retired words of a name, each with what to say."""
    if name in allowed or name == "add_row":  # of a table on screen
        return []
    found = [f"{name}: say {better}" for retired, better in RETIRED_NAMES.items() if re.fullmatch(retired, name)]
    parts = set(name.lower().split("_")) - allowed if "_" in name else set()
    return found + [
        f"{name}: say {better}"
        for retired, better in RETIRED_PARTS.items()
        if any(re.fullmatch(retired, part) for part in parts)
    ]


def retired_phrases(text: str, allowed: Set[str] = frozenset()) -> list[str]:
    """The retired words of a text, each with what to say."""
    return [
        f"{match.group(0)}: say {better}"
        for phrase, better in RETIRED_PHRASES.items()
        for match in re.finditer(rf"(?<![\w-])({phrase})(?![\w#-])", text, re.IGNORECASE)
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
    assert retired_phrases("never settled") != []
    for name in ("Row", "worlds", "settled", "each_row_of", "test_folding_twice", "Intake"):
        assert retired_words(name) != [], name
    assert retired_words("grants") == []
