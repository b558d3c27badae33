"""Tollgate's own events on the bus: what a write of the table says, as entries of PutEvents (source `tollgate`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tollgate.dialects import events_models as models
from tollgate.domain.alerts import State, crossed, feature_alerts, reached, rows_at, stood
from tollgate.domain.balances import Balance, Place, settle, totals
from tollgate.domain.decisions import Deduction, World
from tollgate.domain.quantities import ZERO
from tollgate.domain.recorded import Change, RowChange, Used, base_of, row_changes, uses_of
from tollgate.domain.rows import Row
from tollgate.exact_json import dumps
from tollgate.store.locks import RecordedLock
from tollgate.store.stream import SubscriptionWrite, record_id

SOURCE = "tollgate"

Extra = Callable[[str, str], Mapping[str, Any]]
"""What the catalog says of a feature beside its rules: of an environment and a feature id."""

Others = Callable[[Change], World]
"""The other balances that a customer and its entities hold of the feature, as they stood at a write."""


def entries_for(change: Change, bus: str, extra: Extra, others: Others) -> Iterator[dict[str, Any]]:
    """All that a write of a balance tells, in order: what was granted or reset, what was used, what that reached."""
    for number, changed in enumerate(row_changes(change) if change.before or change.after else ()):
        yield _entry(bus, f"balance.{changed.what}", _row_changed(change, changed, number))
    used = uses_of(change)
    for use in used:
        yield _entry(bus, "usage.recorded", _use_recorded(change, use, len(used) > 1))
    yield from _alerts(change, used, bus, extra, others)


def subscription_entry(write: SubscriptionWrite, bus: str) -> dict[str, Any]:
    now = write.after or write.before or {}
    before = write.before
    if write.after is None:
        what = "ended"
    elif before is None:
        what = "scheduled" if now["started_at"] > write.at + 1000 else "started"
    elif _ends(write.after) and (write.after["expires_at"] or 0) <= write.at + 1000 and not _ended(before, write.at):
        what = "ended"
    elif (before["canceled_at"] is None) != (now["canceled_at"] is None):
        what = "uncanceled" if now["canceled_at"] is None else "canceled"
    else:
        what = "updated"
    detail = models.SubscriptionChanged(
        id=write.id,
        environment=write.environment,
        customer_id=write.customer_id,
        entity_id=now["entity_id"],
        timestamp=write.at,
        subscription=_subscription(now),
        previous=_subscription(before) if before and write.after else None,
    )
    return _entry(bus, f"subscription.{what}", detail)


def reservation_entry(recorded: RecordedLock, bus: str) -> dict[str, Any]:
    lock, reservation = recorded.lock, recorded.lock.reservation
    detail = models.ReservationChanged(
        id=recorded.id,
        environment=recorded.environment,
        customer_id=reservation.customer_id,
        entity_id=reservation.entity_id or None,
        timestamp=recorded.at,
        feature_id=reservation.feature_id,
        lock_id=reservation.lock_id,
        value=reservation.value,
        held=reservation.held,
        final=recorded.final,
        balances=[
            models.HeldBalance(feature_id=place.feature_id, entity_id=place.entity_id or None, held=moved)
            for place, moved in reservation.places
        ],
        properties=dict(reservation.properties),
        created_at=reservation.created_at,
        expires_at=reservation.expires_at,
        cause=models.Cause(id=reservation.lock_id, key_id=lock.key_id, timestamp=reservation.created_at),
    )
    return _entry(bus, f"reservation.{lock.state}", detail)


def _ends(subscription: Mapping[str, Any]) -> bool:
    return subscription["expires_at"] is not None


def _ended(subscription: Mapping[str, Any], at: int) -> bool:
    return subscription["expires_at"] is not None and subscription["expires_at"] <= at


def _subscription(data: Mapping[str, Any]) -> models.SubscriptionState:
    return models.SubscriptionState(**{name: data[name] for name in models.SubscriptionState.model_fields})


def _entry(bus: str, detail_type: str, detail: models.Detail) -> dict[str, Any]:
    return {
        "Source": SOURCE,
        "DetailType": detail_type,
        "EventBusName": bus,
        "Detail": dumps(detail.model_dump()),
    }


def _use_recorded(change: Change, use: Used, several: bool) -> models.UsageRecorded:
    id = record_id(change, use.use_id, *((use.feature_id,) if several else ()))
    return models.UsageRecorded(
        **_whose(change, id, use.at, use.entity_id),
        feature_id=use.feature_id,
        value=use.value,
        deducted=use.drawn,
        part=use.part,
        properties=dict(use.properties),
        deductions=[_moved(moved) for moved in use.deductions],
        balance=_balance(change.after),
        cause=_cause(use),
    )


def _row_changed(change: Change, changed: RowChange, number: int) -> models.BalanceChanged:
    model: Any = models.MODELS[f"balance.{changed.what}"]
    detail: models.BalanceChanged = model(
        **_whose(change, record_id(change, changed.what, str(number), changed.row.id), changed.at),
        feature_id=change.place.feature_id,
        value=changed.value,
        grant=_grant(changed.row),
        balance=_balance(change.after),
    )
    return detail


def _alerts(change: Change, used: list[Used], bus: str, extra: Extra, others: Others) -> Iterator[dict[str, Any]]:
    after, place = change.after, change.place
    if after is None or after.flag or not (used or change.before):
        return
    own = feature_alerts(extra(change.environment, place.feature_id))
    entity_id = (used[-1].entity_id if used else None) or place.entity_id
    shared = bool(entity_id) or bool(after.before)
    rest: World = others(change) if shared else {}
    customer = Place(place.feature_id)
    before, afterwards = {**rest, place: base_of(change)}, {**rest, place: stood(after)}
    cause = used[-1] if used else None
    if cause:
        for limit in reached(place, entity_id or "", before, afterwards):
            yield _entry(
                bus,
                "balance.limit_reached",
                models.LimitReached(
                    **_whose(change, record_id(change, "limit", limit.type, str(limit.filter)), cause.at, entity_id),
                    feature_id=place.feature_id,
                    limit_type=limit.type.value,
                    filter=dict(limit.filter) or None,
                    balance=_balance(after),
                    cause=_cause(cause),
                ),
            )
        for watched in dict.fromkeys((place, customer)):
            for number, found in enumerate(crossed(watched, before, afterwards)):
                scope = "plan" if found.alert.of_plan else "entity" if watched.entity_id else "customer"
                alert = models.CrossedAlert(
                    scope=scope,
                    name=found.alert.name,
                    threshold=found.alert.threshold,
                    threshold_type=found.alert.type.value,
                    state=None,
                    condition=None,
                )
                key = "alert", watched.entity_id, str(number), found.alert.type, str(found.alert.threshold)
                yield _entry(
                    bus,
                    "balance.alert_triggered",
                    models.AlertTriggered(
                        **_whose(change, record_id(change, *key), cause.at, watched.entity_id or None),
                        feature_id=place.feature_id,
                        alert=alert,
                        value=found.value,
                        balance=_balance(after),
                        cause=_cause(cause),
                    ),
                )
    if own is None:
        return
    stored = {**rest, place: stood(change.before)} if change.before else rest
    (old, _), (new, value) = own.state(rows_at(customer, stored)), own.state(rows_at(customer, afterwards))
    if not rows_at(customer, stored):
        old = State.OK
    if old is not new:
        level = next(((t, above) for state, t, above in own.levels if state is new), None)
        yield _entry(
            bus,
            "balance.alert_triggered",
            models.AlertTriggered(
                **_whose(change, record_id(change, "state", new), cause.at if cause else change.at, None),
                feature_id=place.feature_id,
                alert=models.CrossedAlert(
                    scope="feature",
                    name=None,
                    threshold=level[0] if level else None,
                    threshold_type="remaining",
                    state=new.value,
                    condition=None if level is None else "above" if level[1] else "below",
                ),
                value=value,
                balance=_balance(after),
                cause=_cause(cause) if cause else None,
            ),
        )


def _whose(change: Change, id: str, at: int, entity_id: str | None = "") -> dict[str, Any]:
    return {
        "id": id,
        "environment": change.environment,
        "customer_id": change.customer_id,
        "entity_id": (change.place.entity_id or None) if entity_id == "" else entity_id,
        "timestamp": at,
    }


def _cause(use: Used) -> models.Cause:
    return models.Cause(id=use.use_id, key_id=use.key_id, timestamp=use.at)


def _moved(moved: Deduction) -> models.Moved:
    row = moved.row
    reset = None
    if row.reset is not None:
        reset = models.Reset(
            interval=row.reset.interval.value, interval_count=row.reset.count, resets_at=row.next_reset_at
        )
    return models.Moved(
        balance_id=row.id,
        feature_id=moved.feature_id,
        plan_id=row.plan_id,
        subscription_id=row.subscription_id,
        reset=reset,
        value=moved.value,
    )


def _grant(row: Row) -> models.Grant:
    return models.Grant(
        balance_id=row.id,
        plan_id=row.plan_id,
        subscription_id=row.subscription_id,
        granted=row.total,
        remaining=max(ZERO, row.remaining),
        usage=row.used,
        unlimited=row.unlimited,
        next_reset_at=row.next_reset_at,
        expires_at=row.expires_at,
    )


def _balance(balance: Balance | None) -> Any:
    """None for a flag, and where there is no balance any more."""
    if balance is None or balance.flag:
        return None
    rows = [row for row in settle(balance) if row.starts_at is None]
    return models.BalanceAfter(
        feature_id=balance.feature_id,
        entity_id=balance.place.entity_id or None,
        **totals(rows)._asdict(),
        overage=sum((row.overdrawn for row in rows), ZERO),
        next_reset_at=min((row.next_reset_at for row in rows if row.next_reset_at is not None), default=None),
    )
