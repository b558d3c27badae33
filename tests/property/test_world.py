"""Whatever a customer holds and whatever is done with it, the domain answers as autumn.md's rules do, line by line
(tests/property/reference.py), and the hot path as the slow one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings

from tests.profiles import examples
from tests.property.operations import Track, operations, tracks, used_by, world_of
from tests.property.states import State, states
from tollgate.domain.balances import fold, totals
from tollgate.domain.decisions import Overage, check, folded
from tollgate.domain.quantities import ZERO


@settings(max_examples=examples(13))
@given(states(), operations)
def test_every_operation_does_what_the_rules_say_line_by_line(state: State, steps: Sequence[Any]) -> None:
    """Invariants 1, 3 and 4: the reference, the floors, resets once a boundary on their anchors, and hot ≡ slow."""
    state.assert_same()
    for step in steps:
        step.apply(state)
        state.assert_same()


@given(states(), operations)
def test_rows_add_up_to_the_total_and_folding_again_changes_nothing(state: State, steps: Sequence[Any]) -> None:
    for step in steps:
        step.apply(state)
    for balance in state.holdings.balances.values():
        once = fold(balance, state.now)
        assert fold(once, state.now) == once
        sums = totals(once.rows)
        if not sums.unlimited:
            overdrawn = sum((row.overdrawn for row in once.rows), ZERO)
            assert sums.granted - sums.remaining == sums.usage - overdrawn
            assert sums.remaining == sum((totals([row]).remaining for row in once.rows), ZERO)


@given(states(), operations, tracks)
def test_what_a_check_allows_a_rejecting_use_accepts(state: State, steps: Sequence[Any], asked: Track) -> None:
    for step in steps:
        step.apply(state)
    if asked.feature_id in state.catalog.features and asked.entity_id in ("", *state.holdings.entities):
        world = world_of(state, asked.feature_id)
        feature, pools = state.catalog.feature(asked.feature_id), state.catalog.pools(asked.feature_id)
        answer = check(feature, pools, asked.entity_id, asked.amount, asked.properties, folded(world, state.now))
        if answer.allowed:
            assert used_by(state, replace(asked, overage=Overage.REJECT), world).allowed
