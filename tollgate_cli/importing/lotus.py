"""Lotus's API as a source: customers in one list, plans with all their versions, and what each subscription leaves of a
metric."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tollgate.dialects.lotus.ids import subscription_of
from tollgate.domain.environments import Environment
from tollgate.domain.quantities import ZERO, number_of
from tollgate_cli.catalog.shapes import Body
from tollgate_cli.importing.client import Client, Refusal, if_there, part
from tollgate_cli.importing.records import CustomerRecord, GrantRecord, Note, SubscriptionRecord
from tollgate_cli.importing.source import (
    Entries,
    Misread,
    Page,
    PlanVersion,
    Question,
    Shown,
    SourceCatalog,
    field_of,
    instant_of,
    time_of,
)

RATE = 20.0
"""Calls a second. Its documents name no limit: a 429 slows it down."""
_AGGREGATIONS = {
    "count": "COUNT",
    "sum": "SUM",
    "max": "MAX",
    "unique": "COUNT_UNIQUE",
    "latest": "LATEST",
    "average": "AVG",
}
_DURATIONS = {"monthly": ("month", 1), "quarterly": ("quarter", 1), "yearly": ("year", 1)}
_NO_END = "9999-"


class Lotus:
    """An organization of Lotus's, or of what speaks its API."""

    vendor: str = "lotus"
    kinds: tuple[str, ...] = ("customers",)
    counts_checks = False

    def __init__(self, url: str, key: str, rate: float | None, connections: int) -> None:
        self.client = Client(url, {"x-api-key": key}, key, rate, connections)
        self._metrics: dict[tuple[str, str], dict[str, tuple[str, int] | None]] = {}

    def environment(self) -> Environment | None:
        """Lotus does not say whether a key is one of its test mode."""
        self.client.get("/api/ping/")
        return None

    def catalog(self) -> SourceCatalog:
        """Metrics and features as far as a plan has them, and all versions of plans."""
        found = SourceCatalog()
        features: dict[str, Body] = {}
        for plan in self.client.get("/api/plans/"):
            plan_id = str(field_of(plan, "plan_id", "plans"))
            versions = sorted(plan.get("versions") or (), key=lambda v: _number(v.get("version")))
            for version in versions:
                number = _number(version.get("version")) or 1
                metrics = self._metrics.setdefault((plan_id, str(version.get("version"))), {})
                items = [
                    _component(component, plan, features, metrics, found.notes)
                    for component in version.get("components") or ()
                ]
                for flag in version.get("features") or ():
                    features.setdefault(flag["feature_id"], _flag(flag))
                    items.append({"feature_id": flag["feature_id"]})
                    metrics[flag["feature_id"]] = None
                body: Body = {"plan_id": plan_id, "name": plan.get("plan_name") or plan_id, "items": items}
                description = version.get("description") or plan.get("plan_description")
                if description:
                    body["description"] = description
                if version.get("flat_rate"):
                    interval, count = _DURATIONS.get(str(plan.get("plan_duration")), ("month", 1))
                    body["price"] = {"amount": version["flat_rate"], "interval": interval, "interval_count": count}
                if plan.get("status") == "archived":
                    body["archived"] = True
                found.plans.append(PlanVersion(body, number, time_of(version.get("created_on")) or 0))
        found.features = list(features.values())
        return found

    def page(self, kind: str, cursor: str) -> Page:  # noqa: ARG002 - as every reader's
        """All customers: Lotus's list has no pages."""
        answer = self.client.get(f"/api/{kind}/")
        shown = answer if isinstance(answer, list) else field_of(answer, "results", kind)
        return Page([(str(field_of(entry, "customer_id", kind)), entry) for entry in shown], None)

    def entries(self, customer_id: str) -> Entries | None:
        """The customer alone."""
        shown = if_there(lambda: self.client.get(f"/api/customers/{part(customer_id)}/"))
        return None if shown is None else {"customers": [shown]}

    def record(self, customer_id: str, entries: Entries, read_at: int) -> CustomerRecord:
        """The customer, its subscriptions, and what each of them leaves of each metric of its plan."""
        (shown,) = entries["customers"][:1]
        notes: list[Note] = []
        query = {"customer_id": customer_id, "status": ["active", "not_started"]}
        listed = self.client.get("/api/subscriptions/", query)
        subscriptions = [_subscription(entry) for entry in listed]
        grants: list[GrantRecord] = []
        running = [
            (entry, made) for entry, made in zip(listed, subscriptions, strict=True) if made.started_at <= read_at
        ]
        metrics: dict[str, None] = {}
        for _, made in running:
            metrics |= dict.fromkeys(
                id for id, reset in self._of(made).items() if not id.startswith("feature_") and reset is not None
            )
        for metric_id in metrics:
            grants += self._grants(customer_id, metric_id, [made for _, made in running], notes)
        for _, made in running:
            grants += [
                GrantRecord(
                    feature_id=id, plan_id=made.plan_id, subscription_id=made.id, flag=True, created_at=made.started_at
                )
                for id in self._of(made)
                if id.startswith("feature_")
            ]
        return CustomerRecord(
            id=customer_id,
            name=shown.get("customer_name"),
            email=shown.get("email") or None,
            subscriptions=tuple(sorted(subscriptions, key=lambda s: s.id)),
            grants=tuple(grants),
            notes=tuple(notes),
            read_at=read_at,
        )

    def _of(self, made: SubscriptionRecord) -> Mapping[str, tuple[str, int] | None]:
        version = made.version
        for (plan_id, number), metrics in self._metrics.items():
            if plan_id == made.plan_id and (version is None or _number(number) == version):
                return metrics
        return {}

    def _grants(
        self, customer_id: str, metric_id: str, running: Sequence[SubscriptionRecord], notes: list[Note]
    ) -> list[GrantRecord]:
        answer = self.client.get("/api/metric_access/", {"customer_id": customer_id, "metric_id": metric_id})
        waiting = [made for made in running if metric_id in self._of(made)]
        found = []
        for entry in field_of(answer, "access_per_subscription", "metric_access"):
            held = entry["subscription"]
            owner = next((made for made in waiting if _is_of(held, made)), None)
            if owner is None:
                notes.append(
                    Note(what="metric_access", feature_id=metric_id, reason="it is of no subscription that is listed")
                )
                continue
            waiting.remove(owner)
            free, total = entry.get("metric_free_limit"), entry.get("metric_total_limit")
            reset = self._of(owner).get(metric_id)
            included = ZERO if free is None else _amount(free)
            metered = free is not None and (total is None or _amount(total) > included)
            end = owner.period[1] if owner.period else None
            found.append(
                GrantRecord(
                    feature_id=metric_id,
                    plan_id=owner.plan_id,
                    subscription_id=owner.id,
                    included=included,
                    unlimited=free is None,
                    used=_amount(entry.get("metric_usage")),
                    reset=reset if reset and reset[0] != "one_off" else None,
                    next_reset_at=end if reset and reset[0] != "one_off" else None,
                    method="usage_based" if metered else None,
                    max_purchase=_amount(total) - included if metered and total is not None else None,
                    created_at=None,
                )
            )
        return found

    def check(self, question: Question) -> dict[str, Any]:
        """`metric_access`, or `feature_access` for a feature: whether there is access, and the numbers."""
        kind = "feature" if question.feature_id.startswith("feature_") else "metric"
        query = {"customer_id": question.customer_id, f"{kind}_id": question.feature_id}
        try:
            shown = self.client.get(f"/api/{kind}_access/", query)
        except Refusal as refusal:
            if refusal.status == 400:
                return {"refused": 400}
            raise
        entries = shown.get("access_per_subscription") or ()
        names = ("metric_usage", "metric_free_limit", "metric_total_limit", "access")
        told = sorted(str([entry.get(name) for name in names]) for entry in entries)
        return {"access": shown.get("access"), "access_per_subscription": told}


def _number(version: Any) -> int:
    return version if isinstance(version, int) else int(version) if str(version).isdecimal() else 0


def _amount(value: Any) -> Decimal:
    found = number_of(value) if isinstance(value, str) else Decimal(value or 0)
    if found is None:
        raise Misread(f"{value} is no number")
    return found


# ------------------------------------------------------------------ catalog


def _flag(shown: Shown) -> Body:
    body: Body = {
        "feature_id": shown["feature_id"],
        "name": shown.get("feature_name") or shown["feature_id"],
        "type": "boolean",
    }
    if shown.get("feature_description"):
        body["description"] = shown["feature_description"]
    return body


def _component(
    shown: Shown,
    plan: Shown,
    features: dict[str, Body],
    metrics: dict[str, tuple[str, int] | None],
    notes: list[Note],
) -> Body:
    metric = field_of(shown, "billable_metric", "plans")
    id = str(field_of(metric, "metric_id", "plans"))
    if id not in features:
        features[id] = _metric(id, metric, notes)
    unit, count = shown.get("reset_interval_unit"), shown.get("reset_interval_count") or 1
    reset = (str(unit), int(count)) if unit else _DURATIONS.get(str(plan.get("plan_duration")))
    if features[id].get("meter", {}).get("reset_usage") == "NEVER":
        reset = None
    metrics[id] = reset or ("one_off", 1)
    item: Body = {"feature_id": id}
    if reset:
        item["reset"] = {"interval": reset[0], "interval_count": reset[1]}
    tiers = sorted(shown.get("tiers") or (), key=lambda tier: _amount(tier.get("range_start")))
    free = [tier for tier in tiers if tier.get("type") == "free"]
    if any(tier.get("range_end") is None for tier in free):
        item["unlimited"] = True
        return item
    item["included"] = max((_amount(tier["range_end"]) for tier in free), default=ZERO)
    paid = [tier for tier in tiers if tier.get("type") != "free"]
    if paid:
        price: Body = {
            "billing_method": "usage_based",
            "interval": reset[0] if reset else "one_off",
            "interval_count": reset[1] if reset else 1,
            "amount": _amount(paid[0].get("cost_per_batch")),
        }
        if paid[0].get("metric_units_per_batch"):
            price["billing_units"] = _amount(paid[0]["metric_units_per_batch"])
        if all(tier.get("range_end") is not None for tier in paid):
            price["max_purchase"] = max(_amount(tier["range_end"]) for tier in paid) - item["included"]
        if len(paid) > 1:
            notes.append(
                Note(
                    what=f"tiers of plan {plan['plan_id']}",
                    feature_id=id,
                    reason="no money moves here: the first tier's price is shown",
                )
            )
        item["price"] = price
    if shown.get("prepaid_charge"):
        reason = "units that are paid for before have no place in a plan: buy them for each subscription"
        notes.append(Note(what=f"prepaid_charge of plan {plan['plan_id']}", feature_id=id, reason=reason))
    return item


def _metric(id: str, metric: Shown, notes: list[Note]) -> Body:
    body: Body = {
        "feature_id": id,
        "name": metric.get("metric_name") or metric.get("event_name") or id,
        "type": "metered",
        "consumable": True,
    }
    kind = _AGGREGATIONS.get(str(metric.get("aggregation_type")))
    unsaid = (
        metric.get("numeric_filters") or metric.get("custom_sql") or metric.get("metric_type") in ("rate", "custom")
    )
    others = [f for f in metric.get("categorical_filters") or () if f.get("operator") != "isin"]
    if not metric.get("event_name"):
        return body
    if kind is None or unsaid or others:
        reason = (
            "numeric filters, isnotin, rates and SQL have no meter here: its events count nothing, uses must be tracked"
        )
        notes.append(Note(what="metric", feature_id=id, reason=reason))
        return body
    gauge = metric.get("metric_type") == "gauge"
    if gauge:
        kind = "LATEST" if metric.get("event_type") == "total" else "SUM"
    field = metric.get("property_name")
    if kind != "COUNT" and not field:
        body["event_names"] = [metric["event_name"]]  # its value is the property `value`, else one
        return body
    aggregation: Body = {"type": kind}
    if kind != "COUNT":
        aggregation["field"] = field
    meter: Body = {"event_name": metric["event_name"], "aggregation": aggregation}
    filters = [
        {"key": f["property_name"], "values": [str(value) for value in f.get("comparison_value") or ()]}
        for f in metric.get("categorical_filters") or ()
    ]
    if filters:
        meter["filters"] = filters
    if gauge:
        meter["reset_usage"] = "NEVER"
    body["meter"] = meter
    return body


# ------------------------------------------------------------------ subscriptions


def _subscription(entry: Shown) -> SubscriptionRecord:
    plan = field_of(entry, "billing_plan", "subscriptions")
    start = instant_of(entry, "start_date", "subscriptions")
    end = None if str(entry.get("end_date") or _NO_END).startswith(_NO_END) else time_of(entry["end_date"])
    renews = bool(entry.get("auto_renew"))
    filters = tuple(sorted((f["property_name"], str(f["value"])) for f in entry.get("subscription_filters") or ()))
    id = str(entry.get("subscription_id") or _made_id(entry))
    own = subscription_of(id)
    return SubscriptionRecord(
        id=own[1] if own else id,
        plan_id=str(plan["plan_id"]),
        version=_number(plan.get("version")) or None,
        started_at=start,
        canceled_at=start if not renews and end is not None else None,
        expires_at=None if renews else end,
        period=None if end is None else (start, end),
        filters=filters,
        stacks=True,
        extra={"is_new": bool(entry.get("is_new", True)), "metadata": entry.get("metadata") or {}},
    )


def _made_id(entry: Shown) -> str:
    said = f"{entry.get('customer')}\n{entry.get('billing_plan')}\n{entry.get('start_date')}\n{entry.get('subscription_filters')}"
    return f"sub_{hashlib.sha256(said.encode()).hexdigest()[:24]}"


def _is_of(held: Shown, made: SubscriptionRecord) -> bool:
    """Whether an access is that of a subscription: of the same plan and filters, from the same day."""
    filters = tuple(sorted((f["property_name"], str(f["value"])) for f in held.get("subscription_filters") or ()))
    return (str(held["plan"]["plan_id"]), filters, time_of(held.get("start_date"))) == (
        made.plan_id,
        made.filters,
        made.started_at,
    )
