"""The table of memory sizes in docs/costs.md follows from its own figures."""

from __future__ import annotations

import re

from tests.bench.memory import sizes
from tests.conftest import ROOT

COSTS = (ROOT / "docs" / "costs.md").read_text()


def test_the_table_in_the_docs_is_what_its_figures_give() -> None:
    call, imported = re.search(r"with ([\d.]+) ms a call and (\d+) ms for the import", COSTS).groups()  # type: ignore[union-attr]
    lines = re.findall(r"^\| ([\d,]+) MB \| ([\d.]+) ms \| \$([\d.]+) \| ([\d,]+) ms \|$", COSTS, re.MULTILINE)
    told = [tuple(float(cell.replace(",", "")) for cell in line) for line in lines]
    worked_out = sizes(float(call), float(imported))
    assert len(told) == len(worked_out)
    for (mb, call_ms, dollars, import_ms), size in zip(told, worked_out, strict=True):
        assert mb == size.mb
        assert abs(call_ms - size.call_ms) < 0.06
        assert abs(dollars - size.dollars_per_million) < 0.0006
        assert abs(import_ms - size.import_ms) <= 5


def test_a_millisecond_that_is_begun_is_billed() -> None:
    """1,769 MB are a whole CPU; the price of a GB-second is 0.0000133334 dollars."""
    half = sizes(0.1 * 512 / 1769, 0)[2]  # at 512 MB: 0.1 ms, and 4 of waiting
    assert round(half.call_ms, 6) == 4.1
    assert round(half.dollars_per_million, 6) == round(5 / 1000 * 0.5 * 0.0000133334 * 1e6, 6)
