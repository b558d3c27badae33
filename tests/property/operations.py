"""What may be done with a customer: each operation does it to both keepings, and compares what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import strategies as st

from tests.property.states import COUNTED, ENTITIES, REGIONS, State, line_of, resets, units
from tests.strategies import DAY
from tollgate.domain import manual_balances
from tollgate.domain.balances import Balance, BalanceKey, all_as_of, as_of
from tollgate.domain.customers import Entity
from tollgate.domain.decisions import Decision, Overage, UseRequest, allows_negative, drawn_by, fast_path, use
from tollgate.domain.entities import add_entity
from tollgate.domain.errors import LimitReached
from tollgate.domain.periods import Reset
from tollgate.domain.quantities import ZERO, converted


@dataclass(frozen=True)
class Track:
    feature_id: str
    entity_id: str
    amount: Decimal
    overage: Overage
    properties: Mapping[str, str]

    def apply(self, state: State) -> None:
        if self.feature_id not in state.catalog.features or (
            self.entity_id and self.entity_id not in state.holdings.entities
        ):
            return
        before = balances_of(state, self.feature_id)
        slow = used_by(state, self, before)
        accepted, moved = state.model.track(
            self.feature_id, self.entity_id, self.amount, self.overage.value, self.properties
        )
        assert (slow.allowed, slow.drawn) == (accepted, moved)
        if not self.overage.passes:
            assert_within_bounds(self, state, all_as_of(before, state.now), slow)
        after = {key: slow.balances[key] for key in slow.changed(all_as_of(before, state.now))}
        if fast := fast_by(state, self, before):
            key, balance = fast
            assert after.keys() <= {key}
            assert_as(slow, before, key, balance, state.now)
            after = {key: balance}  # as it is stored: the next operation finds it as the fast write left it
        state.holdings = replace(state.holdings, balances={**state.holdings.balances, **after})


@dataclass(frozen=True)
class Wait:
    ms: int

    def apply(self, state: State) -> None:
        """Time passes, and somebody looks: what was due is written down (of periods that nobody saw, one rolls over)."""
        state.now += self.ms
        state.model.advance(state.now)
        held = {
            key: as_of(balance, state.now) if balance.fresh_until <= state.now else balance
            for key, balance in state.holdings.balances.items()
        }
        state.holdings = replace(state.holdings, balances=held)


@dataclass(frozen=True)
class Set:
    feature_id: str
    entity_id: str
    remaining: Decimal | None
    add: Decimal | None

    def apply(self, state: State) -> None:
        if self.entity_id and self.entity_id not in state.holdings.entities:
            return
        which, change = (
            manual_balances.BalanceFilter(self.feature_id, self.entity_id),
            manual_balances.BalanceUpdate(self.remaining, None, self.add, if_held=True),
        )
        state.holdings = manual_balances.update(state.holdings, state.catalog, which, change, state.now)
        state.model.set_remaining(self.feature_id, self.entity_id, self.remaining, self.add)


@dataclass(frozen=True)
class Create:
    id: str
    feature_id: str
    entity_id: str
    included: Decimal
    reset: Reset | None
    days: int | None

    def apply(self, state: State) -> None:
        key = BalanceKey(self.feature_id, self.entity_id)
        held = any(line.id == self.id for line in state.model.lines)
        if held or (self.entity_id and self.entity_id not in state.holdings.entities):
            return
        expires_at = None if self.days is None else state.now + self.days * DAY
        new = manual_balances.NewBalance(self.id, *key, self.included, reset=self.reset, expires_at=expires_at)
        state.holdings = manual_balances.create(state.holdings, state.catalog, new, state.now)
        grant = next(grant for grant in state.holdings.balances[key].grants if grant.id == self.id)
        state.model.lines.append(line_of(key, grant))


@dataclass(frozen=True)
class Delete:
    id: str

    def apply(self, state: State) -> None:
        for line in [line for line in state.model.lines if line.id == self.id]:
            which = manual_balances.BalanceFilter(line.feature, line.entity, self.id)
            state.holdings = manual_balances.delete(state.holdings, state.catalog, which, state.now, recalculate=False)
            state.model.lines.remove(line)


@dataclass(frozen=True)
class Join:
    entity_id: str

    def apply(self, state: State) -> None:
        if self.entity_id not in state.holdings.entities:
            entity = Entity(self.entity_id, "users", created_at=state.now)
            try:
                state.holdings = add_entity(state.holdings, state.catalog, entity, state.now)
            except LimitReached:  # only where seats are sold (management.md 5)
                assert any(line.feature == "users" and line.paid for line in state.model.lines)
                return
            state.model.add_entity(self.entity_id, "users", state.now)


entities = st.sampled_from(["", "", "", *ENTITIES])
signed = st.decimals(min_value=-30, max_value=80, places=1)
tracks = st.builds(
    Track, st.sampled_from(COUNTED), entities, signed, st.sampled_from(Overage), st.sampled_from(REGIONS)
)
operations = st.lists(
    tracks
    | tracks
    | st.builds(Wait, st.integers(0, 40 * DAY))
    | st.one_of(
        st.builds(lambda f, e, n, add: Set(f, e, None if add else n, n if add else None),
                  st.sampled_from(["api", "seats"]), entities, signed, st.booleans()),
        st.builds(Create, st.sampled_from(["g1", "g2"]), st.just("api"), entities, units, st.none() | resets,
                  st.none() | st.integers(1, 60)),
        st.builds(Delete, st.sampled_from(["g1", "g2"])),
        st.builds(Join, st.sampled_from(ENTITIES)),
    ),
    min_size=3,
    max_size=10,
)  # fmt: skip


def balances_of(state: State, feature_id: str) -> dict[BalanceKey, Balance]:
    """What the use case reads for a decision on a feature."""
    ids = {feature_id, *(pool.feature_id for pool in state.catalog.pools(feature_id))}
    return {key: balance for key, balance in state.holdings.balances.items() if key.feature_id in ids}


def used_by(state: State, track: Track, balances: Mapping[BalanceKey, Balance]) -> Decision:
    feature = state.catalog.feature(track.feature_id)
    pools = state.catalog.pools(feature.id)
    return use(
        UseRequest(feature, pools, track.entity_id, track.amount, track.overage, track.properties), balances, state.now
    )


def fast_by(state: State, track: Track, balances: Mapping[BalanceKey, Balance]) -> tuple[BalanceKey, Balance] | None:
    """What the fast write of `usecases.track.Tracking` would leave, and where; None where it cannot decide."""
    feature, pools = state.catalog.feature(track.feature_id), state.catalog.pools(track.feature_id)
    key = BalanceKey(feature.id, track.entity_id)
    amount = track.amount
    if key not in balances:
        held = [pool for pool in pools if BalanceKey(pool.feature_id) in balances]
        if track.entity_id or not held:
            return None
        key, amount = BalanceKey(held[0].feature_id), converted(amount, held[0].cost)
        if feature.id in balances[key].paid_first:
            return None
    alone = not pools and not track.entity_id and not allows_negative(feature, (), track.overage)
    after = fast_path(balances[key], amount, track.overage, state.now, alone=alone)
    return None if after is None else (key, after)


def assert_as(slow: Decision, before: Mapping[BalanceKey, Balance], key: BalanceKey, after: Balance, now: int) -> None:
    """invariants.md 3. Where nothing at all is granted, a fast write of nothing is as good as none."""
    if not slow.allowed:
        assert after.spent == before[key].spent
        assert not before[key].live_grants
        return
    assert as_of(after, now) == slow.balances[key]
    moved = {(d.feature_id, d.grant.id): d.value for d in drawn_by(before[key], after)}
    assert moved == {(d.feature_id, d.grant.id): d.value for d in slow.deductions}


def assert_within_bounds(track: Track, state: State, before: Mapping[BalanceKey, Balance], after: Decision) -> None:
    """No use takes a grant that may not be overdrawn below zero, nor a refund one above what it granted; nothing moves
    the other way."""
    for key, balance in after.balances.items():
        soft = not state.catalog.feature(key.feature_id).consumable or state.model.allows_overage(
            key.feature_id, track.entity_id
        )
        for old, new in zip(before[key].grants, balance.grants, strict=True):
            if track.amount < 0:
                assert min(ZERO, old.used) <= new.used <= old.used
                assert new.rollovers == old.rollovers
            else:
                assert new.used >= old.used
                assert new.unlimited or new.overage or soft or new.remaining >= min(ZERO, old.remaining)
