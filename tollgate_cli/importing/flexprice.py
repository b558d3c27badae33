"""Flexprice's API as a source (docs.flexprice.io): lists by offset, usage for each subscription."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tollgate.dialects.flexprice.periods import reset_of
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
_PAGE = 500
_TYPES = {"metered": "metered", "boolean": "boolean", "static": "static"}
_STATUSES = ("published", "archived")
_RUNNING = ["active", "trialing", "draft"]
_KEPT = ("description", "lookup_key", "unit_singular", "unit_plural", "reporting_unit")
_ENVIRONMENTS = {"sandbox": Environment.SANDBOX, "live": Environment.LIVE}


class Flexprice:
    """An environment of Flexprice's, or of what speaks its API."""

    vendor: str = "flexprice"
    kinds: tuple[str, ...] = ("customers",)
    counts_checks = False

    def __init__(self, url: str, key: str, rate: float | None, connections: int) -> None:
        self.client = Client(_base(url), {"x-api-key": key}, key, rate, connections)
        self._features: dict[str, str] = {}

    def environment(self) -> Environment | None:
        """As a feature or customer says; Flexprice's own environments have ids that say nothing."""
        for noun in ("features", "customers"):
            page = self._search(noun, {"limit": 1})
            for shown in page["items"]:
                return _ENVIRONMENTS.get(str(shown.get("environment_id")))
        return None

    def catalog(self) -> SourceCatalog:
        """Features with their meters; plans and add-ons with their entitlements, as they are now."""
        found = SourceCatalog()
        meters: dict[str, Shown] = {}
        features = [shown for status in _STATUSES for shown in self._all("features", {"status": status})]
        if any(shown.get("meter_id") and not shown.get("meter") for shown in features):
            meters = {meter["id"]: meter for meter in self._listed("meters")}
        for shown in features:
            body = _feature(shown, meters, found.notes)
            if body:
                found.features.append(body)
                self._features[body["feature_id"]] = body["type"]
        owners = [
            (shown, noun == "addons")
            for noun in ("plans", "addons")
            for status in _STATUSES
            for shown in self._all(noun, {"status": status})
        ]
        items: dict[str, list[Shown]] = {}
        for entitlement in self._all("entitlements", {}):
            owner = entitlement.get("entity_id") or entitlement.get("plan_id")
            items.setdefault(str(owner), []).append(entitlement)
        for shown, is_addon in owners:
            body = _plan(shown, is_addon, items.get(shown["id"], ()), self._features, found.notes)
            found.plans.append(PlanVersion(body, 1, time_of(shown.get("created_at")) or 0))
        return found

    def page(self, kind: str, cursor: str) -> Page:
        """A page of customers, the oldest first, so that one that is made meanwhile comes last."""
        offset = int(cursor or 0)
        answer = self._search(kind, {"limit": _PAGE, "offset": offset, "order": "asc"})
        entries = [(str(shown.get("external_id") or shown["id"]), shown) for shown in answer["items"]]
        total = (answer.get("pagination") or {}).get("total")
        end = offset + len(entries)
        more = bool(entries) and (end < int(total) if total is not None else len(entries) == _PAGE)
        return Page(entries, str(end) if more else None)

    def entries(self, customer_id: str) -> Entries | None:
        """The customer alone."""
        shown = if_there(lambda: self.client.get(f"/v1/customers/external/{part(customer_id)}"))
        return None if shown is None else {"customers": [shown]}

    def record(self, customer_id: str, entries: Entries, read_at: int) -> CustomerRecord:
        """The customer, with its subscriptions, their add-ons, and what was used of each."""
        (shown,) = entries["customers"][:1]
        notes: list[Note] = []
        if not shown.get("external_id"):
            notes.append(Note(what="external_id", reason="it has none: it is known by its own id"))
        elif shown.get("id") not in (None, shown["external_id"]):
            notes_id = "a customer has one id here, the external one: calls by the other find nothing"
            notes.append(Note(what=f"id {shown['id']}", reason=notes_id))
        subscriptions: list[SubscriptionRecord] = []
        grants: list[GrantRecord] = []
        asked = {"external_customer_id": customer_id, "subscription_status": _RUNNING}
        for subscription in self._all("subscriptions", asked):
            made = _subscription(subscription, notes)
            subscriptions.append(made)
            of_addons = [
                _association(each, made)
                for each in self._items(f"/v1/subscriptions/{part(made.id)}/addons/associations")
                if each.get("addon_status") in (None, "active", "pending")
            ]
            subscriptions += of_addons
            if made.started_at <= read_at:
                usage = self._usage(customer_id, made.id)
                grants += _grants(usage, made, of_addons, self._features, notes)
        grants += self._loose(customer_id, grants)
        return CustomerRecord(
            id=customer_id,
            name=shown.get("name") or None,
            email=shown.get("email") or None,
            metadata=shown.get("metadata") or {},
            created_at=time_of(shown.get("created_at")),
            subscriptions=tuple(sorted(subscriptions, key=lambda s: s.id)),
            grants=tuple(grants),
            notes=tuple(notes),
            read_at=read_at,
        )

    def _usage(self, customer_id: str, subscription_id: str | None) -> list[Shown]:
        query = {"customer_lookup_key": customer_id}
        if subscription_id is not None:
            query["subscription_ids"] = subscription_id
        return list(field_of(self.client.get("/v1/customers/usage", query), "features", "customers/usage"))

    def _loose(self, customer_id: str, known: Sequence[GrantRecord]) -> list[GrantRecord]:
        """Grants that are of no subscription: what the whole usage has beyond that of the subscriptions."""
        found = []
        used: dict[str, Decimal] = {}
        for grant in known:
            used[grant.feature_id] = used.get(grant.feature_id, ZERO) + grant.used
        for shown in self._usage(customer_id, None):
            feature_id = str(shown["feature"]["id"])
            loose = [s for s in shown.get("sources") or () if not s.get("subscription_id")]
            if not loose:
                continue
            flag = self._features.get(feature_id) in ("boolean", "static")
            rest = max(ZERO, _amount(shown.get("current_usage")) - used.get(feature_id, ZERO))
            for source in loose:
                limit = None if source.get("usage_limit") is None else _amount(source["usage_limit"])
                takes = rest if limit is None or source is loose[-1] else min(rest, limit)
                rest -= takes
                found.append(
                    GrantRecord(
                        feature_id=feature_id,
                        flag=flag,
                        value=source.get("static_value"),
                        included=limit or ZERO,
                        unlimited=limit is None and not flag,
                        used=ZERO if flag else takes,
                    )
                )
        return found

    def check(self, question: Question) -> dict[str, Any]:
        """The usage summary of one feature: limit, usage, whether it is enabled."""
        query = {"customer_lookup_key": question.customer_id, "feature_ids": question.feature_id}
        try:
            shown = self.client.get("/v1/customers/usage", query)
        except Refusal as refusal:
            if refusal.status in (400, 404):
                return {"refused": refusal.status}
            raise
        found = next((f for f in shown["features"] if f["feature"]["id"] == question.feature_id), None)
        if found is None:
            return {"entitled": False}
        names = ("is_enabled", "total_limit", "is_unlimited", "is_soft_limit", "next_usage_reset_at")
        return {
            "entitled": True,
            "current_usage": _amount(found.get("current_usage")),
            **{name: found.get(name) for name in names},
        }

    def _search(self, noun: str, body: Mapping[str, Any]) -> Any:
        answer = self.client.post(f"/v1/{noun}/search", body)
        field_of(answer, "items", f"{noun}/search")
        return answer

    def _all(self, noun: str, body: Mapping[str, Any]) -> Iterator[Shown]:
        offset = 0
        while True:
            answer = self._search(noun, {**body, "limit": _PAGE, "offset": offset})
            yield from answer["items"]
            offset += len(answer["items"])
            total = (answer.get("pagination") or {}).get("total")
            if not answer["items"] or (offset >= int(total) if total is not None else len(answer["items"]) < _PAGE):
                return

    def _listed(self, noun: str) -> Iterator[Shown]:
        offset = 0
        while items := field_of(self.client.get(f"/v1/{noun}", {"limit": _PAGE, "offset": offset}), "items", noun):
            yield from items
            offset += len(items)

    def _items(self, path: str) -> list[Shown]:
        answer = self.client.get(path)
        return list(answer if isinstance(answer, list) else field_of(answer, "items", path))


def _base(url: str) -> str:
    """The address without `/v1`, with which Flexprice's SDKs name it."""
    return url.rstrip("/").removesuffix("/v1")


def _amount(value: Any) -> Decimal:
    """A number, which Flexprice writes as text."""
    if value is None or value == "":
        return ZERO
    found = number_of(value) if isinstance(value, str) else Decimal(value)
    if found is None:
        raise Misread(f"{value} is no number")
    return found


# ------------------------------------------------------------------ catalog


def _feature(shown: Shown, meters: Mapping[str, Shown], notes: list[Note]) -> Body | None:
    id = str(field_of(shown, "id", "features/search"))
    kind = _TYPES.get(str(shown.get("type")))
    if kind is None:
        notes.append(Note(what="feature", feature_id=id, reason=f"its type {shown.get('type')} has no counterpart"))
        return None
    body: Body = {"feature_id": id, "name": shown.get("name") or id, "type": kind}
    if kind == "metered":
        body["consumable"] = True
    body |= {name: shown[name] for name in _KEPT if shown.get(name)}
    if bool(body.get("unit_singular")) != bool(body.get("unit_plural")):
        body.pop("unit_singular", None)
        body.pop("unit_plural", None)
    if shown.get("metadata"):
        body["metadata"] = shown["metadata"]
    if isinstance(body.get("reporting_unit"), dict):
        unit = body["reporting_unit"]
        body["reporting_unit"] = {
            "unit_singular": unit.get("unit_singular") or "",
            "unit_plural": unit.get("unit_plural") or "",
            "conversion_rate": _amount(unit.get("conversion_rate")),
        }
    if shown.get("group_id"):
        body["group"] = {"id": shown["group_id"]}
    if settings := shown.get("alert_settings"):
        body["alert_settings"] = _alert_settings(settings)
    meter = shown.get("meter") or meters.get(str(shown.get("meter_id")))
    if meter:
        body["meter"] = _meter(id, meter, notes)
        if body["meter"] is None:
            del body["meter"]
    if shown.get("status") == "archived":
        body["archived"] = True
    return body


def _alert_settings(settings: Shown) -> Body:
    body: Body = {"alert_enabled": bool(settings.get("alert_enabled"))}
    for level in ("critical", "warning", "info"):
        if one := settings.get(level):
            body[level] = {"threshold": _amount(one["threshold"]), "condition": one["condition"]}
    return body


def _meter(feature_id: str, meter: Shown, notes: list[Note]) -> Body | None:
    aggregation = meter.get("aggregation") or {}
    for name in ("expression", "bucket_size", "group_by"):
        if aggregation.get(name):
            reason = "such an aggregation has no counterpart: its events count nothing here, uses must be tracked"
            notes.append(Note(what=f"meter.aggregation.{name}", feature_id=feature_id, reason=reason))
            return None
    said: Body = {"type": aggregation.get("type") or "COUNT"}
    if aggregation.get("field") and said["type"] != "COUNT":
        said["field"] = aggregation["field"]
    if aggregation.get("multiplier"):
        said["multiplier"] = _amount(aggregation["multiplier"])
    body: Body = {"event_name": meter["event_name"], "aggregation": said}
    if meter.get("name"):
        body["name"] = meter["name"]
    if meter.get("filters"):
        body["filters"] = [{"key": f["key"], "values": list(f.get("values") or ())} for f in meter["filters"]]
    if meter.get("reset_usage") in ("BILLING_PERIOD", "NEVER"):
        body["reset_usage"] = meter["reset_usage"]
    return body


def _plan(
    shown: Shown, is_addon: bool, entitlements: Sequence[Shown], features: Mapping[str, str], notes: list[Note]
) -> Body:
    id = str(field_of(shown, "id", "plans/search"))
    body: Body = {"plan_id": id, "name": shown.get("name") or id, "add_on": is_addon}
    body |= {name: shown[name] for name in ("description", "lookup_key", "metadata") if shown.get(name)}
    if shown.get("prices"):
        notes.append(Note(what=f"prices of plan {id}", reason="no money moves here: only what may be used is carried"))
    body["items"] = [item for each in entitlements if (item := _item(each, id, features, notes))]
    if shown.get("status") == "archived":
        body["archived"] = True
    return body


def _item(shown: Shown, plan_id: str, features: Mapping[str, str], notes: list[Note]) -> Body | None:
    feature_id = str(field_of(shown, "feature_id", "entitlements/search"))
    if feature_id not in features:
        notes.append(
            Note(what=f"entitlement of plan {plan_id}", feature_id=feature_id, reason="its feature was not carried")
        )
        return None
    item: Body = {"feature_id": feature_id}
    if not shown.get("is_enabled", True) and features[feature_id] != "static":
        item["is_enabled"] = False
    if features[feature_id] == "static":
        item["static_value"] = shown.get("static_value") or ""
        return item
    if features[feature_id] == "boolean":
        return item
    if shown.get("usage_limit") is None:
        item["unlimited"] = True
    else:
        item["included"] = _amount(shown["usage_limit"])
    reset = reset_of(str(shown.get("usage_reset_period") or "NEVER"))
    if (reset is not None and not item.get("unlimited")) or reset is not None:
        item["reset"] = {"interval": reset.interval.value, "interval_count": reset.count}
    if shown.get("is_soft_limit"):
        item["is_soft_limit"] = True
    return item


# ------------------------------------------------------------------ subscriptions


def _subscription(shown: Shown, notes: list[Note]) -> SubscriptionRecord:
    id = str(field_of(shown, "id", "subscriptions/search"))
    period = reset_of(str(shown.get("billing_period") or ""))
    start, end = time_of(shown.get("current_period_start")), time_of(shown.get("current_period_end"))
    if shown.get("pause_status") not in (None, "none", ""):
        notes.append(Note(what=f"subscription {id}", reason="it is paused: there are no pauses here, and it goes on"))
    ends = time_of(shown.get("cancel_at")) or time_of(shown.get("end_date"))
    extra = {name: shown[name] for name in ("currency", "lookup_key", "metadata", "billing_cycle") if shown.get(name)}
    return SubscriptionRecord(
        id=id,
        plan_id=str(shown["plan_id"]),
        started_at=instant_of(shown, "start_date", "subscriptions/search"),
        created_at=time_of(shown.get("created_at")),
        canceled_at=time_of(shown.get("cancelled_at"))
        or (time_of(shown.get("updated_at")) if shown.get("cancel_at_period_end") else None),
        expires_at=ends,
        trial_ends_at=time_of(shown.get("trial_end")),
        period=None if start is None or end is None else (start, end),
        cycle=None
        if period is None
        else (period.interval.value, period.count * int(shown.get("billing_period_count") or 1)),
        anchor=time_of(shown.get("billing_anchor")),
        stacks=True,
        extra=extra,
    )


def _association(shown: Shown, parent: SubscriptionRecord) -> SubscriptionRecord:
    started_at = time_of(shown.get("start_date")) or parent.started_at
    return SubscriptionRecord(
        id=str(shown["id"]),
        plan_id=str(shown["addon_id"]),
        started_at=started_at,
        created_at=time_of(shown.get("created_at")),
        canceled_at=time_of(shown.get("cancelled_at")),
        expires_at=time_of(shown.get("end_date")),
        cycle=parent.cycle,
        anchor=parent.anchor,
        parent_id=parent.id,
        stacks=True,
        extra={"metadata": shown["metadata"]} if shown.get("metadata") else {},
    )


def _grants(
    usage: Sequence[Shown],
    subscription: SubscriptionRecord,
    addons: Sequence[SubscriptionRecord],
    features: Mapping[str, str],
    notes: list[Note],
) -> list[GrantRecord]:
    """The grants of a subscription and its add-ons. The usage of a feature that several grant is told as one number."""
    found: list[GrantRecord] = []
    for shown in usage:
        feature_id = str(shown["feature"]["id"])
        if feature_id not in features:
            continue
        flag = features[feature_id] != "metered"
        sources = [source for source in shown.get("sources") or () if source.get("subscription_id")]
        left = ZERO if flag else _amount(shown.get("current_usage"))
        if len(sources) > 1 and left:
            reason = "how much was used of each grant is not told: it is drawn from them in their order"
            notes.append(Note(what="usage", feature_id=feature_id, reason=reason))
        waiting = list(addons)
        for source in sources:
            owner = subscription
            if str(source.get("entity_type", "")).lower() == "addon":
                owner = next((addon for addon in waiting if addon.plan_id == source.get("entity_id")), subscription)
                waiting = [addon for addon in waiting if addon is not owner]
            limit = None if source.get("usage_limit") is None else _amount(source["usage_limit"])
            last = source is sources[-1]
            used = left if last or limit is None else min(left, limit)
            left -= used
            reset = reset_of(str(source.get("usage_reset_period") or ""))
            if source.get("is_enabled") is False:
                continue
            found.append(
                GrantRecord(
                    feature_id=feature_id,
                    plan_id=owner.plan_id,
                    subscription_id=owner.id,
                    flag=flag,
                    value=source.get("static_value") or None,
                    included=ZERO if flag or limit is None else limit,
                    unlimited=limit is None and not flag,
                    used=used,
                    reset=(reset.interval.value, reset.count) if reset and not flag else None,
                    next_reset_at=time_of(shown.get("next_usage_reset_at")) if reset else None,
                    created_at=owner.created_at,
                )
            )
    return found
