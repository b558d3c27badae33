"""Which of a customer's subscriptions have ended for good: nothing that is decided from now on depends on them, so they are kept
apart, where only who asks for ended subscriptions reads them (autumn.md 5.13)."""

from __future__ import annotations

from tollgate.domain.customers import Holdings, Subscription

TOLD_AFTER_MS = (
    86_400_000  # what the clock ended is told of within minutes; a day leaves room for a queue that stands still
)
MOST = 10  # at one change: what an older release has left comes apart little by little


def over(before: Holdings, after: Holdings, now: int) -> list[Subscription]:
    """The subscriptions that a change of subscriptions may move apart, those that ended first coming first; at most MOST.

    Not one that this change has touched, nor one that the clock has ended within a day (its end may not be told yet), of
    whose grants a balance still has or counts something, to which one that goes on belongs, or with which the customer had its
    trial of the plan. Nothing while a test clock may tell another time, or where not all that the customer holds is known.
    `now` is epoch ms.
    """
    if before.unread or after.customer.frozen_time is not None or before.customer.frozen_time is not None:
        return []
    if before.subscriptions == after.subscriptions:
        return []
    ended = [
        held
        for held in after.subscriptions.values()
        if held.expires_at is not None
        and held.expires_at <= now
        and before.subscriptions.get(held.id) == held
        and (_ended_by_a_write(held) or held.expires_at <= now - TOLD_AFTER_MS)
    ]
    if not ended:
        return []
    needed = _in_balances(after) | _trials(after)
    needed |= {s.parent_id for s in after.subscriptions.values() if s.parent_id and s.status(now) != "expired"}
    found = [held for held in ended if held.id not in needed]
    return sorted(found, key=lambda held: (held.expires_at or 0, held.id))[:MOST]


def _ended_by_a_write(held: Subscription) -> bool:
    return held.canceled_at is not None and held.expires_at is not None and held.canceled_at >= held.expires_at


def _in_balances(holdings: Holdings) -> set[str]:
    """The ids of the subscriptions that grants name, running, to come, or left off."""
    found: set[str] = set()
    for balance in holdings.balances.values():
        for grant in (*balance.grants, *balance.left_off):
            if grant.subscription_id:
                found.add(grant.subscription_id)
            if grant.takes:
                found.update(grant.takes.replaces)
    return found


def _trials(holdings: Holdings) -> set[str]:
    """The ids of the subscriptions that say of which plans there was a trial: the first of each plan
    (`plan_changes.trials_used`)."""
    first: dict[str, str] = {}
    for held in sorted(holdings.subscriptions.values(), key=lambda held: (held.started_at, held.id)):
        if held.trial_ends_at is not None and (held.expires_at is None or held.expires_at >= held.started_at):
            first.setdefault(held.plan_id, held.id)
    return set(first.values())
