"""An explanation says what the decision says, and what it says would help does.

Rules: autumn.md 2.10, 2.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings

from tests.profiles import examples
from tests.property.operations import Track, balances_of, operations, tracks
from tests.property.states import State, states
from tollgate.domain.balances import all_as_of
from tollgate.domain.decisions import Check, Overage, UseRequest, check, use
from tollgate.domain.explanations import Explanation, changed, explain
from tollgate.domain.quantities import ZERO


def asked_of(state: State, asked: Track) -> UseRequest | None:
    if asked.feature_id not in state.catalog.features or asked.entity_id not in ("", *state.holdings.entities):
        return None
    feature, pools = state.catalog.feature(asked.feature_id), state.catalog.pools(asked.feature_id)
    return UseRequest(feature, pools, asked.entity_id, asked.amount, Overage.REJECT, asked.properties)


def answered(state: State, request: UseRequest) -> Check:
    """What the check itself says, of the balances that it reads."""
    return check(request, all_as_of(balances_of(state, request.feature.id), state.now))


@settings(max_examples=examples(5))
@given(states(), operations, tracks)
def test_an_explanation_decides_as_the_check_does(state: State, steps: Sequence[Any], asked: Track) -> None:
    """autumn.md 2.11: of all that the customer has, as of what the check reads."""
    for step in steps:
        step.apply(state)
    request = asked_of(state, asked)
    if request is None:
        return
    found, answer = explain(request, state.holdings.balances, state.now), answered(state, request)
    assert (found.allowed, found.answering, found.required, found.reason) == answer
    for feature in found.features:
        if feature.remaining is not None:
            assert sum((grant.gives for grant in feature.grants if grant.gives), ZERO) == feature.remaining
    if found.most:
        assert answered(state, request._replace(amount=found.most)).allowed
    if not found.allowed:
        _assert_remedies(state, request, found, counts=False)


@settings(max_examples=examples(5))
@given(states(), operations, tracks)
def test_an_explanation_decides_as_the_use_does(state: State, steps: Sequence[Any], asked: Track) -> None:
    """autumn.md 2.11: where it is to be counted, what is told of each grant is what the use draws."""
    for step in steps:
        step.apply(state)
    request = asked_of(state, asked)
    if request is None or asked.amount <= 0:
        return
    found = explain(request, state.holdings.balances, state.now, counts=True)
    decision = use(request, balances_of(state, request.feature.id), state.now)
    assert found.allowed == decision.allowed
    takes = {(f.feature_id, g.grant.id): g.takes for f in found.features for g in f.grants if g.takes}
    assert takes == {(moved.feature_id, moved.grant.id): moved.value for moved in decision.deductions}
    for feature in found.features:
        for grant in feature.grants:
            if None not in (grant.gives, grant.overage):
                assert grant.takes <= (grant.gives or ZERO) + (grant.overage or ZERO)
    if not found.allowed:
        _assert_remedies(state, request, found, counts=True)


def _assert_remedies(state: State, request: UseRequest, found: Explanation, *, counts: bool) -> None:
    """What is to be changed makes it allowed, every part of it is needed last, and it is allowed at the instant told."""
    balances = all_as_of(state.holdings.balances, state.now)
    assert found.changes
    for change in found.changes:
        assert not _allowed(request, balances, state.now, counts=counts)
        balances = changed(balances, change)
    assert _allowed(request, balances, state.now, counts=counts)
    if found.allowed_at is not None:
        before, at = found.allowed_at - 1, found.allowed_at
        assert not _allowed(request, all_as_of(state.holdings.balances, before), before, counts=counts)
        assert _allowed(request, all_as_of(state.holdings.balances, at), at, counts=counts)


def _allowed(request: UseRequest, balances: Any, now: int, *, counts: bool) -> bool:
    return use(request, balances, now).allowed if counts else check(request, balances).allowed
