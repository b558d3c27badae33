"""Every claim of the pages on threats and on failures names a test that there is."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("page", "title"), [("threats.md", "## What stops them"), ("delivery.md", "## When something is down")]
)
def test_every_line_names_tests_that_there_are(page: str, title: str) -> None:
    section = (ROOT / "docs" / page).read_text().partition(title)[2].partition("\n## ")[0]
    table = section.partition("\n| ")[2].partition("\n\n")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(lines) > 10
    for line in lines:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", line.rpartition(" | ")[2])
        assert named, line
        for path, test in named:
            text = (ROOT / path).read_text()
            assert not test or f"def {test}(" in text, f"{path} has no {test}"
