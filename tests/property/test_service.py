"""Whatever a customer holds and whatever is done with it, the domain answers as the rules of autumn.md 2, 3 do, line by line
(tests/property/reference.py), and the fast path as the slow one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from tests.profiles import examples
from tests.property.operations import Track, balances_of, operations, tracks, used_by
from tests.property.states import State, states
from tollgate.domain.balances import all_as_of, as_of
from tollgate.domain.decisions import Overage, UseRequest, check
from tollgate.domain.drawing import totals
from tollgate.domain.quantities import ZERO


@settings(max_examples=examples(13))
@given(states(), operations)
def test_every_operation_does_what_the_rules_say_line_by_line(state: State, steps: Sequence[Any]) -> None:
    """invariants.md 1, 3, 4: the reference, the floors, resets once a boundary on their anchors, and fast path ≡ slow path."""
    state.assert_same()
    for step in steps:
        step.apply(state)
        state.assert_same()


@given(states(), operations)
def test_grants_add_up_to_the_total_and_computing_them_again_changes_nothing(
    state: State, steps: Sequence[Any]
) -> None:
    for step in steps:
        step.apply(state)
    for balance in state.holdings.balances.values():
        current = as_of(balance, state.now)
        assert as_of(current, state.now) == current
        sums = totals(current.grants)
        if not sums.unlimited:
            overdrawn = sum((grant.overdrawn for grant in current.grants), ZERO)
            assert sums.granted - sums.remaining == sums.usage - overdrawn
            assert sums.remaining == sum((totals([grant]).remaining for grant in current.grants), ZERO)


@given(states(), operations, tracks)
def test_what_a_check_allows_a_rejecting_use_accepts(state: State, steps: Sequence[Any], asked: Track) -> None:
    """invariants.md 10."""
    for step in steps:
        step.apply(state)
    if asked.feature_id in state.catalog.features and asked.entity_id in ("", *state.holdings.entities):
        balances = balances_of(state, asked.feature_id)
        feature, pools = state.catalog.feature(asked.feature_id), state.catalog.pools(asked.feature_id)
        answer = check(
            UseRequest(feature, pools, asked.entity_id, asked.amount, properties=asked.properties),
            all_as_of(balances, state.now),
        )
        if answer.allowed:
            assert used_by(state, replace(asked, overage=Overage.REJECT), balances).allowed
