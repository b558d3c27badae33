"""Customers of every kind: what plans, entities and billing controls may give them, in the domain's keeping and in the
reference's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from hypothesis import strategies as st

from tests.property.reference import Bounds, Cap, Line, Model, Rolled, utc_window_end
from tests.strategies import T0
from tollgate.domain.balances import BalanceKey, as_of
from tollgate.domain.controls import Controls, OverageControl, SpendControl, UsageControl
from tollgate.domain.customers import Customer, Entity, Holdings, linked
from tollgate.domain.features import Catalog, Feature, FeatureType
from tollgate.domain.grants import Grant, RolloverRule
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PREPAID, USAGE_BASED, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.domain.subscriptions import Terms, attach

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
COUNTED = ("api",) * 6 + ("credits",) * 3 + ("gold", "seats", "users")
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


@st.composite
def items(draw: st.DrawFn, catalog: Catalog) -> PlanItem:
    feature_id = draw(st.sampled_from([id for id in COUNTED if id in catalog.features]))
    kind = draw(st.sampled_from(["plain"] * 3 + ["usage"] * 3 + ["prepaid", "unlimited"]))
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
        found = {key: as_of(balance, self.now) for key, balance in self.holdings.balances.items()}
        grants = {(*key, grant.id): _of_grant(grant) for key, balance in found.items() for grant in balance.grants}
        assert grants == {(line.feature, line.entity, line.id): _of_line(line) for line in self.model.lines}
        for (feature_id, entity_id), bounds in self.model.bounds.items():
            if bounds.caps:
                windows = found[BalanceKey(feature_id, entity_id)].limits.windows
                counts = {(w.interval.value, w.filter): w.used for w in windows}
                assert counts == {(c.interval, (c.filter,) if c.filter else ()): c.used for c in bounds.caps}


def _of_grant(grant: Grant) -> tuple[object, ...]:
    rolled = sorted((r.granted, r.used, r.expires_at or 0) for r in grant.rollovers)
    return grant.used, grant.total, grant.next_reset_at, grant.expires_at, rolled


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
        terms = Terms(entity_id, prepaid, keeps_overage=keeps_overage, stacks=True)
        holdings = attach(holdings, plan, catalog, f"s{number}", T0 + number, terms)
        if entity_id is None:
            template = Entity("-", "users")
            alone = attach(Holdings(customer, {"-": template}), plan, catalog, f"s{number}", T0 + number, terms)
            shares += [replace(line, id=line.id.removesuffix(":-")) for line in lines_of(alone) if line.entity == "-"]
    model = Model(
        {id: [tuple(pool) for pool in catalog.pools(id)] for id in catalog.features},  # type: ignore[misc]
        {id for id, feature in catalog.features.items() if not feature.consumable},
        lines_of(holdings),
        bounds_of(holdings),
        shares,
    )
    return State(catalog, holdings, model)


def _lists(of: st.SearchStrategy[PlanItem], most: int) -> st.SearchStrategy[list[PlanItem]]:
    return st.lists(of, min_size=1, max_size=most)


def lines_of(holdings: Holdings) -> list[Line]:
    return [line_of(key, grant) for key, balance in holdings.balances.items() for grant in balance.grants]


def line_of(key: BalanceKey, grant: Grant) -> Line:
    rule = grant.rollover
    keep = rule.max if rule else None
    if rule and rule.max_percentage is not None:
        keep = ((grant.granted + grant.prepaid) * rule.max_percentage / 100).to_integral_value(ROUND_FLOOR)
    return Line(
        grant.id,
        key.feature_id,
        key.entity_id,
        grant.granted,
        grant.prepaid,
        grant.adjustment,
        grant.used,
        grant.unlimited,
        grant.overage,
        grant.max_purchase,
        grant.reset.interval.value if grant.reset else None,
        grant.reset.count if grant.reset else 1,
        grant.anchor,
        grant.next_reset_at,
        grant.expires_at,
        grant.created_at,
        grant.add_on,
        grant.entity_share,
        grant.price is not None,
        grant.keeps_overage,
        rule is not None,
        keep,
        rule.months if rule else None,
        [Rolled(*rollover) for rollover in grant.rollovers],
    )


def bounds_of(holdings: Holdings) -> dict[tuple[str, str], Bounds]:
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
