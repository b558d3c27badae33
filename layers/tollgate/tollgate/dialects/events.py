"""Tollgate's own events on the bus: each write of the table becomes entries for PutEvents (source `tollgate`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tollgate.dialects import events_models as models
from tollgate.domain.alerts import LimitAlert, RaisedAlert, StateAlert, ThresholdAlert, TopUpAlert
from tollgate.domain.balances import Balance
from tollgate.domain.changes import BalanceWrite, Change, GrantChange, RecordedUse
from tollgate.domain.decisions import Deduction
from tollgate.domain.drawing import totals
from tollgate.domain.grants import Grant
from tollgate.domain.passing_time import boundaries
from tollgate.domain.quantities import ZERO
from tollgate.domain.recorded_writes import PassedTime, RecordedLock, SubscriptionWrite, boundary_id, record_id
from tollgate.exact_json import dumps

if TYPE_CHECKING:
    from tollgate.domain.customers import Subscription
    from tollgate.domain.webhooks import Delivery, Webhook

SOURCE = "tollgate"


def entries_for(change: Change, bus: str, alerts: Iterable[RaisedAlert]) -> Iterator[dict[str, Any]]:
    """The entries of one write of a balance, in order: what became of its grants, each use, each alert that it
    raised."""
    write, uses, balance = change.write, change.uses, balance_state(change.after)
    for number, changed in enumerate(change.grant_changes):
        yield _entry(bus, f"balance.{changed.what}", _grant_changed(write, changed, number, balance))
    for use in uses:
        yield _entry(bus, "usage.recorded", _use_recorded(write, use, len(uses) > 1, balance))
    cause = uses[-1] if uses else None
    for alert in alerts:
        if isinstance(alert, LimitAlert):
            yield _entry(bus, "balance.limit_reached", _limit_reached(write, cause, alert, balance))
        elif isinstance(alert, TopUpAlert):
            what = "blocked" if alert.blocked else "requested"
            yield _entry(bus, f"balance.top_up_{what}", _top_up(write, cause, alert, balance))
        else:
            yield _entry(bus, "balance.alert_triggered", _alert_triggered(write, cause, alert, balance))


def subscription_entry(write: SubscriptionWrite, bus: str) -> dict[str, Any]:
    """The entry of one write of a subscription: what became of it, as it is now and as it was."""
    before, after = write.before, write.after
    now = after or before
    assert now is not None
    at = write.instant
    if after is None:
        what = "ended"
    elif before is None:
        what = "scheduled" if now.started_at > at else "started"
    elif _ended(after, at) and not _ended(before, write.at):
        what = "ended"
    elif (before.canceled_at is None) != (now.canceled_at is None):
        what = "uncanceled" if now.canceled_at is None else "canceled"
    else:
        what = "updated"
    id = write.id
    if what == "ended" and after is not None and after.expires_at is not None:  # as where the clock tells of it
        id = boundary_id(write.environment, write.customer_id, now.id, what, after.expires_at)
    detail = models.SubscriptionChanged(
        version=1,
        id=id,
        environment=write.environment.value,
        customer_id=write.customer_id,
        entity_id=now.entity_id,
        timestamp=write.at,
        subscription=subscription_state(now, at),
        previous=subscription_state(before, at) if before and after else None,
    )
    return _entry(bus, f"subscription.{what}", detail)


def passed_entries(note: PassedTime, bus: str) -> list[dict[str, Any]]:
    """The entries of what the clock did to a subscription, each with its boundary as the time: nothing of what a change
    has taken back meanwhile."""
    subscription, customer = note.subscription, (note.environment, note.customer_id)
    return [
        _entry(
            bus,
            f"subscription.{boundary.what}",
            models.SubscriptionChanged(
                version=1,
                id=boundary_id(*customer, subscription.id, boundary.what, boundary.at),
                environment=note.environment.value,
                customer_id=note.customer_id,
                entity_id=subscription.entity_id,
                timestamp=boundary.at,
                subscription=subscription_state(subscription, boundary.at),
                previous=None,
            ),
        )
        for boundary in boundaries(subscription)
        if boundary.name in note.names
    ]


def reservation_entry(recorded: RecordedLock, bus: str) -> dict[str, Any]:
    """The entry of one write of a reservation: that it was made, or how it ended."""
    lock, reservation = recorded.lock, recorded.lock.reservation
    detail = models.ReservationChanged(
        version=1,
        id=recorded.id,
        environment=recorded.environment.value,
        customer_id=reservation.customer_id,
        entity_id=reservation.entity_id or None,
        timestamp=recorded.at,
        feature_id=reservation.feature_id,
        lock_id=reservation.lock_id,
        value=reservation.value,
        held=reservation.held,
        final=recorded.final,
        balances=[
            models.HeldBalance(feature_id=key.feature_id, entity_id=key.entity_id or None, held=moved)
            for key, moved in reservation.drawn_from
        ],
        properties=dict(reservation.properties),
        created_at=reservation.created_at,
        expires_at=reservation.expires_at,
        cause=models.Cause(id=reservation.lock_id, key_id=lock.key_id, timestamp=reservation.created_at),
    )
    return _entry(bus, f"reservation.{lock.state}", detail)


def given_up_entries(webhook: Webhook, delivery: Delivery, bus: str, *, paused: bool) -> list[dict[str, Any]]:
    """The entries of a delivery that was given up on, and of its webhook, where that was `paused` for it."""
    last = delivery.attempts[-1]
    whose: models.WebhookEvent = {
        "version": 1,
        "id": f"{webhook.id}.{delivery.id}.{len(delivery.attempts)}",
        "environment": webhook.environment.value,
        "timestamp": last.at,
        "webhook_id": webhook.id,
    }
    failed: models.WebhookDeliveryFailed = {
        **whose,
        "delivery_id": delivery.id,
        "type": delivery.type,
        "attempts": len(delivery.attempts),
        "status": last.status,
        "error": last.error,
    }
    entries = [_entry(bus, "webhook.delivery_failed", failed)]
    if paused:
        since = webhook.failing_since or delivery.attempts[0].at
        told: models.WebhookPaused = {
            **whose,
            "id": f"{whose['id']}.paused",
            "url": webhook.url,
            "failing_since": since,
        }
        entries.append(_entry(bus, "webhook.paused", told))
    return entries


def told_entry(type: str, detail: str, bus: str) -> dict[str, Any]:
    """The entry of an event that was written down as it is told: its `detail` is JSON."""
    return {"Source": SOURCE, "DetailType": type, "EventBusName": bus, "Detail": detail}


def _ended(subscription: Subscription, at: int) -> bool:
    return subscription.expires_at is not None and subscription.expires_at <= at


def subscription_state(subscription: Subscription, at: int | None) -> models.SubscriptionState:
    """A subscription as events show it, as of an instant (epoch ms); None: without the period that runs."""
    cycle = subscription.cycle
    ended = at is None or _ended(subscription, at)
    start, end = (None, None) if ended or at is None else subscription.period(at) or (None, None)
    return models.SubscriptionState(
        id=subscription.id,
        plan_id=subscription.plan_id,
        plan_version=subscription.plan_version,
        add_on=subscription.add_on,
        started_at=subscription.started_at,
        trial_ends_at=subscription.trial_ends_at,
        canceled_at=subscription.canceled_at,
        expires_at=subscription.expires_at,
        quantities=dict(subscription.quantities),
        cycle=models.Cycle(interval=cycle.interval.value, interval_count=cycle.count) if cycle else None,
        current_period_start=start,
        current_period_end=end,
        lookup_key=subscription.extra.get("lookup_key"),
        currency=subscription.extra.get("currency"),
    )


def _entry(bus: str, detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return told_entry(detail_type, dumps(detail), bus)


def _use_recorded(write: BalanceWrite, use: RecordedUse, several: bool, balance: Any) -> models.UsageRecorded:
    id = record_id(write, use.use_id, *((use.feature_id,) if several else ()))
    return {
        **_whose(write, id, use.at, use.entity_id),
        "feature_id": use.feature_id,
        "value": use.value,
        "deducted": use.drawn,
        "part": use.part,
        "properties": dict(use.properties),
        "deductions": [_moved(moved) for moved in use.deductions],
        "balance": balance,
        "cause": _cause(use),
    }


def _grant_changed(write: BalanceWrite, changed: GrantChange, number: int, balance: Any) -> models.BalanceChanged:
    id = record_id(write, changed.what, str(number), changed.grant.id)
    return {
        **_whose(write, id, changed.at, write.key.entity_id or None),
        "feature_id": write.key.feature_id,
        "value": changed.value,
        "grant": grant_state(changed.grant),
        "balance": balance,
    }


def _limit_reached(
    write: BalanceWrite, cause: RecordedUse | None, alert: LimitAlert, balance: Any
) -> models.LimitReached:
    assert cause is not None
    limit = alert.reached
    id = record_id(write, "limit", alert.feature_id, limit.type, str(limit.filter))
    return {
        **_whose(write, id, cause.at, alert.entity_id),
        "feature_id": alert.feature_id,
        "limit_type": limit.type.value,
        "filter": dict(limit.filter) or None,
        "balance": balance,
        "cause": _cause(cause),
    }


def _alert_triggered(
    write: BalanceWrite, cause: RecordedUse | None, raised: ThresholdAlert | StateAlert, balance: Any
) -> models.AlertTriggered:
    if isinstance(raised, StateAlert):
        level, value, entity_id = raised.level, raised.value, None
        id = record_id(write, "state", raised.state)
        crossed = models.CrossedAlert(
            scope="feature",
            name=None,
            threshold=level[0] if level else None,
            threshold_type="remaining",
            state=raised.state.value,
            condition=None if level is None else "above" if level[1] else "below",
        )
    else:
        alert, value, entity_id = raised.passed.alert, raised.passed.value, raised.entity_id
        parts = (entity_id or "", alert.type, str(alert.threshold), alert.basis, alert.name or "")
        id = record_id(write, "alert", *parts)
        crossed = models.CrossedAlert(
            scope="plan" if alert.of_plan else "entity" if entity_id else "customer",
            name=alert.name,
            threshold=alert.threshold,
            threshold_type=alert.type.value,
            state=None,
            condition=None,
        )
    return {
        **_whose(write, id, cause.at if cause else write.at, entity_id),
        "feature_id": raised.feature_id,
        "alert": crossed,
        "value": value,
        "balance": balance,
        "cause": _cause(cause) if cause else None,
    }


def _top_up(write: BalanceWrite, cause: RecordedUse | None, alert: TopUpAlert, balance: Any) -> models.TopUpAsked:
    top_up, limit = alert.top_up, alert.top_up.purchase_limit
    return {
        **_whose(write, record_id(write, "top_up", alert.feature_id), cause.at if cause else write.at, None),
        "feature_id": alert.feature_id,
        "quantity": top_up.quantity,
        "threshold": top_up.threshold,
        "remaining": alert.remaining,
        "invoice_mode": top_up.invoice_mode,
        "scope": "plan" if top_up.of_plan else "customer",
        "purchase_limit": limit
        and models.PurchaseLimit(interval=limit.interval.value, interval_count=limit.interval_count, limit=limit.limit),
        "balance": balance,
        "cause": _cause(cause) if cause else None,
    }


def _whose(write: BalanceWrite, id: str, at: int, entity_id: str | None) -> models.Detail:
    return {
        "version": 1,
        "id": id,
        "environment": write.environment.value,
        "customer_id": write.customer_id,
        "entity_id": entity_id,
        "timestamp": at,
    }


def _cause(use: RecordedUse) -> models.Cause:
    return models.Cause(id=use.use_id, key_id=use.key_id, timestamp=use.at)


def _moved(moved: Deduction) -> models.Moved:
    grant = moved.grant
    reset = None
    if grant.reset is not None:
        reset = models.Reset(
            interval=grant.reset.interval.value, interval_count=grant.reset.count, resets_at=grant.next_reset_at
        )
    return models.Moved(
        balance_id=grant.id,
        feature_id=moved.feature_id,
        plan_id=grant.plan_id,
        subscription_id=grant.subscription_id,
        reset=reset,
        value=moved.value,
    )


def grant_state(grant: Grant) -> models.Grant:
    """A grant as events show it."""
    return models.Grant(
        balance_id=grant.id,
        plan_id=grant.plan_id,
        subscription_id=grant.subscription_id,
        granted=grant.total,
        remaining=max(ZERO, grant.remaining),
        usage=grant.used,
        unlimited=grant.unlimited,
        next_reset_at=grant.next_reset_at,
        expires_at=grant.expires_at,
    )


def balance_state(balance: Balance | None) -> models.BalanceAfter | None:
    """The balance as the write left it; None for a flag, and for a balance that was removed."""
    if balance is None or balance.flag:
        return None
    grants = balance.live_grants
    held = totals(grants)
    return models.BalanceAfter(
        feature_id=balance.feature_id,
        entity_id=balance.key.entity_id or None,
        granted=held.granted,
        remaining=held.remaining,
        usage=held.usage,
        overage=sum((grant.overdrawn for grant in grants), ZERO),
        unlimited=held.unlimited,
        next_reset_at=min((grant.next_reset_at for grant in grants if grant.next_reset_at is not None), default=None),
    )
