"""What a customer is entitled to: the grants of its subscriptions by feature, and what they amount to together.

`combined` adds up the sources of one feature; `entitled` finds the sources. The order of the answer depends on the
holdings alone: the newest subscription first; within it the plan's items, then its add-ons', then what was given to
that subscription alone; features in the order of their first source.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from tollgate.domain.balances import as_of
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.features import Feature
from tollgate.domain.grants import Grant
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.quantities import ZERO

_MONTHS = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.SEMI_ANNUAL: 6, Interval.YEAR: 12}
_IDS = uuid.UUID("6d0f5a0e-55c6-5d3b-9b1f-6f0f3f6a1c42")


class SourceKind(StrEnum):
    """What a source of an entitlement comes from."""

    PLAN = "plan"
    ADD_ON = "add_on"
    SUBSCRIPTION = "subscription"


class EntitlementSource(NamedTuple):
    """One grant of one feature by a plan, an add-on or a subscription.

    - `subscription_id`: empty for a balance set by hand.
    - `entity_id`: the id of the plan or add-on, or of the subscription where it was granted to that alone.
    - `limit`: units; None is no limit. `soft`: use beyond the limit is counted, not denied.
    - `reset`: the period after which usage resets; None: never.
    - `value`: the value of a static feature. `grants`: the grants as of now that count the usage.
    """

    id: str
    feature_id: str
    subscription_id: str
    kind: SourceKind
    entity_id: str = ""
    entity_name: str = ""
    enabled: bool = True
    limit: Decimal | None = None
    soft: bool = False
    reset: Reset | None = None
    value: str | None = None
    grants: tuple[Grant, ...] = ()


class Entitlement(NamedTuple):
    """What the enabled sources of a feature amount to. `limit` None is no limit; `period` None: usage never resets."""

    enabled: bool
    limit: Decimal | None = None
    soft: bool = False
    period: Reset | None = None
    values: tuple[str, ...] = ()


class Entitled(NamedTuple):
    """A feature that a customer is entitled to, and the sources that entitle it."""

    feature: Feature
    entitlement: Entitlement
    sources: tuple[EntitlementSource, ...]


@lru_cache(4096)
def entitlement_id(owner_id: str, feature_id: str, number: int = 0) -> str:
    """The lasting id of the `number`-th grant of a feature by a plan (whatever its version) or a subscription."""
    return f"ent_{uuid.uuid5(_IDS, f'{owner_id}#{feature_id}#{number}').hex}"


def entitled(
    holdings: Holdings,
    names: Mapping[str, str],
    features: Mapping[str, Feature],
    now: int,
    feature_ids: Collection[str] | None = None,
    subscription_ids: Collection[str] | None = None,
) -> list[Entitled]:
    """All features that the customer's active subscriptions, and balances set by hand, grant it at its time `now`
    (epoch ms).

    Grants to entities alone are left out, as are sources that are not enabled, and features without an enabled source.
    `names` are the plans' names by id. `feature_ids` and `subscription_ids` restrict the answer; None takes all.
    """
    found: dict[str, list[EntitlementSource]] = {}
    for source in _sources(holdings, names, now, subscription_ids):
        wanted = feature_ids is None or source.feature_id in feature_ids
        if wanted and source.enabled and source.feature_id in features:
            found.setdefault(source.feature_id, []).append(source)
    return [
        Entitled(features[feature_id], combined(features[feature_id], sources), tuple(sources))
        for feature_id, sources in found.items()
    ]


def running(
    holdings: Holdings, now: int, subscription_ids: Collection[str] | None = None
) -> list[tuple[Subscription, list[Subscription]]]:
    """The customer's own active (or trialing) subscriptions, each with its add-ons, the newest first.

    An add-on belongs to the active subscription that it names as its parent; `subscription_ids` may name either of
    them.
    """
    active = {s.id: s for s in holdings.active(now)}
    newest = sorted(active.values(), key=lambda s: (s.created_at, s.started_at, s.id), reverse=True)
    mains = [s for s in newest if s.parent_id not in active]
    found = []
    for main in mains:
        add_ons = [s for s in newest if s.parent_id == main.id]
        if subscription_ids is None or main.id in subscription_ids:
            found.append((main, add_ons))
        elif picked := [s for s in add_ons if s.id in subscription_ids]:
            found.append((main, picked))
    return found


def combined(feature: Feature, sources: Iterable[EntitlementSource]) -> Entitlement:
    """The sources of one feature taken together; sources that are not enabled are ignored.

    Limits add up, and one without a limit makes the sum unlimited. Soft and enabled hold where any source says so.
    Values keep their order, each once. The period is the most frequent one; of several, the shortest, where never
    counts as longest.
    """
    held = [source for source in sources if source.enabled]
    if feature.type.is_flag:
        values = dict.fromkeys(source.value for source in held if source.value)
        return Entitlement(bool(held), values=tuple(values))
    limits = [source.limit for source in held]
    limit = None if None in limits else sum((known for known in limits if known is not None), ZERO)
    return Entitlement(bool(held), limit, any(source.soft for source in held), _period(held))


@lru_cache(256)
def canonical(reset: Reset | None) -> Reset | None:
    """The period in a form in which periods of equal length are equal: months for intervals that follow the calendar,
    else minutes. None where nothing resets.
    """
    if reset is None or reset.interval is Interval.ONE_OFF:
        return None
    if reset.interval in _MONTHS:
        return Reset(Interval.MONTH, _MONTHS[reset.interval] * reset.count)
    return Reset(Interval.MINUTE, reset.nominal_ms // 60_000)


def _period(sources: Iterable[EntitlementSource]) -> Reset | None:
    counts = Counter(canonical(source.reset) for source in sources)
    if not counts:
        return None

    def rank(period: Reset | None) -> tuple[int, bool, int, str]:
        if period is None:
            return -counts[period], True, 0, ""
        return -counts[period], False, period.nominal_ms, period.interval.value  # 30 days before a month

    return min(counts, key=rank)


# ------------------------------------------------------------------ where grants come from


def _sources(
    holdings: Holdings, names: Mapping[str, str], now: int, subscription_ids: Collection[str] | None
) -> Iterator[EntitlementSource]:
    granted: dict[tuple[str, int], list[Grant]] = {}
    set_by_hand = []
    for key, balance in holdings.balances.items():
        for grant in as_of(balance, now).live_grants:
            if grant.subscription_id is not None:
                index = grant.id[len(grant.subscription_id) + 1 :].partition(":")[0]
                granted.setdefault((grant.subscription_id, int(index)), []).append(grant)
            elif not key.entity_id:
                set_by_hand.append((key.feature_id, grant))
    for main, add_ons in running(holdings, now, subscription_ids):
        for scoped in (False, True):
            for subscription in (
                (main, *add_ons) if subscription_ids is None or main.id in subscription_ids else add_ons
            ):
                yield from _items(subscription, main.id, scoped, names, granted)
    if subscription_ids is None:
        for feature_id, grant in sorted(set_by_hand, key=lambda found: (-found[1].created_at, found[1].id)):
            yield _counted(
                [grant], EntitlementSource(grant.id, feature_id, "", SourceKind.SUBSCRIPTION, reset=grant.reset)
            )


def _items(
    subscription: Subscription,
    subscription_id: str,
    scoped: bool,
    names: Mapping[str, str],
    granted: Mapping[tuple[str, int], list[Grant]],
) -> Iterator[EntitlementSource]:
    """The sources of one subscription: its plan's items, or, `scoped`, those that it alone was given."""
    numbers: Counter[str] = Counter()
    for index, item in enumerate(subscription.items):
        number = numbers[item.feature_id]
        numbers[item.feature_id] += 1
        if item.scoped is not scoped:
            continue
        if scoped:
            kind, entity_id, name = SourceKind.SUBSCRIPTION, subscription_id, ""
        else:
            kind = SourceKind.ADD_ON if subscription.add_on else SourceKind.PLAN
            entity_id, name = subscription.plan_id, names.get(subscription.plan_id, subscription.plan_id)
        owner = subscription.id if scoped else subscription.plan_id
        id = entitlement_id(owner, item.feature_id, number)
        source = EntitlementSource(id, item.feature_id, subscription_id, kind, entity_id, name, reset=item.resets)
        grants = granted.get((subscription.id, index), [])
        if grants:
            yield _counted(grants, source)
        elif not item.enabled:
            yield source._replace(enabled=False)


def _counted(grants: list[Grant], source: EntitlementSource) -> EntitlementSource:
    """The source with the limit that its grants add up to: the included and bought units, and the overage that may be
    bought.
    """
    bought = sum((grant.max_purchase for grant in grants if grant.overage and grant.max_purchase is not None), ZERO)
    total = sum((grant.total for grant in grants), ZERO) + bought
    return source._replace(
        limit=None if any(grant.unlimited for grant in grants) else max(ZERO, total),
        soft=any(grant.overage and grant.max_purchase is None for grant in grants),
        value=grants[0].value,
        grants=tuple(grants),
    )
