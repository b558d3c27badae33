"""What the property tests of the catalog file draw from: files that are right, with ids, texts and numbers that are odd."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

from hypothesis import strategies as st

from tollgate.dialects.autumn.catalog import AGGREGATIONS

_unlike_text = st.sampled_from(
    ["", "no", "null", "~", "1", "1e3", "1_000", "0x10", "true", "- a", "a: b", "# c", " d", "2020-01-01"]
)
texts = _unlike_text | st.text(st.characters(codec="utf-8"), max_size=12)
_id_ends = st.text("abz09.:-'\"{}[]&*!|>%@`,? ~".replace(" ", ""), max_size=2)
numbers = st.decimals(0, 10**14, places=10, allow_nan=False) | st.integers(0, 10**14).map(Decimal)
signed = numbers | numbers.map(lambda number: -number)
_counts = st.integers(1, 3)
_metadata = st.dictionaries(
    texts,
    st.recursive(
        st.none()
        | st.booleans()
        | texts
        | st.integers()
        | st.decimals(allow_nan=False, allow_infinity=False, places=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)
_intervals = st.sampled_from(["minute", "hour", "day", "week", "month", "quarter", "semi_annual", "year"])
_thresholds = st.fixed_dictionaries({"threshold": signed, "condition": st.sampled_from(["above", "below"])})


_THRESHOLDS = ["usage", "usage_percentage", "remaining", "remaining_percentage"]


def _fields(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def _ids(kind: str) -> st.SearchStrategy[str]:
    """Ids of a few; the first letter says the type of the feature, which never changes."""
    return _id_ends.map(lambda end: kind + end)


_TYPES = {"m": "metered", "s": "static", "b": "boolean", "c": "credit_system", "a": "ai_credit_system"}
_of_features: dict[str, st.SearchStrategy[Any]] = {
    "event_names": st.lists(_ids("e"), max_size=2),
    "display": _fields({}, {"singular": texts, "plural": texts}),
    "description": texts,
    "lookup_key": _ids("k"),
    "metadata": _metadata,
    "unit_singular": texts,
    "unit_plural": texts,
    "reporting_unit": st.fixed_dictionaries(
        {"unit_singular": texts, "unit_plural": texts, "conversion_rate": numbers.filter(bool)}
    ),
    "group": _fields({"id": _ids("g")}, {"name": texts, "lookup_key": texts}),
    "alert_settings": _fields(
        {}, {"alert_enabled": st.booleans(), "critical": _thresholds, "warning": _thresholds, "info": _thresholds}
    ),
    "archived": st.booleans(),
}
_meters = _fields(
    {
        "event_name": _ids("e"),
        "aggregation": _fields(
            {"type": st.sampled_from(get_args(AGGREGATIONS))}, {"field": texts, "multiplier": signed}
        ),
    },
    {
        "name": texts,
        "filters": st.lists(st.fixed_dictionaries({"key": texts, "values": st.lists(texts, max_size=2)}), max_size=2),
        "reset_usage": st.sampled_from(["BILLING_PERIOD", "NEVER"]),
    },
)
_markups = st.decimals(-100, 1000, places=3)
_prices = st.decimals(0, 1000, places=10)
_models = st.sampled_from(["openai/gpt-5", "own/model", "anthropic/claude-opus-4"])
_of_ai_credits = {
    "model_markups": st.dictionaries(
        _models, _fields({}, {"markup": _markups, "input_cost": _prices, "output_cost": _prices}), max_size=2
    ),
    "provider_markups": st.dictionaries(
        st.sampled_from(["openai", "own"]), _fields({"markup": _markups}, {}), max_size=2
    ),
    "default_markup": _markups,
}
_costs = _fields({"amount": signed}, {}) | _fields(
    {
        "tiers": st.lists(
            _fields({"to": numbers | st.just("inf"), "amount": signed}, {"flat_amount": signed}),
            min_size=1,
            max_size=2,
        )
    },
    {"tier_behavior": st.sampled_from(["graduated", "volume"])},
)
_base_prices = _fields({"amount": signed, "interval": _intervals | st.just("one_off")}, {"interval_count": _counts})


@st.composite
def catalog_files(draw: st.DrawFn) -> dict[str, Any]:
    """What a catalog file may hold: a few features of each type, and plans of them. Ids come again in others that are drawn."""
    ids = draw(st.lists(st.sampled_from("mmmsba").flatmap(_ids), max_size=5, unique=True))
    features = [draw(_file_features(id)) for id in ids]
    metered = [id for id in ids if id[0] == "m"]
    if metered:
        for id in draw(st.lists(_ids("c"), max_size=2, unique=True)):
            members = draw(st.lists(st.sampled_from(metered), min_size=1, max_size=2, unique=True))
            pool = draw(_file_features(id))
            pool["credit_schema"] = [
                {"metered_feature_id": m, "credit_cost": draw(numbers.filter(bool))}
                | draw(st.fixed_dictionaries({}, optional={"billing_units": numbers.filter(bool)}))
                for m in members
            ]
            features.insert(draw(st.integers(0, len(features))), pool)
    plan_ids = draw(st.lists(_ids("p"), max_size=3, unique=True))
    plans = [draw(_file_plans(id, features)) for id in plan_ids]
    automatic = draw(st.booleans())
    if plans and automatic:
        plans[0]["auto_enable"] = True
    return {"features": features, "plans": plans}


@st.composite
def _file_features(draw: st.DrawFn, id: str) -> dict[str, Any]:
    required = {"feature_id": st.just(id), "name": texts, "type": st.just(_TYPES[id[0]])}
    optional = dict(_of_features)
    if id[0] == "m":
        optional |= {"consumable": st.booleans(), "meter": _meters}
    if id[0] == "a":
        optional |= _of_ai_credits
    return draw(_fields(required, optional))


@st.composite
def _file_plans(draw: st.DrawFn, id: str, features: list[dict[str, Any]]) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for feature in draw(st.lists(st.sampled_from(features), max_size=4)) if features else ():
        item = draw(_file_items(feature, [f["feature_id"] for f in features if f["type"] == "metered"]))
        price = item.get("price", {})
        reset = item.get("reset") or {key: price.get(key) for key in ("interval", "interval_count")}
        resets = reset.get("interval", "one_off") not in (None, "one_off") and (
            reset.get("interval"),
            reset.get("interval_count") or 1,
        )
        key = (item["feature_id"], resets or None, item.get("entity_feature_id"), price.get("billing_method"))
        items.setdefault(str(key), item)
    controls = {}
    if features:
        named = st.sampled_from([feature["feature_id"] for feature in features])
        controls = {"billing_controls": _controls(named)}
    optional = {
        "description": texts,
        "group": _ids("g"),
        "add_on": st.booleans(),
        "auto_enable": st.just(False),
        "lookup_key": _ids("k"),
        "price": _base_prices,
        "free_trial": _fields(
            {"duration_length": _counts | st.just(1000)},
            {"duration_type": st.sampled_from(["day", "week", "month", "year"]), "card_required": st.booleans()},
        ),
        "metadata": _metadata,
        "archived": st.booleans(),
        **controls,
    }
    return draw(_fields({"plan_id": st.just(id), "name": texts, "items": st.just(list(items.values()))}, optional))


@st.composite
def _file_items(draw: st.DrawFn, feature: dict[str, Any], metered: list[str]) -> dict[str, Any]:
    item: dict[str, Any] = {"feature_id": feature["feature_id"]}
    if feature["type"] == "static":
        return item | {"static_value": draw(texts)}
    if feature["type"] == "boolean":
        return item | draw(_fields({}, {"is_enabled": st.booleans()}))
    consumable = feature["type"] != "metered" or feature.get("consumable", False)
    if draw(st.booleans()):
        item |= draw(_fields({}, {"unlimited": st.booleans()}))
    if not item.get("unlimited"):
        price = _costs.flatmap(
            lambda costs: _fields(
                {
                    **{name: st.just(value) for name, value in costs.items()},
                    "interval": _intervals | st.just("one_off"),
                    "billing_method": st.sampled_from(["usage_based", "prepaid"]),
                },
                {"interval_count": _counts, "billing_units": numbers.filter(bool), "max_purchase": numbers},
            )
        )
        amount = draw(st.sampled_from(["included", "usage_limit"]))
        item |= draw(_fields({}, {amount: numbers, "price": price, "is_soft_limit": st.booleans()}))
    item |= draw(_fields({}, {"is_enabled": st.booleans()}))
    if consumable:
        item |= draw(
            _fields({}, {"reset": _fields({"interval": _intervals | st.just("one_off")}, {"interval_count": _counts})})
        )
    if item.get("reset", {}).get("interval", "one_off") != "one_off":
        bounds = st.sampled_from(["max", "max_percentage"]).flatmap(lambda name: _fields({}, {name: numbers}))
        lasting = _fields(
            {}, {"expiry_duration_type": st.sampled_from(["month", "forever"]), "expiry_duration_length": _counts}
        )
        if draw(st.booleans()):
            item["rollover"] = draw(bounds) | draw(lasting)
    others = [id for id in metered if id != item["feature_id"]]
    if others:
        item |= draw(_fields({}, {"entity_feature_id": st.sampled_from(others)}))
    return item


def _controls(ids: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    spend = _fields(
        {},
        {
            "feature_id": ids,
            "enabled": st.booleans(),
            "limit_type": st.sampled_from(["absolute", "usage_percentage"]),
            "overage_limit": numbers,
        },
    )
    usage = _fields(
        {"feature_id": ids, "limit": numbers, "interval": st.sampled_from(["day", "week", "month", "year"])},
        {
            "enabled": st.booleans(),
            "anchor": st.sampled_from(["billing_cycle", "utc"]),
            "filter": st.fixed_dictionaries(
                {"properties": st.dictionaries(texts, texts | st.booleans() | st.integers(0, 9), max_size=2)}
            ),
        },
    )
    alert = _fields(
        {"threshold": signed, "threshold_type": st.sampled_from(_THRESHOLDS)},
        {
            "feature_id": ids,
            "enabled": st.booleans(),
            "name": texts,
            "basis": st.sampled_from(["balance", "included", "recurring", "usage_limit"]),
        },
    )
    overage = _fields({"feature_id": ids}, {"enabled": st.booleans()})
    kinds = {"spend_limits": spend, "usage_limits": usage, "usage_alerts": alert, "overage_allowed": overage}
    return _fields({}, {kind: st.lists(entry, max_size=2) for kind, entry in kinds.items()})
