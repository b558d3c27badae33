"""What the table is to hold of a customer, made of what another service says of it.

Every subscription gives the grants that its plan gives here, by the domain's own function; then each is set to what the
service says of it: used, adjusted, when it resets next, its rollovers. A grant that no plan here gives stands by itself.
So what is imported is nothing that the service itself could not have come to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from tollgate.dialects.autumn.controls import ControlsParams
from tollgate.domain.balances import Balance, BalanceKey, recomputed
from tollgate.domain.controls import NO_CONTROLS, Controls
from tollgate.domain.customers import MAX_GRANTS, Customer, Ending, Entity, Holdings, Subscription, linked, new_balance
from tollgate.domain.errors import TollgateError
from tollgate.domain.features import Catalog
from tollgate.domain.grants import Grant, Rollover, Takes
from tollgate.domain.ids import RULE, is_id
from tollgate.domain.limits import Window
from tollgate.domain.periods import Interval, Reset, boundary, periods_passed
from tollgate.domain.plan_changes import Rivalry, cost_of
from tollgate.domain.plan_grants import granted_by
from tollgate.domain.plans import PREPAID, USAGE_BASED, ItemPrice, Plan, PlanItem, check_controls
from tollgate.domain.quantities import ZERO, quantity
from tollgate.domain.use_records import checked_properties_size
from tollgate.exact_json import dumps
from tollgate_cli.importing.records import (
    CustomerRecord,
    EntityRecord,
    GrantRecord,
    LimitRecord,
    Note,
    SubscriptionRecord,
)

_NAME = 1000  # characters
_SHORT_MONTHS = (Interval.MONTH, Interval.QUARTER, Interval.SEMI_ANNUAL, Interval.YEAR)
Plans = Mapping[tuple[str, int], Plan]
"""Plans by id and version. Version 0 is the newest."""


class Unfit(RuntimeError):
    """A customer cannot be held here at all, and why."""


class Built(NamedTuple):
    """What is to be written of a customer, and what of it is not as it was."""

    holdings: Holdings
    notes: list[Note]
    plans: list[Plan]
    """The versions of plans that it has."""


class _Holding(NamedTuple):
    """A subscription as it is to be, and the record that it was made of."""

    subscription: Subscription
    record: SubscriptionRecord
    plan: Plan


def built(record: CustomerRecord, plans: Plans, catalog: Catalog) -> Built:
    """The customer as it stood when the record was read. Raises Unfit."""
    if not is_id(record.id):
        raise Unfit(f"its id {RULE}")
    notes: list[Note] = []
    now = record.read_at
    customer = _customer(record, catalog, notes)
    entities = {e.id: e for each in record.entities if (e := _entity(each, catalog, now, notes))}
    held = [h for each in record.subscriptions if (h := _subscription(each, record, plans, entities, notes))]
    grants = _Grants(record, held, catalog, entities, notes)
    by_key = grants.all()
    subscriptions = {h.subscription.id: h.subscription for h in _with_successors(grants.held, now)}
    balances: dict[BalanceKey, Balance] = {}
    for key, found in by_key.items():
        if len(found) > MAX_GRANTS:
            raise Unfit(f"it has {len(found)} grants of {key.feature_id}: at most {MAX_GRANTS} can be held")
        balances[key] = recomputed(new_balance(key, catalog)._replace(grants=tuple(found)))
    for feature_id in record.rolling:
        if not any(g.rollover or g.rollovers for key, of in by_key.items() if key.feature_id == feature_id for g in of):
            reason = "by which rule units of a balance that was set by hand roll over is not told: they do not, here"
            notes.append(Note(what="rolls over", feature_id=feature_id, reason=reason))
    holdings = linked(Holdings(customer, entities, subscriptions, balances), catalog, now)
    holdings = _with_limits_counted(holdings, record.limits, notes)
    return Built(holdings, notes, [h.plan for h in held])


# ------------------------------------------------------------------ customer and entities


def _customer(record: CustomerRecord, catalog: Catalog, notes: list[Note]) -> Customer:
    metadata = record.metadata
    try:
        checked_properties_size(len(dumps(metadata)))
    except TollgateError as error:
        notes.append(Note(what="metadata", reason=str(error)))
        metadata = {}
    return Customer(
        record.id,
        _short(record.name, "name", notes),
        _short(record.email, "email", notes),
        _short(record.fingerprint, "fingerprint", notes),
        metadata,
        record.read_at if record.created_at is None else record.created_at,
        record.send_email_receipts,
        _controls(record.controls, catalog, "", notes),
        record.unpooled,
    )


def _short(text: str | None, what: str, notes: list[Note]) -> str | None:
    if text is not None and len(text) > _NAME:
        notes.append(Note(what=what, reason=f"has {len(text)} characters: the first {_NAME} are kept"))
        return text[:_NAME]
    return text


def _entity(record: EntityRecord, catalog: Catalog, now: int, notes: list[Note]) -> Entity | None:
    if not is_id(record.id):
        notes.append(Note(what=f"entity {record.id}", reason=f"its id {RULE}"))
        return None
    if record.feature_id not in catalog.features:
        reason = f"its feature {record.feature_id or '(none)'} is not in the catalog"
        notes.append(Note(what="entity", entity_id=record.id, reason=reason))
        return None
    controls = _controls(record.controls, catalog, record.id, notes)
    return Entity(record.id, record.feature_id, record.name, record.created_at or now, controls)


def _controls(
    shown: Mapping[str, list[dict[str, object]]], catalog: Catalog, entity_id: str, notes: list[Note]
) -> Controls:
    """The controls, without those that name what is not here or say what has no counterpart."""
    controls = NO_CONTROLS
    for name, entries in shown.items():
        kept: list[dict[str, object]] = []
        for entry in entries:
            try:
                check_controls(ControlsParams.of({name: [entry]}).applied(NO_CONTROLS), catalog.features)
            except TollgateError as error:
                feature_id = str(entry.get("feature_id") or "")
                notes.append(Note(what=name, feature_id=feature_id, entity_id=entity_id, reason=str(error)))
            else:
                kept.append(entry)
        controls = ControlsParams.of({name: kept}).applied(controls)
    return controls


# ------------------------------------------------------------------ subscriptions


def _subscription(
    record: SubscriptionRecord,
    customer: CustomerRecord,
    plans: Plans,
    entities: Mapping[str, Entity],
    notes: list[Note],
) -> _Holding | None:
    plan = plans.get((record.plan_id, record.version or 0))
    if plan is None:
        version = f" version {record.version}" if record.version else ""
        notes.append(Note(what=f"subscription {record.id}", reason=f"plan {record.plan_id}{version} was not carried"))
        return None
    if record.entity_id and record.entity_id not in entities:
        reason = f"entity {record.entity_id} was not carried"
        notes.append(Note(what=f"subscription {record.id}", reason=reason))
        return None
    id = record.id
    if not is_id(id):
        id = f"sub_{hashlib.sha256(id.encode()).hexdigest()[:24]}"
        notes.append(Note(what=f"subscription {record.id}", reason=f"its id {RULE}: here it is {id}"))
    cycle = Reset(Interval(record.cycle[0]), record.cycle[1]) if record.cycle else plan.cycle
    subscription = Subscription(
        id=id,
        plan_id=plan.id,
        plan_version=plan.version,
        group=plan.group,
        add_on=plan.add_on,
        auto_enable=plan.auto_enable,
        started_at=record.started_at,
        created_at=record.started_at if record.created_at is None else record.created_at,
        entity_id=record.entity_id or None,
        items=plan.items,
        quantities=dict(record.quantities),
        controls=plan.controls,
        price=plan.price,
        cycle=cycle,
        anchor=record.started_at if record.anchor is None else record.anchor,
        canceled_at=record.canceled_at,
        expires_at=record.expires_at,
        trial_ends_at=record.trial_ends_at,
        parent_id=record.parent_id,
        filters=tuple(sorted(record.filters)),
        extra=record.extra,
        stacks=record.stacks,
    )
    if record.canceled_at is None and record.expires_at is not None:
        subscription = replace(subscription, ends_at=record.expires_at)
    if record.anchor is None:
        subscription = replace(subscription, anchor=_cycle_anchor(subscription, record, customer))
    return _Holding(subscription, record, plan)


def _cycle_anchor(subscription: Subscription, record: SubscriptionRecord, customer: CustomerRecord) -> int:
    """What makes the billing cycle that runs the one that the service says; where it says none, its grants' resets."""
    now, cycle = customer.read_at, subscription.cycle
    if cycle is None or subscription.trialing(now):
        return subscription.started_at
    resets = [
        grant.next_reset_at
        for grant in customer.grants
        if grant.plan_id == record.plan_id and grant.period == cycle and grant.next_reset_at is not None
    ]
    candidates: list[int] = [subscription.started_at, *(record.period or ()), *resets]
    for anchor in candidates:
        period = replace(subscription, anchor=anchor).period(now)
        if period is not None and (period == record.period if record.period else period[1] in resets):
            return anchor
    return candidates[0] if record.period is None else record.period[1]


def _with_successors(held: Sequence[_Holding], now: int) -> list[_Holding]:
    """The same; an automatic plan that follows another comes by itself, and what is canceled for any other plan that
    follows goes on where that one is taken back."""
    waiting = [h.subscription for h in held if h.subscription.status(now) == "scheduled"]
    automatic = {s.id for s in waiting if s.auto_enable}
    starts = {s.started_at for s in waiting if s.id not in automatic}
    found = []
    for each in held:
        own = each.subscription
        if own.id in automatic:
            each = each._replace(subscription=replace(own, automatic=True))
        if own.canceled_at is not None and own.expires_at in starts and own.status(now) == "active":
            each = each._replace(subscription=replace(own, before_change=Ending()))
        found.append(each)
    return found


# ------------------------------------------------------------------ grants


class _Candidate(NamedTuple):
    """A grant that a subscription gives here, nothing used, and the item that it is of."""

    key: BalanceKey
    grant: Grant
    item: PlanItem


class _Grants:
    """Finds for each grant that a service tells of the one that its plan gives here."""

    def __init__(
        self,
        record: CustomerRecord,
        held: list[_Holding],
        catalog: Catalog,
        entities: Mapping[str, Entity],
        notes: list[Note],
    ) -> None:
        self.held = held
        self._record, self._catalog, self._entities, self._notes = record, catalog, entities, notes
        self._now = record.read_at

    def all(self) -> dict[BalanceKey, list[Grant]]:
        """The grants by balance. The subscriptions are changed where they hold other items than their plans have."""
        found: dict[BalanceKey, list[Grant]] = {}
        candidates: dict[str, list[_Candidate]] = {}
        for each in self.held:
            own = each.subscription
            status = own.status(self._now)
            if status == "expired":
                continue
            given = self._given(own)
            if status == "scheduled":
                takes = _takes(own, [other.subscription for other in self.held], self._catalog, self._now)
                for candidate in given:
                    found.setdefault(candidate.key, []).append(candidate.grant._replace(takes=takes))
                continue
            candidates[own.id] = given
        for entry in sorted(
            self._record.grants, key=lambda entry: (entry.subscription_id is None, entry.created_at or 0)
        ):
            key = BalanceKey(entry.feature_id, entry.entity_id)
            if entry.feature_id not in self._catalog.features:
                self._tell_of("grant", entry, "its feature is not in the catalog")
            elif entry.entity_id and entry.entity_id not in self._entities:
                self._tell_of("grant", entry, "its entity was not carried")
            elif self._catalog.features[entry.feature_id].type.is_flag is not entry.flag:
                self._tell_of("grant", entry, "its feature is of another type in the catalog")
            else:
                grant = self._grant(key, entry, candidates)
                found.setdefault(key, []).append(grant)
        self._without_missing(candidates)
        return found

    def _given(self, own: Subscription) -> list[_Candidate]:
        given = granted_by(own, self._entities.values(), self._catalog, self._now, False)
        return [
            _Candidate(key, grant, own.items[int(grant.id.removeprefix(f"{own.id}:").split(":")[0])])
            for key, grants in given.items()
            for grant in grants
        ]

    def _grant(self, key: BalanceKey, entry: GrantRecord, candidates: dict[str, list[_Candidate]]) -> Grant:
        best: tuple[tuple[bool, ...], str, _Candidate] | None = None
        for each in self.held:
            own = each.subscription
            if entry.plan_id != own.plan_id or entry.subscription_id not in (None, own.id, each.record.id):
                continue
            for candidate in candidates.get(own.id, ()):
                if candidate.key != key or candidate.grant.entity_share is not entry.share:
                    continue
                fit = self._fit(entry, own, candidate)
                if best is None or fit > best[0]:
                    best = (fit, own.id, candidate)
        if best is None:
            return self._loose(entry)
        candidates[best[1]].remove(best[2])
        return self._set(entry, best[2], best[1])

    def _fit(self, entry: GrantRecord, own: Subscription, candidate: _Candidate) -> tuple[bool, ...]:
        grant = candidate.grant
        reset = grant.reset if grant.reset and grant.reset.nominal_ms else None
        method = grant.price.get("billing_method") if grant.price else None
        return (
            grant.id == entry.id or (grant.entity_share and grant.id == f"{entry.id}:{entry.entity_id}"),
            (entry.unlimited or entry.flag or reset == entry.period) and grant.unlimited is entry.unlimited,
            entry.created_at == own.created_at,
            method == entry.method,
            grant.granted == entry.included,
        )

    def _set(self, entry: GrantRecord, candidate: _Candidate, subscription_id: str) -> Grant:
        """The plan's grant as the service says it stands."""
        grant, item = candidate.grant, candidate.item
        if entry.flag:
            return grant._replace(
                value=grant.value if entry.value is None else entry.value,
                expires_at=grant.expires_at if entry.expires_at is None else entry.expires_at,
            )
        reset, feature = (
            grant.reset if grant.reset and grant.reset.nominal_ms else None,
            self._catalog.feature(entry.feature_id),
        )
        if not entry.unlimited and entry.period != reset:
            reset = entry.period if feature.consumable else None
            self._tell_of("reset", entry, "differs from its plan's: the subscription keeps its own")
        anchor, next_reset_at = grant.anchor, grant.next_reset_at
        if entry.next_reset_at is not None and reset is not None:
            anchor, next_reset_at = self._anchor(entry, reset, subscription_id, grant.anchor), entry.next_reset_at
        elif reset is None:
            next_reset_at = None
        if item.price and item.price.billing_method == PREPAID and entry.prepaid:
            self._bought(subscription_id, entry.feature_id, quantity(item.included + entry.prepaid, "quantity"))
        return grant._replace(
            prepaid=entry.prepaid,
            adjustment=ZERO if entry.unlimited else entry.included - grant.granted,
            used=entry.used,
            unlimited=entry.unlimited,
            reset=reset if grant.reset is None or grant.reset.nominal_ms or reset else grant.reset,
            anchor=anchor,
            next_reset_at=next_reset_at,
            expires_at=grant.expires_at if entry.expires_at is None else entry.expires_at,
            created_at=grant.created_at if entry.created_at is None else entry.created_at,
            rollovers=_rollovers(entry),
        )

    def _loose(self, entry: GrantRecord) -> Grant:
        """A grant that no plan gives here. One of a subscription's own becomes an item of that."""
        owner = next(
            (
                h.subscription
                for h in self.held
                if h.subscription.plan_id == entry.plan_id
                and entry.subscription_id in (None, h.subscription.id, h.record.id)
                and h.subscription.status(self._now) == "active"
                and (h.subscription.entity_id or "") in ("", entry.entity_id)
            ),
            None,
        )
        id = entry.id if is_id(entry.id) else f"bal_{_digest(self._record.id, entry.model_dump_json())}"
        created_at = self._now if entry.created_at is None else entry.created_at
        feature = self._catalog.feature(entry.feature_id)
        period = entry.period if feature.consumable else None
        if owner is not None and not entry.share:
            id = f"{owner.id}:{self._with_item(owner.id, entry, period)}"
        elif entry.plan_id is not None:
            self._tell_of("grant", entry, f"of plan {entry.plan_id}, which does not run: it stands by itself")
        anchor = 0
        if period is not None and entry.next_reset_at is not None:
            anchor = self._anchor(entry, period, owner.id if owner else None, created_at)
        return Grant(
            id=id,
            plan_id=entry.plan_id if owner else None,
            subscription_id=owner.id if owner else None,
            granted=max(ZERO, entry.included),
            prepaid=entry.prepaid,
            adjustment=min(ZERO, entry.included),
            used=entry.used,
            unlimited=entry.unlimited,
            overage=entry.method == USAGE_BASED,
            max_purchase=entry.max_purchase,
            reset=period,
            anchor=anchor or created_at,
            next_reset_at=entry.next_reset_at if period else None,
            expires_at=entry.expires_at if entry.expires_at is not None or owner is None else owner.expires_at,
            created_at=created_at,
            add_on=bool(owner and owner.add_on),
            entity_share=entry.share,
            rollovers=_rollovers(entry),
            price=dict(entry.price) or None,
            value=entry.value,
            filters=owner.filters if owner else (),
        )

    def _anchor(self, entry: GrantRecord, reset: Reset, subscription_id: str | None, first: int) -> int:
        """The instant from which the resets are counted: one that is known and leads to the next reset, else that reset."""
        at = entry.next_reset_at
        assert at is not None
        known = [first]
        for each in self.held:
            own = each.subscription
            if own.id == subscription_id:
                known += [own.anchor, own.cycle_anchor, own.started_at, *(each.record.period or ())]
        known += [moment for moment in (entry.created_at, self._record.created_at) if moment is not None]
        for anchor in known:
            if _leads_to(anchor, reset, at):
                return anchor
        if reset.interval in _SHORT_MONTHS and _may_be_cut(at):
            self._tell_of(
                "anchor", entry, "resets are counted from the next one: the month of it is too short to tell the day"
            )
        return at

    def _with_item(self, subscription_id: str, entry: GrantRecord, period: Reset | None) -> int:
        """Gives the subscription an item of its own, and returns its number."""
        price = None
        if entry.method is not None:
            shown = dict(entry.price)
            price = ItemPrice(
                entry.method,
                entry.max_purchase,
                shown.get("amount"),
                tuple(shown.get("tiers") or ()),
                shown.get("tier_behavior"),
                shown.get("billing_units") or quantity(1, ""),
                period.interval if period else Interval.ONE_OFF,
                period.count if period else 1,
            )
        included = ZERO if entry.unlimited else max(ZERO, entry.included)
        item = PlanItem(
            entry.feature_id, included, entry.unlimited, period, price, static_value=entry.value, scoped=True
        )
        return self._change(subscription_id, lambda own: replace(own, items=(*own.items, item)))

    def _without_missing(self, candidates: Mapping[str, list[_Candidate]]) -> None:
        """Takes from the subscriptions what the service does not tell of: items that were customized away."""
        for each in list(self.held):
            id = each.subscription.id
            missing = {int(c.grant.id.removeprefix(f"{id}:").split(":")[0]) for c in candidates.get(id, ())}
            shared = {n for n in missing if each.subscription.items[n].entity_feature_id is not None}
            for number in sorted(missing - shared):
                item = each.subscription.items[number]
                reason = f"plan {each.plan.id} grants it, and the service tells of no such grant: it is not granted"
                self._notes.append(Note(what="grant", feature_id=item.feature_id, reason=reason))
            if missing - shared:
                self._change(id, partial(_without_items, frozenset(missing - shared)))

    def _bought(self, subscription_id: str, feature_id: str, units: Decimal) -> None:
        def change(own: Subscription) -> Subscription:
            return (
                own if feature_id in own.quantities else replace(own, quantities={**own.quantities, feature_id: units})
            )

        self._change(subscription_id, change)

    def _change(self, subscription_id: str, change: Callable[[Subscription], Subscription]) -> int:
        """Changes a subscription, and returns the number of its last item."""
        for number, each in enumerate(self.held):
            if each.subscription.id == subscription_id:
                changed = change(each.subscription)
                self.held[number] = each._replace(subscription=changed)
                return len(changed.items) - 1
        raise AssertionError(subscription_id)

    def _tell_of(self, what: str, entry: GrantRecord, reason: str) -> None:
        self._notes.append(Note(what=what, feature_id=entry.feature_id, entity_id=entry.entity_id, reason=reason))


def _takes(own: Subscription, held: Sequence[Subscription], catalog: Catalog, now: int) -> Takes:
    """What the grants of a plan that is to start take over then, as attaching decides it where nothing else is asked."""
    mine, cost = Rivalry.of(own, catalog.features), cost_of(own.price, own.items, catalog.features)
    rivals = [each for each in held if each.id != own.id and mine.excludes(Rivalry.of(each, catalog.features))]
    current = next((each for each in rivals if each.status(now) == "active"), None)
    goes_on = (
        current is not None
        and not current.trialing(now)
        and (cost.free or not cost_of(current.price, current.items, catalog.features).free)
    )
    period = current.period(own.started_at) if current else None
    return Takes(
        replaces=tuple(each.id for each in rivals if each.expires_at == own.started_at),
        resumes=not cost.one_off,
        keeps_period=goes_on,
        resumes_period=goes_on,
        lapses_at=period[1] if period else None,
    )


def _without_items(gone: frozenset[int], own: Subscription) -> Subscription:
    items = (replace(item, enabled=False, scoped=True) if n in gone else item for n, item in enumerate(own.items))
    return replace(own, items=tuple(items))


def _rollovers(entry: GrantRecord) -> tuple[Rollover, ...]:
    return tuple(Rollover(r.granted, r.granted - r.left, r.expires_at) for r in entry.rollovers)


def _leads_to(anchor: int, reset: Reset, at: int) -> bool:
    """Whether resets that are counted from the anchor come to this instant."""
    if anchor >= at:
        return anchor == at
    return boundary(anchor, reset, periods_passed(anchor, reset, at)) == at


def _may_be_cut(at: int) -> bool:
    """Whether the instant is the last day of a month that is shorter than others: the anchor may be a later day."""
    one, other = (datetime.fromtimestamp(moment // 1000, UTC) for moment in (at, at + 86_400_000))
    return other.month != one.month and one.day < 31


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


# ------------------------------------------------------------------ usage limits


def _with_limits_counted(holdings: Holdings, limits: Sequence[LimitRecord], notes: list[Note]) -> Holdings:
    """The holdings with so much used of each usage limit as the service says."""
    balances = dict(holdings.balances)
    for limit in limits:
        key = BalanceKey(limit.feature_id, limit.entity_id)
        windows = balances[key].limits.windows if key in balances else ()
        counted = tuple(window._replace(used=limit.used) if _is_of(window, limit) else window for window in windows)
        if counted == windows and limit.used:
            if not any(_is_of(window, limit) for window in windows):
                reason = "the limit is not in force here: what was used of it is not carried"
                notes.append(
                    Note(what="usage_limits", feature_id=limit.feature_id, entity_id=limit.entity_id, reason=reason)
                )
            continue
        balance = balances[key]
        balances[key] = recomputed(balance._replace(limits=balance.limits._replace(windows=counted)))
    return replace(holdings, balances=balances)


def _is_of(window: Window, limit: LimitRecord) -> bool:
    return (window.interval.value, window.filter) == (limit.interval, limit.filter)
