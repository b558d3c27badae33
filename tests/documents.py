"""The Markdown pages of the project, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "events" / "README.md"])

_BLOCK = re.compile(r"^(?:<!-- not run: (?P<why>.+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_COMMAND = re.compile(r"(\w+=\S*\s+)*(make|\.venv/bin/tollgate)\b")


class Block(NamedTuple):
    page: Path
    language: str
    text: str
    not_run: str | None
    """Why it cannot run: what the comment above it says."""

    @property
    def lines(self) -> list[str]:
        """The lines of a shell block, each without its comment."""
        return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in self.text.splitlines()) if line]

    @property
    def is_commands(self) -> bool:
        """Whether it is of `make` and `tollgate` alone: what they do has tests of its own, that they exist has one here."""
        return self.language == "sh" and all(_COMMAND.match(line) for line in self.lines)


def blocks(page: Path) -> Iterator[Block]:
    for found in _BLOCK.finditer(page.read_text()):
        yield Block(page, found["language"], found["text"], found["why"])


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks(page)]


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What a `#fragment` may name: the page's headings as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    """The targets of its links that lead to the project itself."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"[a-z]+:", target):
            yield target
