"""docs/costs.md says what follows from the template and the file of prices."""

from __future__ import annotations

import copy

from tests.bench.costs import calls, idle, prices, tables
from tests.conftest import ROOT
from tests.template.transformed import of_type, transformed

COSTS = (ROOT / "docs" / "costs.md").read_text()


def test_the_page_has_the_tables_as_they_are_worked_out() -> None:
    for table in tables():
        assert table in COSTS, f"make costs says:\n{table}"


def test_the_calls_alone_are_what_the_page_and_the_readme_say() -> None:
    alone = sum(part.dollars for part in calls(prices())[:4])
    for text in (COSTS, (ROOT / "README.md").read_text()):
        assert f"${alone:.2f}" in text


def test_whatever_is_added_to_the_template_is_counted() -> None:
    template = copy.deepcopy(transformed())
    before = {part.what: part.dollars for part in idle(template, prices())}
    (alarm, *_), (function, *_) = (
        of_type(template, f"AWS::{kind}").values() for kind in ("CloudWatch::Alarm", "Lambda::Function")
    )
    template["Resources"] |= {
        "Another": alarm,
        "Further": {**function, "Properties": {"MemorySize": 1024, "SnapStart": {}}},
    }
    after = {part.what: part.dollars for part in idle(template, prices())}
    assert round(sum(after.values()) - sum(before.values()), 3) == round(0.10 + 730 * 3600 * 0.0000015046, 3)
