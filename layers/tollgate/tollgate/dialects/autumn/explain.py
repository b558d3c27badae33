"""`balances.explain` (autumn.md 2.11, Tollgate's own): why a check is answered as it is, in codes and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tollgate.dialects.autumn.check import CheckParams, params_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.decisions import Overage, Reason, UseRequest
from tollgate.domain.errors import InvalidInput
from tollgate.domain.explanations import Change, Explanation, FeatureFound, GrantFound, Kind, WindowFound, explain
from tollgate.domain.features import Catalog
from tollgate.domain.limits import Window
from tollgate.domain.quantities import ZERO
from tollgate.domain.use_records import NO_PROPERTIES
from tollgate.domain.views import Shown
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers

_ALLOWING = {
    Reason.FLAG: "{feature} is held.",
    Reason.UNLIMITED: "{feature} is unlimited.",
    Reason.GIVES_BACK: "Units of {feature} are given back, which is always allowed.",
    Reason.WITHIN_BALANCE: "The balance of {feature} covers it.",
    Reason.WITHIN_OVERAGE: "The balance of {feature} and the overage that it allows cover it.",
    Reason.TOGETHER: "No balance covers it alone, but a use draws from all of them, and together they do.",
    Reason.OVERAGE_BEHAVIOR: "The balance does not cover it; overage_behavior lets the lock through.",
    Reason.NOTHING_ASKED: "Nothing is asked for, so nothing needs to be granted.",
}
_DENYING = {
    Reason.NOT_GRANTED: "Nothing grants {feature}.",
    Reason.NOT_MATCHED: "{feature} is granted for uses with other properties.",
    Reason.USAGE_LIMIT: "A usage limit of {feature} leaves too little.",
    Reason.BALANCE_EXHAUSTED: "The balance of {feature} does not cover it, and no overage is allowed.",
    Reason.SPEND_LIMIT: "The balance of {feature} does not cover it, and the spend limit leaves too little overage.",
    Reason.MAX_PURCHASE: "The balance of {feature} does not cover it, and no more overage than max_purchase is allowed.",
}
_SAID = _ALLOWING | _DENYING
_AFTER_LIMITS = {
    Reason.WITHIN_BALANCE,
    Reason.WITHIN_OVERAGE,
    Reason.BALANCE_EXHAUSTED,
    Reason.SPEND_LIMIT,
    Reason.MAX_PURCHASE,
}


def explain_check(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`balances.explain`: what a check with the same body is answered now, and why. Nothing is made, and nothing counted.

    Raises InvalidInput, and NotFound for an unknown customer, entity or feature.
    """
    params = params_of(request.body)
    if params.feature_id is None or params.product_id is not None:
        raise InvalidInput("feature_id", "is required: the check of a product is whether its plan runs")
    catalog = catalogs.catalog(request.caller.environment)
    feature = catalog.feature(params.feature_id)
    if params.sends and feature.type.is_flag:
        raise InvalidInput("send_event", f"must be false: {feature.id} is {feature.type.value}")
    holdings = customers.get(request.customer(params.customer_id))
    entity_id = params.entity_id or ""
    if entity_id:
        holdings.entity(entity_id)
    overage = (params.lock.get("overage_behavior") if params.lock else None) or Overage.REJECT
    asked = UseRequest(
        feature,
        catalog.pools(feature.id),
        entity_id,
        params.required,
        Overage(overage),
        params.properties or NO_PROPERTIES,
    )
    found = explain(asked, holdings.balances, holdings.time(request.now), counts=params.sends)
    return Answer(_Words(params, asked, found, catalog).answer())


@dataclass(frozen=True)
class _Words:
    """An explanation on its way into words."""

    params: CheckParams
    asked: UseRequest
    found: Explanation
    catalog: Catalog

    def answer(self) -> dict[str, Any]:
        found = self.found
        return {
            "allowed": found.allowed,
            "reason": found.reason,
            "message": self.said(found.reason, found.answering),
            "customer_id": self.params.customer_id,
            "feature_id": self.asked.feature.id,
            "entity_id": self.params.entity_id,
            "required_balance": self.asked.amount,
            "answered_by": {"feature_id": found.answering, "required_balance": found.required},
            "at": found.now,
            "steps": list(self.steps()),
            "features": [_feature_json(feature) for feature in found.features],
            "would_allow": None if found.allowed else self.would_allow(),
        }

    def name(self, feature_id: str) -> str:
        feature = self.catalog.features.get(feature_id)
        return feature.name if feature and feature.name else feature_id

    def said(self, reason: Reason, feature_id: str) -> str:
        return _SAID[reason].format(feature=self.name(feature_id))

    # -------------------------------------------------------------- the steps

    def steps(self) -> Iterator[dict[str, Any]]:
        """What was asked, one thing after another, and what became of it: it goes on, or that decides."""
        own, *pools = self.found.features
        yield from self._steps_of(own)
        if own.reason not in _ALLOWING:
            for pool in pools:
                pays = f"One unit of {self.name(own.feature_id)} costs {_n(pool.cost)} of {self.name(pool.feature_id)}."
                yield _step(pool.feature_id, "credits", "goes_on", f"{pays} {_n(pool.required)} are asked for.")
                yield from self._steps_of(pool)
        outcome = "allows" if self.found.allowed else "denies"
        answers = f"{self.name(self.found.answering)} answers: {'allowed' if self.found.allowed else 'denied'}."
        yield _step(self.found.answering, "answer", outcome, answers)

    def _steps_of(self, feature: FeatureFound) -> Iterator[dict[str, Any]]:
        reason, id = feature.reason, feature.feature_id
        decides = "allows" if reason in _ALLOWING else "denies"
        if reason in (Reason.NOT_GRANTED, Reason.NOT_MATCHED):
            yield _step(id, "granted", decides, self.said(reason, id))
            return
        payers = sum(1 for grant in feature.grants if grant.gives is None or grant.gives > 0)
        yield _step(id, "granted", "goes_on", f"{self.name(id)} is granted. {_count(payers, 'grant')} can give.")
        if reason in (Reason.FLAG, Reason.UNLIMITED, Reason.GIVES_BACK):
            yield _step(id, reason.value, decides, self.said(reason, id))
            return
        for window in feature.windows:
            yield _step(id, "usage_limit", "denies" if window.short else "goes_on", _window_text(window))
        if reason not in _AFTER_LIMITS or feature.remaining is None:
            return
        missing = feature.required - feature.remaining
        sums = f"{_n(feature.remaining)} remain, {_n(feature.required)} are asked for"
        if missing <= 0:
            yield _step(id, "balance", "allows", f"{sums}.")
            return
        yield _step(id, "balance", "goes_on", f"{sums}: {_n(missing)} are missing.")
        yield _step(id, "overage", decides, f"{_overage_text(feature)}{self.said(reason, id)}")

    # -------------------------------------------------------------- the remedies

    def would_allow(self) -> dict[str, Any]:
        """What would make it allowed: changes that do it together, a smaller amount, or time."""
        most = self.found.most
        return {
            "changes": [self._change_json(change) for change in self.found.changes],
            "required_balance": most if most and most < self.asked.amount else None,
            "at": self.found.allowed_at,
        }

    def _change_json(self, change: Change) -> dict[str, Any]:
        id, entity_id = change.key
        whose = f"the entity {entity_id}" if entity_id else "the customer"
        shown: dict[str, Any] = {"type": change.kind, "feature_id": id, "entity_id": entity_id or None}
        if change.kind is Kind.USAGE_LIMIT:
            limits = [{**_limit_json(w), "limit": w.used + change.amount} for w in change.windows]
            to = ", ".join(f"{_n(w.used + change.amount)} a {w.interval.value}" for w in change.windows)
            return {**shown, "limits": limits, "message": f"Raise the usage limit of {self.name(id)} to {to}."}
        if change.flag:
            return {**shown, "amount": None, "message": f"Grant {self.name(id)} to {whose}."}
        units = f"{_n(change.amount)} more of {self.name(id)}" if change.amount else f"any {self.name(id)}"
        return {**shown, "amount": change.amount, "message": f"Grant {units} to {whose}."}


def _feature_json(feature: FeatureFound) -> dict[str, Any]:
    spend = None
    if feature.spend:
        limit, room = feature.spend
        spend = {"limit": limit.limit, "percentage": limit.percentage, "left": room}
    return {
        "feature_id": feature.feature_id,
        "credit_cost": feature.cost,
        "required_balance": feature.required,
        "allowed": feature.reason in _ALLOWING,
        "reason": feature.reason,
        "remaining": feature.remaining,
        "overage_left": feature.overage,
        "overage_allowed": feature.overage_allowed,
        "grants": [_grant_json(grant) for grant in feature.grants],
        "usage_limits": [_window_json(window) for window in feature.windows],
        "spend_limit": spend,
    }


def _grant_json(found: GrantFound) -> dict[str, Any]:
    grant = found.grant
    return {
        "id": Shown(grant, found.key).id,
        "entity_id": found.key.entity_id or None,
        "plan_id": grant.plan_id,
        "state": found.state,
        "granted": grant.total,
        "usage": grant.used,
        "remaining": max(ZERO, grant.remaining),
        "rolled_over": grant.rolled,
        "gives": found.gives,
        "overage_left": found.overage,
        "takes": found.takes,
        "properties": dict(grant.filters),
        "starts_at": grant.starts_at,
        "next_reset_at": grant.next_reset_at,
        "expires_at": grant.expires_at,
    }


def _limit_json(window: Window) -> dict[str, Any]:
    return {
        "limit": window.limit,
        "interval": window.interval.value,
        "usage": window.used,
        "left": window.room,
        "ends_at": window.ends_at,
        "properties": dict(window.filter),
    }


def _window_json(found: WindowFound) -> dict[str, Any]:
    whose = {"entity_id": found.key.entity_id or None, "matches": found.matches, "too_little": found.short}
    return {**_limit_json(found.window), **whose}


def _window_text(found: WindowFound) -> str:
    window = found.window
    limit = f"The usage limit of {_n(window.limit)} a {window.interval.value}"
    if not found.matches:
        return f"{limit} does not count uses with these properties."
    return f"{limit} leaves {_n(window.room)} until {_time(window.ends_at)}."


def _overage_text(feature: FeatureFound) -> str:
    if feature.overage is None:
        return "Overage has no limit. "
    if feature.overage_allowed is False:
        return "Overage is switched off. "
    if feature.reason is Reason.BALANCE_EXHAUSTED:
        return ""
    if feature.spend and feature.spend[1] is not None and feature.overage == feature.spend[1]:
        return f"The spend limit of {_n(feature.spend[0].limit)} leaves {_n(feature.overage)} of overage. "
    return f"{_n(feature.overage)} of overage are left. "


def _step(feature_id: str, rule: str, outcome: str, message: str) -> dict[str, Any]:
    return {"feature_id": feature_id, "rule": rule, "outcome": outcome, "message": message}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number or 'No'} {noun}s"


def _n(number: Decimal) -> str:
    return f"{number.normalize():,f}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
