"""How an event becomes an amount (flexprice.md 2.5)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.meters import amount_of, counting


def metered(type: str | None = None, filters: list[dict[str, Any]] | None = None, **more: Any) -> Feature:
    meter = {"meter": {"event_name": "call", "aggregation": {"type": type, **more}, "filters": filters}} if type else {}
    return Feature("f", "F", FeatureType.METERED, extra=meter)


@pytest.mark.parametrize(
    ("feature", "properties", "amount"),
    [
        (metered(), {}, 1),
        (metered(), {"value": "2.5"}, Decimal("2.5")),
        (metered(), {"value": 3}, 3),
        (metered(), {"value": "high"}, 1),
        (metered("COUNT"), {"value": "7"}, 1),
        (metered("SUM", field="tokens"), {"tokens": "12.25"}, Decimal("12.25")),
        (metered("SUM", field="tokens"), {"tokens": "many"}, None),
        (metered("SUM", field="tokens"), {}, None),
        (metered("SUM", field="tokens"), {"tokens": "NaN"}, None),
        (metered("SUM", field="tokens"), {"tokens": "1_000"}, None),
        (metered("SUM", field="tokens"), {"tokens": "\u0661\u0662"}, None),  # 12 in Arabic digits
        (metered("SUM", field="tokens"), {"tokens": "1e3"}, 1000),
        (metered("SUM_WITH_MULTIPLIER", field="ms", multiplier=Decimal("0.001")), {"ms": "1500"}, Decimal("1.5")),
        (metered("COUNT", [{"key": "model", "values": ["a", "b"]}]), {"model": "b"}, 1),
        (metered("COUNT", [{"key": "model", "values": ["a", "b"]}]), {"model": "c"}, None),
        (metered("COUNT", [{"key": "model", "values": ["a"]}]), {}, None),
        (metered("COUNT", [{"key": "cached", "values": ["true"]}]), {"cached": True}, 1),
        (metered("COUNT", [{"key": "a", "values": ["1"]}, {"key": "b", "values": ["2"]}]), {"a": 1, "b": "3"}, None),
    ],
)
def test_the_amount_of_an_event(feature: Feature, properties: dict[str, Any], amount: Decimal | None) -> None:
    assert amount_of(feature, properties) == amount


def test_an_event_counts_for_all_that_list_its_name_or_whose_meter_names_it() -> None:
    listed = Feature("listed", "L", FeatureType.METERED, event_names=("call", "other"))
    flag = Feature("flag", "F", FeatureType.BOOLEAN, event_names=("call",))
    features = [listed, flag, metered("COUNT"), Feature("none", "N", FeatureType.METERED)]
    assert [feature.id for feature in counting(features, "call")] == ["f", "listed"]
    assert counting(features, "nope") == []
