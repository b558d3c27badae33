"""Every claim of docs/threats.md names a test that there is."""

from __future__ import annotations

import re

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "threats.md"


def test_every_line_of_what_stops_them_names_tests_that_there_are() -> None:
    section = PAGE.read_text().partition("## What stops them")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(lines) > 10
    for line in lines:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", line.rpartition(" | ")[2])
        assert named, line
        for path, test in named:
            text = (ROOT / path).read_text()
            assert not test or f"def {test}(" in text, f"{path} has no {test}"
