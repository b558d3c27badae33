"""The check's schema, written by hand for a quick start, takes and refuses what the model of the documents does, in the
same words."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tollgate.dialects.autumn import check
from tollgate.dialects.autumn.errors import invalid_input
from tollgate_cli.openapi.check_body import CheckBody

IDS = st.sampled_from(["ada", "messages", "", "a b", "a#b", "x" * 256, "x" * 257, "é", 'a"b', "a/b"])
NUMBERS = st.one_of(
    st.integers(-(10**16), 10**16),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from([Decimal("1e15"), Decimal("1e-11"), Decimal("0.5"), Decimal("-0"), 1.5, True]),
)
TIMES = st.one_of(
    st.integers(0, 3), st.integers(10**12 - 1, 10**12 + 1), st.sampled_from([253_402_300_799_999, 253_402_300_800_000])
)
TEXTS = st.sampled_from(["", "balance.feature", "x" * 1000, "x" * 1001])
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    TEXTS,
    IDS,
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXTS, st.integers(), max_size=1),
)
OBJECTS = st.one_of(
    st.dictionaries(st.sampled_from("abc"), ANYTHING, max_size=3),
    st.just({"big": "x" * 4096}),
    st.just({1: "no text"}),
)


def near(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what a field takes, and sometimes anything."""
    return st.one_of(values, values, values, ANYTHING)


def fields(known: dict[str, st.SearchStrategy[Any]], required: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    """Objects of some of these fields; mostly with the required ones, and sometimes with one more."""
    optional = {name: near(values) for name, values in {**known, "unknown": ANYTHING}.items()}
    always = {name: optional.pop(name) for name in required}
    return st.one_of(
        st.fixed_dictionaries(always, optional=optional), st.fixed_dictionaries({}, optional={**always, **optional})
    )


LOCKS = fields(
    {
        "lock_id": st.sampled_from(["l", "", "x" * 256, "x" * 257]),
        "enabled": st.booleans(),
        "expires_at": TIMES,
        "overage_behavior": st.sampled_from(["reject", "cap", "overflow", "other"]),
    },
    ("lock_id",),
)
NAMED = fields({"name": TEXTS, "email": TEXTS, "fingerprint": TEXTS})
BODIES = fields(
    {
        **dict.fromkeys(("customer_id", "feature_id", "product_id", "entity_id"), IDS),
        **dict.fromkeys(("required_balance", "required_quantity"), NUMBERS),
        **dict.fromkeys(("send_event", "skip_event", "skip_cache", "with_preview"), st.booleans()),
        "properties": OBJECTS,
        "expand": st.lists(TEXTS, max_size=21),
        "customer_data": NAMED,
        "entity_data": fields({"name": TEXTS, "feature_id": IDS}, ("feature_id",)),
        "lock": LOCKS,
    },
    ("customer_id",),
)


def by_hand(body: Any) -> Any:
    try:
        return dict(check._PARAMS.validate_python(body))
    except ValidationError as error:
        return problems(error, body)


def by_model(body: Any) -> Any:
    try:
        return _plain(CheckBody.model_validate(body))
    except ValidationError as error:
        return problems(error, body)


def problems(error: ValidationError, body: Any) -> list[str]:
    """What is wrong, in words; the order in which problems and choices are named is left out."""
    told = str(invalid_input(error, body)).removeprefix("[Validation Errors] ").split("; ")
    return sorted(
        re.sub(r"(?<=must be one of ).+", lambda found: str(sorted(re.findall("'.*?'", found[0]))), each)
        for each in told
    )


def _plain(value: Any) -> Any:
    """What was sent of a model, as a dictionary."""
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in value.model_fields_set}
    return value


@given(st.one_of(BODIES, BODIES, ANYTHING))
@example({"customer_id": "ada", "lock": {"lock_id": "l", "enabled": None}})
@example({"customer_id": "ada", "required_balance": None})
@example({"customer_id": "ada", "customer_data": {"name": 1, "other": 2}})
@example([])
def test_both_read_a_body_alike(body: Any) -> None:
    assert repr(by_hand(body)) == repr(_ordered(by_model(body), by_hand(body)))


def _ordered(found: Any, like: Any) -> Any:
    """The same dictionary, its names in the other's order."""
    if not isinstance(found, dict) or not isinstance(like, dict) or set(found) != set(like):
        return found
    return {name: _ordered(found[name], like[name]) for name in like}
