"""Every citation of a rule leads to one, and every rule of docs/rules has tests that cite it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "rules"
CITING = (
    "layers",
    "functions",
    "tollgate_cli",
    "tests",
    "docs",
    "events",
    "README.md",
    "CONTRIBUTING.md",
    "template.yaml",
)
SUFFIXES = {".py", ".md", ".json", ".yaml"}

NAME = r"autumn|lotus|flexprice|management|invariants"
NUMBER = r"\d+(?:\.\d+)*"
# a name with its folder (docs/autumn.md) or in a link ([autumn.md](autumn.md)) is that page, and no citation
CITATION = re.compile(rf"(?<![\w/\[])(?<!\]\()\b({NAME})\.md\b(?: ({NUMBER}(?:(?:, | to ){NUMBER})*))?", re.IGNORECASE)
STEP = re.compile(rf"(, | to )?({NUMBER})")
SCENARIO = re.compile(r"\bS\d{3}\b")
UNLISTED = re.compile(r",? and \d")  # "3.2 and 3.3": the second number would be read by nobody
COMMENT_WRAP = re.compile(r"\n[ \t]*(?:#[ \t]*)?")

HEADING = re.compile(rf"^#+ ({NUMBER})\.? ")
SCENARIO_LINE = re.compile(r"^- (S\d{3}) (\(not served\))?")
SOURCE_LINE = re.compile(r"^Source: \S")
TESTS_LINE = re.compile(r"^Tests: (.+)$")


@dataclass
class Rule:
    """One numbered rule: (`autumn`, `3.2`), or a scenario: (`autumn`, `S179`)."""

    key: tuple[str, str]
    section: str
    served: bool = True
    sourced: bool = False
    tests: list[str] = field(default_factory=list)


def parsed(name: str, text: str) -> dict[str, Rule]:
    """The sections and scenarios of one page of rules, by number."""
    rules: dict[str, Rule] = {}
    section: Rule | None = None
    for line in text.splitlines():
        if heading := HEADING.match(line):
            section = Rule((name, heading[1]), heading[1])
            assert heading[1] not in rules, f"{name}.md has {heading[1]} twice"
            rules[heading[1]] = section
        elif section and (scenario := SCENARIO_LINE.match(line)):
            assert scenario[1] not in rules, f"{name}.md has {scenario[1]} twice"
            rules[scenario[1]] = Rule((name, scenario[1]), section.section, served=not scenario[2])
        elif section and SOURCE_LINE.match(line):
            section.sourced = True
        elif section and (tests := TESTS_LINE.match(line)):
            section.tests = tests[1].split(", ")
    return rules


@cache
def rules() -> dict[str, dict[str, Rule]]:
    return {path.stem: parsed(path.stem, path.read_text()) for path in RULES.glob("*.md") if path.stem != "README"}


def within(number: str, section: str) -> bool:
    """Whether a number is a section's own or lies beneath it."""
    return number == section or number.startswith(f"{section}.")


def between(name: str, first: str, last: str) -> list[str]:
    """The sections that `first to last` stands for: the two and what the page has between them, side by side."""
    parent, _, low = first.rpartition(".")
    high = last.rpartition(".")[2]
    between_them = [f"{parent}.{n}" if parent else str(n) for n in range(int(low) + 1, int(high))]
    return [first, *(number for number in between_them if number in rules().get(name, {})), last]


def citations(text: str) -> Iterator[tuple[str, str]]:
    """Every citation of a text as (page, number); the number is empty where none can be read."""
    text = COMMENT_WRAP.sub(" ", text)
    for found in CITATION.finditer(text):
        name, numbers = found[1], found[2]
        if not numbers or name != name.lower() or UNLISTED.match(text, found.end()):
            yield name, ""
            continue
        previous = ""
        for joint, number in STEP.findall(numbers):
            yield from ((name, each) for each in (between(name, previous, number) if "to" in joint else [number]))
            previous = number
    for found in SCENARIO.finditer(text):
        yield "autumn", found[0]


def unresolved(text: str) -> list[str]:
    """The citations of a text that lead nowhere."""
    return [
        f"{name}.md {number}".rstrip() if not SCENARIO.match(number) else number
        for name, number in citations(text)
        if number not in rules().get(name, {})
    ]


def texts() -> Iterable[Path]:
    for room in CITING:
        place = ROOT / room
        assert place.exists(), room
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and path != Path(__file__):
                yield path


@cache
def cited_by_tests() -> dict[str, set[tuple[str, str]]]:
    """What each test file cites, by its path from the root."""
    return {
        str(path.relative_to(ROOT)): set(citations(path.read_text()))
        for path in texts()
        if path.name.startswith("test_") and path.suffix == ".py"
    }


def cites(test: str, rule: Rule) -> bool:
    """Whether a test file cites a section, one beneath it, or one of its scenarios."""
    page = rules()[rule.key[0]]
    return any(
        within(number, rule.section) or page[number].section == rule.section
        for name, number in cited_by_tests()[test]
        if name == rule.key[0] and number in page
    )


def faults(rule: Rule) -> Iterator[str]:
    """What a rule lacks: a source, tests, or a citation in one of its tests."""
    name, number = rule.key
    if number != rule.section:
        if rule.served and not any(rule.key in cited for cited in cited_by_tests().values()):
            yield f"{number} is cited by no test"
        return
    page = rules()[name]
    scenarios = [other for other in page.values() if other.section == number and other.key[1] != number]
    if any(other.startswith(f"{number}.") for other in page) or (scenarios and not any(s.served for s in scenarios)):
        return  # its parts are the rules, or it says what is not served
    if not rule.sourced:
        yield f"{name}.md {number} names no source"
    if not rule.tests:
        yield f"{name}.md {number} names no test"
    for test in rule.tests:
        if test not in cited_by_tests():
            yield f"{name}.md {number} names {test}, which does not exist"
        elif not cites(test, rule):
            yield f"{name}.md {number} names {test}, which does not cite it"


def test_every_citation_leads_to_a_rule() -> None:
    lost = {str(path.relative_to(ROOT)): found for path in texts() if (found := unresolved(path.read_text()))}
    assert not lost


def test_every_rule_has_a_source_and_tests_that_cite_it() -> None:
    assert not [fault for page in rules().values() for rule in page.values() for fault in faults(rule)]


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("as autumn.md 3.2, 5.4 and S179 say", []),
        ("autumn.md 3.2 to 3.5; lotus.md 0.7; management.md 3 (plans.create)", []),
        ("see docs/autumn.md, and [lotus.md](lotus.md)", []),
        ("autumn.md 3.99", ["autumn.md 3.99"]),
        ("autumn.md 3.2, 99", ["autumn.md 99"]),
        ("lotus.md\n    # 77", ["lotus.md 77"]),
        ("flexprice.md 1.3 to 1.9", ["flexprice.md 1.9"]),
        ("S998 and S999", ["S998", "S999"]),
        ("management.md, plans.create", ["management.md"]),
        ("Autumn.md 2", ["Autumn.md"]),
        ("autumn.md 3.2 and 3.3", ["autumn.md"]),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, lost: list[str]) -> None:
    assert unresolved(text) == lost


def test_a_rule_without_source_or_tests_is_found() -> None:
    page = parsed("autumn", "### 3.2 Three phases\nWhat holds.\n\n- S998 a scenario\n- S999 (not served) another\n")
    assert list(faults(page["3.2"])) == ["autumn.md 3.2 names no source", "autumn.md 3.2 names no test"]
    assert list(faults(page["S998"])) == ["S998 is cited by no test"]
    assert list(faults(page["S999"])) == []
    page["3.2"].tests, page["3.2"].sourced = ["tests/unit/test_none.py", "tests/unit/test_packing.py"], True
    assert list(faults(page["3.2"])) == [
        "autumn.md 3.2 names tests/unit/test_none.py, which does not exist",
        "autumn.md 3.2 names tests/unit/test_packing.py, which does not cite it",
    ]
