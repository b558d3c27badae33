"""What differs between a customer as one side tells of it and as the other does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tollgate.domain.ids import is_id
from tollgate.exact_json import dumps
from tollgate_cli.importing.records import CustomerRecord, EntityRecord, GrantRecord, Record, SubscriptionRecord

_PROFILE = ("name", "email", "fingerprint", "metadata", "created_at", "send_email_receipts", "unpooled", "controls")
_ENTITY = ("feature_id", "name", "created_at", "controls")
_SUBSCRIPTION = ("plan_id", "version", "entity_id", "started_at", "canceled_at", "expires_at", "trial_ends_at")
_PERIOD = ("period", "quantities", "filters")
_GRANT = (
    "plan_id",
    "included",
    "prepaid",
    "used",
    "unlimited",
    "reset",
    "next_reset_at",
    "expires_at",
    "created_at",
    "method",
    "max_purchase",
    "rollovers",
    "value",
)
_NOT_SAID = ("created_at", "version", "quantities", "period", "fingerprint")
"""Fields that a service may leave out: then they are no difference."""


class Difference(NamedTuple):
    """One field that is not the same on both sides, as JSON; None where it is not there at all."""

    feature_id: str
    entity_id: str
    what: str
    source: str | None
    here: str | None


def differences(source: CustomerRecord, here: CustomerRecord | None) -> Iterator[Difference]:
    """Every field of the customer that differs."""
    if here is None:
        yield Difference("", "", "customer", "there", None)
        return
    if source.name is None and here.name == here.id:  # Flexprice's words for no name
        here = here.model_copy(update={"name": None})
    yield from _fields(source, here, _PROFILE, "", "", "")
    ours = {entity.id: entity for entity in here.entities}
    for entity in source.entities:
        yield from _of_entity(entity, ours.pop(entity.id, None))
    for id in ours:
        yield Difference("", id, "entity", None, "there")
    yield from _of_subscriptions(source.subscriptions, here.subscriptions)
    yield from _of_grants(source.grants, here.grants)
    for feature_id in sorted({*source.rolling} - {*here.rolling}):
        yield Difference(feature_id, "", "rolls over", _text(True), _text(False))
    used = {(limit.feature_id, limit.entity_id, limit.interval, limit.filter): limit.used for limit in here.limits}
    for limit in source.limits:
        now = used.get((limit.feature_id, limit.entity_id, limit.interval, limit.filter))
        if now != limit.used:
            what = f"usage_limits per {limit.interval}.usage"
            yield Difference(limit.feature_id, limit.entity_id, what, _text(limit.used), _text(now))


def _of_entity(source: EntityRecord, here: EntityRecord | None) -> Iterator[Difference]:
    if here is None:
        yield Difference("", source.id, "entity", "there", None)
    else:
        yield from _fields(source, here, _ENTITY, "", source.id, "entity")


def _of_subscriptions(source: Iterable[SubscriptionRecord], here: Iterable[SubscriptionRecord]) -> Iterator[Difference]:
    ours = {subscription.id: subscription for subscription in here}
    for subscription in source:
        name = f"subscription {subscription.id}"
        held = ours.pop(subscription.id, None) if is_id(subscription.id) else _alike(subscription, ours)
        if held is None:
            yield Difference("", subscription.entity_id, name, subscription.plan_id, None)
            continue
        ended = subscription.expires_at is not None and held.period is None and subscription.period is None
        names = _SUBSCRIPTION if ended else (*_SUBSCRIPTION, *_PERIOD)
        yield from _fields(subscription, held, names, "", subscription.entity_id, name)
    for subscription in ours.values():
        yield Difference("", subscription.entity_id, f"subscription {subscription.id}", None, subscription.plan_id)


def _alike(source: SubscriptionRecord, ours: dict[str, SubscriptionRecord]) -> SubscriptionRecord | None:
    """The subscription that stands for one whose id cannot be one here."""
    id = next((id for id, s in ours.items() if (s.plan_id, s.started_at) == (source.plan_id, source.started_at)), None)
    return None if id is None else ours.pop(id)


def _of_grants(source: Iterable[GrantRecord], here: Iterable[GrantRecord]) -> Iterator[Difference]:
    there, ours = _by_balance(source), _by_balance(here)
    for key in sorted({*there, *ours}):
        one, other = there.get(key, []), ours.get(key, [])
        what = "flag" if any(grant.flag for grant in (*one, *other)) else "grant"
        if len(one) != len(other):
            yield Difference(*key, f"{what}s", str(len(one)), str(len(other)))
            continue
        for number, (first, second) in enumerate(zip(one, other, strict=True), 1):
            name = what if len(one) == 1 else f"{what} {number}"
            yield from _fields(first, second, _GRANT, *key, name)


def _by_balance(grants: Iterable[GrantRecord]) -> dict[tuple[str, str], list[GrantRecord]]:
    found: dict[tuple[str, str], list[GrantRecord]] = {}
    for grant in grants:
        found.setdefault((grant.feature_id, grant.entity_id), []).append(grant)
    for same in found.values():
        same.sort(key=_order)
    return found


def _order(grant: GrantRecord) -> tuple[Any, ...]:
    return (
        grant.plan_id or "",
        grant.reset or ("", 0),
        grant.unlimited,
        grant.method or "",
        grant.expires_at or 0,
        grant.next_reset_at or 0,
        grant.included,
        grant.prepaid,
        grant.used,
        grant.created_at or 0,
    )


def _fields(
    source: Record, here: Record, names: Iterable[str], feature_id: str, entity_id: str, prefix: str
) -> Iterator[Difference]:
    for name in names:
        one, other = getattr(source, name), getattr(here, name)
        if one == other or (name in _NOT_SAID and not one):
            continue
        yield Difference(feature_id, entity_id, f"{prefix}.{name}".lstrip("."), _text(one), _text(other))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, tuple):
        value = [each.model_dump() if isinstance(each, Record) else each for each in value]
    return dumps(value)
