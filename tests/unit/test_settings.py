"""What a function is told by its environment, and that one place reads it."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tollgate.settings import NotSet, Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings(retention_days=400, metric_access_policy="all")


def test_every_setting_comes_from_its_variable() -> None:
    told = {
        "TOLLGATE_TABLE": "t",
        "TOLLGATE_BUS": "b",
        "TOLLGATE_USAGE_QUEUE_URL": "u",
        "TOLLGATE_DEAD_LETTER_QUEUE_URL": "d",
        "TOLLGATE_WEBHOOK_QUEUE_URL": "w",
        "TOLLGATE_WEBHOOK_DEAD_LETTER_QUEUE_URL": "x",
        "TOLLGATE_LOOPBACK_WEBHOOKS": "true",
        "TOLLGATE_ENDPOINT_URL": "e",
        "TOLLGATE_RETENTION_DAYS": "7",
        "TOLLGATE_PERSIST_FREE_OVERAGE": "true",
        "TOLLGATE_CARRY_OVER_USAGES": "true",
        "METRIC_ACCESS_POLICY": "any",
        "TOLLGATE_DENIAL_SECONDS": "10",
        "TOLLGATE_CALLS_PER_KEY": "3",
        "TOLLGATE_CALLS_PER_CUSTOMER": "4",
        "TOLLGATE_BROWSER_ORIGINS": "https://a.example,https://b.example",
    }
    origins = frozenset({"https://a.example", "https://b.example"})
    assert Settings.from_environment(told) == Settings(
        "t", "b", "u", "d", "w", "x", True, "e", 7, True, True, "any", origins, 10, 3, 4
    )
    assert len(told) == len(Settings._fields)


def test_a_setting_that_must_be_there_is_missed_by_name() -> None:
    with pytest.raises(NotSet, match="usage_queue_url"):
        Settings().required("usage_queue_url")


def test_nothing_else_reads_the_environment() -> None:
    """`runtime` hands it to Settings; a function takes its settings from there."""
    source = [*(ROOT / "layers" / "tollgate" / "tollgate").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    reading = {str(path.relative_to(ROOT)) for path in source if re.search(r"os\.environ|getenv", path.read_text())}
    assert reading == {"layers/tollgate/tollgate/runtime.py"}


def test_the_template_sets_no_variable_that_nobody_reads() -> None:
    """Nor does Settings read one that the template does not set."""
    template = (ROOT / "template.yaml").read_text()
    set_there = set(re.findall(r"^ +((?:TOLLGATE_|METRIC_)\w+):", template, re.MULTILINE))
    read = set(re.findall(r'text\("(\w+)"', (ROOT / "layers/tollgate/tollgate/settings.py").read_text()))
    assert set_there == read
