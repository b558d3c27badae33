"""Whatever a customer holds and whatever is done with it, the domain answers as autumn.md's rules do, line by line
(tests/property/reference.py), and the hot path as the slow one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.reference import Bounds, Cap, Line, Model, Rolled, utc_window_end
from tests.strategies import DAY, T0
from tollgate.domain import grants
from tollgate.domain.balances import Balance, Place, fold, totals
from tollgate.domain.controls import Controls, OverageControl, SpendControl, UsageControl
from tollgate.domain.customers import Customer, Entity, Holdings, linked
from tollgate.domain.decisions import Decision, Overage, check, drawn_by, folded, hot, is_lenient, use
from tollgate.domain.features import Catalog, Feature, FeatureType
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PREPAID, USAGE_BASED, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO, converted
from tollgate.domain.rows import RolloverRule, Row
from tollgate.domain.subscriptions import Terms, add_entity, attach

FEATURES = (
    Feature("api", "", FeatureType.METERED),
    Feature("seats", "", FeatureType.METERED, consumable=False),
    Feature("users", "", FeatureType.METERED, consumable=False),
)
CATALOGS = [
    Catalog({feature.id: feature for feature in (*FEATURES, *pools)})
    for pools in (
        (),
        (Feature("credits", "", FeatureType.CREDIT_SYSTEM, credit_schema=(("api", Decimal("0.2")),)),),
        (
            Feature("credits", "", FeatureType.CREDIT_SYSTEM, credit_schema=(("api", Decimal("0.5")),), created_at=1),
            Feature("gold", "", FeatureType.CREDIT_SYSTEM, credit_schema=(("api", Decimal(2)),), created_at=2),
        ),
    )
]
COUNTED = ("api", "api", "credits", "gold", "seats", "users")
ENTITIES = ("e1", "e2")
REGIONS: tuple[Mapping[str, str], ...] = ({}, {"region": "eu"}, {"region": "us"})

units = st.decimals(min_value=0, max_value=60, places=1)
resets = st.builds(
    Reset,
    st.sampled_from([Interval.HOUR, Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.MONTH, Interval.QUARTER]),
    st.integers(1, 2),
)
rollovers = st.builds(
    lambda most, months, percent: RolloverRule(
        None if percent else most, Decimal(percent) if percent else None, months
    ),
    st.none() | units,
    st.none() | st.integers(1, 3),
    st.sampled_from([0, 0, 50]),
)


# ------------------------------------------------------------------ what a customer may hold


@st.composite
def items(draw: st.DrawFn, catalog: Catalog) -> PlanItem:
    feature_id = draw(st.sampled_from([id for id in COUNTED if id in catalog.features]))
    kind = draw(st.sampled_from(["plain"] * 3 + ["usage"] * 2 + ["prepaid", "unlimited"]))
    if kind == "unlimited":
        return PlanItem(feature_id, unlimited=True)
    reset = draw(st.none() | resets) if catalog.features[feature_id].consumable else None
    price = None
    if kind != "plain":
        price = ItemPrice(USAGE_BASED if kind == "usage" else PREPAID, draw(st.none() | units))
    rollover = draw(st.none() | rollovers) if reset else None
    shared = feature_id != "users" and draw(st.integers(0, 3)) == 0
    return PlanItem(
        feature_id,
        draw(units),
        reset=reset,
        price=price,
        rollover=rollover,
        entity_feature_id="users" if shared else None,
        soft_limit=kind == "plain" and draw(st.integers(0, 5)) == 0,
    )


@st.composite
def controls(draw: st.DrawFn, feature_ids: Sequence[str]) -> Controls:
    """Usage limits count calendar windows: those of a billing cycle move when a grant is added."""
    ids = st.sampled_from(feature_ids)
    usage = st.builds(
        UsageControl,
        ids,
        units,
        st.sampled_from([Interval.DAY, Interval.MONTH]),
        utc=st.just(True),
        filter=st.sampled_from([(), (), (("region", "eu"),)]),
    )
    return Controls(
        spend=tuple(draw(st.lists(st.builds(SpendControl, ids, limit=units), max_size=1))),
        usage=tuple(draw(st.lists(usage, max_size=2, unique_by=lambda c: (c.feature_id, c.interval, c.filter)))),
        overage=tuple(draw(st.lists(st.builds(OverageControl, ids, st.booleans()), max_size=1))),
    )


@dataclass(repr=False)
class State:
    """The same customer, in the domain's keeping and in the reference's."""

    catalog: Catalog
    holdings: Holdings
    model: Model
    now: int = T0 + 3  # after the plans were attached

    def __repr__(self) -> str:
        """What a failure needs: the pools, the controls, and the fields of each line that are not as by default."""
        plain = vars(Line("", "", "", ZERO))
        lines = [
            {name: str(value) for name, value in vars(line).items() if value != plain[name]}
            for line in (*self.model.lines, *self.model.shares)
        ]
        return f"State({self.model.pools}, {self.model.bounds}, {lines})"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(repr(self))

    def assert_same(self) -> None:
        found = {place: fold(balance, self.now) for place, balance in self.holdings.balances.items()}
        rows = {(*place, row.id): _of_row(row) for place, balance in found.items() for row in balance.rows}
        assert rows == {(line.feature, line.entity, line.id): _of_line(line) for line in self.model.lines}
        for (feature_id, entity_id), bounds in self.model.bounds.items():
            if bounds.caps:
                windows = found[Place(feature_id, entity_id)].limits.windows
                counts = {(w.interval.value, w.filter): w.used for w in windows}
                assert counts == {(c.interval, (c.filter,) if c.filter else ()): c.used for c in bounds.caps}


def _of_row(row: Row) -> tuple[object, ...]:
    rolled = sorted((r.granted, r.used, r.expires_at or 0) for r in row.rollovers)
    return row.used, row.total, row.next_reset_at, row.expires_at, rolled


def _of_line(line: Line) -> tuple[object, ...]:
    return (
        line.used,
        line.total,
        line.next_reset,
        line.expires,
        sorted((r.granted, r.used, r.expires or 0) for r in line.rolled),
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    catalog = draw(st.sampled_from(CATALOGS))
    granted = draw(st.lists(_lists(items(catalog), 3), min_size=1, max_size=3))
    limited = sorted({"api", *(item.feature_id for held in granted for item in held)} - {"users"})
    entity_ids = ENTITIES[: draw(st.integers(0, 2))]
    entities = {id: Entity(id, "users", controls=draw(controls(limited))) for id in entity_ids}
    customer = Customer("c1", created_at=T0, controls=draw(controls(limited)))
    holdings = linked(Holdings(customer, entities), catalog, T0)
    keeps_overage = draw(st.booleans())
    shares: list[Line] = []
    for number, held in enumerate(granted):
        plan = Plan(f"p{number}", "", add_on=draw(st.booleans()), items=tuple(held))
        entity_id = draw(st.sampled_from([None, None, *entity_ids]))
        prepaid = {
            item.feature_id: item.included + draw(units)
            for item in plan.items
            if item.price and item.price.billing_method == PREPAID
        }
        terms = Terms(entity_id, prepaid, keeps_overage=keeps_overage)
        holdings = attach(holdings, plan, catalog, f"s{number}", T0 + number, terms)
        if entity_id is None:
            template = Entity("-", "users")
            alone = attach(Holdings(customer, {"-": template}), plan, catalog, f"s{number}", T0 + number, terms)
            shares += [replace(line, id=line.id.removesuffix(":-")) for line in _lines(alone) if line.entity == "-"]
    model = Model(
        {id: [tuple(pool) for pool in catalog.pools(id)] for id in catalog.features},  # type: ignore[misc]
        {id for id, feature in catalog.features.items() if not feature.consumable},
        _lines(holdings),
        _bounds(holdings),
        shares,
    )
    return State(catalog, holdings, model)


def _lists(of: st.SearchStrategy[PlanItem], most: int) -> st.SearchStrategy[list[PlanItem]]:
    return st.lists(of, min_size=1, max_size=most)


def _lines(holdings: Holdings) -> list[Line]:
    return [_line(place, row) for place, balance in holdings.balances.items() for row in balance.rows]


def _line(place: Place, row: Row) -> Line:
    rule = row.rollover
    keep = rule.max if rule else None
    if rule and rule.max_percentage is not None:
        keep = ((row.granted + row.prepaid) * rule.max_percentage / 100).to_integral_value(ROUND_FLOOR)
    return Line(
        row.id,
        place.feature_id,
        place.entity_id,
        row.granted,
        row.prepaid,
        row.adjustment,
        row.used,
        row.unlimited,
        row.overage,
        row.max_purchase,
        row.reset.interval.value if row.reset else None,
        row.reset.count if row.reset else 1,
        row.anchor,
        row.next_reset_at,
        row.expires_at,
        row.created_at,
        row.add_on,
        row.slot,
        row.price is not None,
        row.keeps_overage,
        rule is not None,
        keep,
        rule.months if rule else None,
        [Rolled(*rollover) for rollover in row.rollovers],
    )


def _bounds(holdings: Holdings) -> dict[tuple[str, str], Bounds]:
    found: dict[tuple[str, str], Bounds] = {}
    levels = {"": holdings.customer.controls} | {e.id: e.controls for e in holdings.entities.values()}
    for entity_id, stated in levels.items():
        for spend in stated.spend:
            found.setdefault((spend.feature_id or "", entity_id), Bounds()).spend = spend.limit
        for overage in stated.overage:
            found.setdefault((overage.feature_id, entity_id), Bounds()).overage_allowed = overage.enabled
        for usage in stated.usage:
            cap = Cap(usage.limit, usage.interval.value, utc_window_end(usage.interval.value, T0))
            cap.filter = usage.filter[0] if usage.filter else None
            found.setdefault((usage.feature_id, entity_id), Bounds()).caps.append(cap)
    return found


# ------------------------------------------------------------------ what may be done with it


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
        before = _world(state, self.feature_id)
        slow = _used(state, self, before)
        accepted, moved = state.model.track(
            self.feature_id, self.entity_id, self.amount, self.overage.value, self.properties
        )
        assert (slow.allowed, slow.drawn) == (accepted, moved)
        if self.overage is not Overage.OVERFLOW:
            _assert_within_bounds(self, state, folded(before, state.now), slow)
        after = {place: slow.world[place] for place in slow.changed(folded(before, state.now))}
        if fast := _fast(state, self, before):
            place, balance = fast
            assert after.keys() <= {place}
            _assert_as(slow, before, place, balance, state.now)
            after = {place: balance}  # not folded: the next operation finds it as the hot write left it
        state.holdings = replace(state.holdings, balances={**state.holdings.balances, **after})


@dataclass(frozen=True)
class Wait:
    ms: int

    def apply(self, state: State) -> None:
        """Time passes, and somebody looks: what was due is written down (of periods that nobody saw, one rolls over)."""
        state.now += self.ms
        state.model.advance(state.now)
        held = {
            place: fold(balance, state.now) if balance.fresh_until <= state.now else balance
            for place, balance in state.holdings.balances.items()
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
        which, change = grants.Filter(self.feature_id, self.entity_id), grants.Change(self.remaining, None, self.add)
        state.holdings = grants.update(state.holdings, state.catalog, which, change, state.now)
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
        place = Place(self.feature_id, self.entity_id)
        held = any(line.id == self.id for line in state.model.lines)
        if held or (self.entity_id and self.entity_id not in state.holdings.entities):
            return
        expires_at = None if self.days is None else state.now + self.days * DAY
        grant = grants.Grant(self.id, *place, self.included, reset=self.reset, expires_at=expires_at)
        state.holdings = grants.create(state.holdings, state.catalog, grant, state.now)
        row = next(row for row in state.holdings.balances[place].rows if row.id == self.id)
        state.model.lines.append(_line(place, row))


@dataclass(frozen=True)
class Delete:
    id: str

    def apply(self, state: State) -> None:
        for line in [line for line in state.model.lines if line.id == self.id]:
            which = grants.Filter(line.feature, line.entity, self.id)
            state.holdings = grants.delete(state.holdings, state.catalog, which, state.now, recalculate=False)
            state.model.lines.remove(line)


@dataclass(frozen=True)
class Join:
    entity_id: str

    def apply(self, state: State) -> None:
        if self.entity_id not in state.holdings.entities:
            entity = Entity(self.entity_id, "users", created_at=state.now)
            state.holdings = add_entity(state.holdings, state.catalog, entity, state.now)
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
    max_size=10,
)  # fmt: skip


def _world(state: State, feature_id: str) -> dict[Place, Balance]:
    """What the use case reads for a decision on a feature."""
    ids = {feature_id, *(pool.feature_id for pool in state.catalog.pools(feature_id))}
    return {place: balance for place, balance in state.holdings.balances.items() if place.feature_id in ids}


def _used(state: State, track: Track, world: Mapping[Place, Balance]) -> Decision:
    feature = state.catalog.feature(track.feature_id)
    pools = state.catalog.pools(feature.id)
    return use(feature, pools, track.entity_id, track.amount, track.overage, track.properties, world, state.now)


def _fast(state: State, track: Track, world: Mapping[Place, Balance]) -> tuple[Place, Balance] | None:
    """What the hot write of `usecases.usage.Meter` would leave, and where; None where it cannot decide."""
    feature, pools = state.catalog.feature(track.feature_id), state.catalog.pools(track.feature_id)
    place = Place(feature.id, track.entity_id)
    amount = track.amount
    if place not in world:
        held = [pool for pool in pools if Place(pool.feature_id) in world]
        if track.entity_id or not held:
            return None
        place, amount = Place(held[0].feature_id), converted(amount, held[0].cost)
        if feature.id in world[place].before:
            return None
    alone = not pools and not track.entity_id and not is_lenient(feature, (), track.overage)
    after = hot(world[place], amount, track.overage, state.now, alone=alone)
    return None if after is None else (place, after)


def _assert_as(slow: Decision, before: Mapping[Place, Balance], place: Place, after: Balance, now: int) -> None:
    """Invariant 3. Where nothing at all is granted, a hot write of nothing is as good as none."""
    if not slow.allowed:
        assert after.spent == before[place].spent
        assert not before[place].live_rows
        return
    assert fold(after, now) == slow.world[place]
    moved = {(d.feature_id, d.row.id): d.value for d in drawn_by(before[place], after)}
    assert moved == {(d.feature_id, d.row.id): d.value for d in slow.deductions}


def _assert_within_bounds(track: Track, state: State, before: Mapping[Place, Balance], after: Decision) -> None:
    """No use takes a row that may not be overdrawn below zero, nor a refund one above its grant; nothing moves the other
    way."""
    for place, balance in after.world.items():
        soft = not state.catalog.feature(place.feature_id).consumable or state.model.allows_overage(
            place.feature_id, track.entity_id
        )
        for old, new in zip(before[place].rows, balance.rows, strict=True):
            if track.amount < 0:
                assert min(ZERO, old.used) <= new.used <= old.used
                assert new.rollovers == old.rollovers
            else:
                assert new.used >= old.used
                assert new.unlimited or new.overage or soft or new.remaining >= min(ZERO, old.remaining)


# ------------------------------------------------------------------ the rules


@settings(max_examples=800)
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
        world = _world(state, asked.feature_id)
        feature, pools = state.catalog.feature(asked.feature_id), state.catalog.pools(asked.feature_id)
        answer = check(feature, pools, asked.entity_id, asked.amount, asked.properties, folded(world, state.now))
        if answer.allowed:
            assert _used(state, replace(asked, overage=Overage.REJECT), world).allowed
