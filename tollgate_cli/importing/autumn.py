"""Autumn's API as a source: its lists in the shape of version 2.5 (docs.useautumn.com)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tollgate.dialects.autumn.customers import id_of_email
from tollgate.domain.environments import Environment
from tollgate_cli.catalog.shapes import Body, body_of_feature, body_of_plan
from tollgate_cli.importing.client import Client, Refusal, if_there
from tollgate_cli.importing.records import (
    CustomerRecord,
    EntityRecord,
    GrantRecord,
    LimitRecord,
    Note,
    RolloverRecord,
    SubscriptionRecord,
)
from tollgate_cli.importing.source import Entries, Misread, Page, PlanVersion, Question, Shown, SourceCatalog, field_of

VERSION = "2.5.0"
RATE, RATE_OF_CUSTOMERS = 20.0, 4.0
"""Calls a second: somewhat below the limits that its documents name (25, and 5 for the list of customers)."""
_PAGE = 200
_STATUSES = ["active", "scheduled", "expired"]
_ENVIRONMENTS = {"sandbox": Environment.SANDBOX, "live": Environment.LIVE}
_KEYS = {"test": Environment.SANDBOX, "live": Environment.LIVE}
_TYPES = ("boolean", "metered", "credit_system", "static", "ai_credit_system")
_MARKUP = ("markup", "input_cost", "output_cost")
_CONTROLS = {
    "spend_limits": ("feature_id", "enabled", "limit_type", "overage_limit"),
    "usage_limits": ("feature_id", "limit", "interval", "enabled", "anchor", "filter"),
    "usage_alerts": ("threshold", "threshold_type", "feature_id", "enabled", "name", "basis"),
    "overage_allowed": ("feature_id", "enabled"),
    "auto_topups": ("feature_id", "enabled", "threshold", "quantity", "purchase_limit", "invoice_mode"),
}


class Autumn:
    """An environment of Autumn's, or of what speaks its API."""

    vendor: str = "autumn"
    kinds: tuple[str, ...] = ("entities", "subscriptions", "purchases", "balances", "customers")
    counts_checks = True

    def __init__(self, url: str, key: str, rate: float | None, connections: int) -> None:
        headers = {"authorization": f"Bearer {key}", "x-api-version": VERSION}
        self.client = Client(url, headers, key, rate, connections)
        if rate is not None:
            self.client.slower(min(rate, RATE_OF_CUSTOMERS))
        self._key = key
        self._versions: dict[str, int] = {}

    def environment(self) -> Environment | None:
        """As the key says (`am_sk_test_…`), else as an answer does."""
        parts = self._key.split("_")
        if len(parts) > 3 and parts[0] == "am" and parts[2] in _KEYS:
            return _KEYS[parts[2]]
        try:
            said = self.client.get("/v1/organization/me")
        except Refusal as refusal:
            if refusal.status in (401, 403):
                raise
            return None
        return _ENVIRONMENTS.get(str(said.get("env"))) if isinstance(said, dict) else None

    def catalog(self) -> SourceCatalog:
        """Every feature, and every plan in all its versions, the oldest first."""
        found = SourceCatalog()
        everything = {"include_archived": True}
        for shown in field_of(self.client.post("/v1/features.list", everything), "list", "features.list"):
            body = _feature(shown, found.notes)
            if body:
                found.features.append(body)
        types = {body["feature_id"]: str(body["type"]) for body in found.features}
        for newest in field_of(self.client.post("/v1/plans.list", everything), "list", "plans.list"):
            last = self._versions[newest["id"]] = int(newest.get("version") or 1)
            earlier = (self._earlier(newest["id"], version) for version in range(1, last))
            for shown in (*(plan for plan in earlier if plan), newest):
                found.plans.append(_plan(shown, types, found.notes))
        return found

    def _earlier(self, plan_id: str, version: int) -> Shown | None:
        plan: Shown | None = if_there(
            lambda: self.client.post("/v1/plans.get", {"plan_id": plan_id, "version": version})
        )
        return plan

    def page(self, kind: str, cursor: str) -> Page:
        """A page of `customers.list`, `subscriptions.list` and so on."""
        asked: dict[str, Any] = {"limit": _PAGE, **_wanted(kind)}
        if cursor:
            asked["start_cursor"] = cursor
        answer = self.client.post(f"/v1/{kind}.list", asked, slow=kind == "customers")
        name = "id" if kind == "customers" else "customer_id"
        entries = [(id, entry) for entry in field_of(answer, "list", f"{kind}.list") if (id := _id(entry, name))]
        return Page(entries, answer.get("next_cursor") or None)

    def entries(self, customer_id: str) -> Entries | None:
        """The lists of one customer."""
        customer = if_there(lambda: self.client.post("/v1/customers.get", {"customer_id": customer_id}))
        if customer is None:
            return None
        found: dict[str, Sequence[Shown]] = {"customers": [customer]}
        for kind in self.kinds[:-1]:
            found[kind] = list(self._all(kind, {"customer_id": customer_id, **_wanted(kind)}))
        return found

    def _all(self, kind: str, asked: Mapping[str, Any]) -> Iterator[Shown]:
        cursor: str | None = ""
        while cursor is not None:
            page = self.client.post(
                f"/v1/{kind}.list", {"limit": _PAGE, **asked, **({"start_cursor": cursor} if cursor else {})}
            )
            yield from field_of(page, "list", f"{kind}.list")
            cursor = page.get("next_cursor") or None

    def record(self, customer_id: str, entries: Entries, read_at: int) -> CustomerRecord:
        """The customer; what its entities hold is asked for entity by entity."""
        (shown,) = entries["customers"][:1]
        notes: list[Note] = []
        entities = [entity for entity in entries.get("entities", ()) if entity.get("id")]
        if shown.get("id") is None:
            notes.append(Note(what="id", reason="it has none: it is named after its e-mail address, as Tollgate does"))
        held = [
            entry for kind in ("subscriptions", "purchases") for entry in entries.get(kind) or shown.get(kind) or ()
        ]
        versions = self._expanded_versions(customer_id, held)
        subscriptions = [_subscription(entry, versions, notes) for entry in held]
        grants = self._grants(customer_id, shown, entries.get("balances", ()), entities, notes)
        controls, limits = _controls(shown.get("billing_controls") or {}, "", notes)
        found_entities = []
        for entity in entities:
            own, counted = _controls(entity.get("billing_controls") or {}, entity["id"], notes)
            limits += counted
            found_entities.append(
                EntityRecord(
                    id=entity["id"],
                    feature_id=entity.get("feature_id") or "",
                    name=entity.get("name"),
                    created_at=_time(entity.get("created_at")),
                    controls=own,
                )
            )
        for feature_id, balance in (shown.get("balances") or {}).items():
            if balance.get("reserved"):
                reason = "reservations cannot be carried: what they hold counts as used"
                notes.append(Note(what=f"{balance['reserved']} units held", reason=reason, feature_id=feature_id))
        return CustomerRecord(
            id=customer_id,
            name=shown.get("name"),
            email=shown.get("email"),
            fingerprint=shown.get("fingerprint"),
            metadata=shown.get("metadata") or {},
            created_at=_time(shown.get("created_at")),
            send_email_receipts=bool(shown.get("send_email_receipts")),
            unpooled=bool((shown.get("config") or {}).get("disable_pooled_balance")),
            controls=controls,
            entities=tuple(sorted(found_entities, key=lambda entity: entity.id)),
            subscriptions=tuple(sorted(subscriptions, key=lambda s: s.id)),
            grants=tuple(grants),
            limits=tuple(limits),
            rolling=tuple(sorted(id for id, each in (shown.get("balances") or {}).items() if "rollovers" in each)),
            notes=tuple(notes),
            read_at=read_at,
        )

    def _expanded_versions(self, customer_id: str, held: Sequence[Shown]) -> Mapping[str, int]:
        """The version of each subscription's plan, by the subscription's id, where only an expanded customer says it."""
        if all("plan_version" in entry or self._versions.get(str(entry.get("plan_id")), 1) == 1 for entry in held):
            return {}
        asked = {"customer_id": customer_id, "expand": ["subscriptions.plan"]}
        shown = if_there(lambda: self.client.post("/v1/customers.get", asked))
        if shown is None:  # one without an id cannot be asked for
            return {}
        return {
            entry["id"]: int(entry["plan"]["version"])
            for entry in shown.get("subscriptions") or ()
            if (entry.get("plan") or {}).get("version")
        }

    def _grants(
        self, customer_id: str, shown: Shown, listed: Sequence[Shown], entities: Sequence[Shown], notes: list[Note]
    ) -> list[GrantRecord]:
        flags = dict(shown.get("flags") or {})
        own_flags = [("", id, flag) for id, flag in flags.items()]
        ids = {flag.get("id") for flag in flags.values()}
        for entity in entities:
            for id, flag in (entity.get("flags") or {}).items():
                flags.setdefault(id, flag)
                own_flags += [] if flag.get("id") in ids else [(entity["id"], id, flag)]
        of_entities = [
            (entity["id"], entry)
            for entity in entities
            for entry in self._all("balances", {"customer_id": customer_id, "entity_id": entity["id"]})
        ]
        shares = {entry.get("id") for _, entry in of_entities}
        own = [
            ("", entry)
            for entry in listed
            if entry.get("source") != "entity" and not (entities and entry.get("id") in shares)
        ]
        found = [_grant(entity_id, entry, flags) for entity_id, entry in (*own, *of_entities)]
        known = {(grant.feature_id, grant.id) for grant in found}
        for entity_id, feature_id, flag in own_flags:
            if (feature_id, flag.get("id") or "") not in known:
                found.append(_flag(entity_id, feature_id, flag))
        if not listed and not entities:  # a service without that list: the customer's own lines say it
            found += _lines(shown)
        rolled = {grant.feature_id for grant in found if grant.rollovers}
        for feature_id, balance in (shown.get("balances") or {}).items():
            if balance.get("rollovers") and feature_id not in rolled:
                found = _with_rollovers(found, feature_id, balance["rollovers"], notes)
        return found

    def check(self, question: Question) -> dict[str, Any]:
        """`balances.check` without counting: whether it is allowed, and what is left."""
        body = {
            "customer_id": question.customer_id,
            "feature_id": question.feature_id,
            **({"entity_id": question.entity_id} if question.entity_id else {}),
            **({} if question.required is None else {"required_balance": question.required}),
            **({} if question.properties is None else {"properties": question.properties}),
        }
        try:
            said = self.client.post("/v1/check", body)
        except Refusal as refusal:
            if refusal.status in (400, 404):
                return {"refused": refusal.status}
            raise
        balance = said.get("balance") or {}
        names = ("granted", "remaining", "usage", "unlimited", "overage_allowed", "max_purchase", "next_reset_at")
        shown = {name: balance.get(name) for name in names if name in balance}
        return {"allowed": said.get("allowed"), "flag": said.get("flag") is not None, **shown}


def _wanted(kind: str) -> dict[str, Any]:
    return {"statuses": _STATUSES} if kind in ("subscriptions", "purchases") else {}


def _id(entry: Shown, name: str) -> str | None:
    """The customer that a entry is of: its id, else the one that its e-mail address stands for. None where it has neither,
    and nothing can name it."""
    id = entry.get(name)
    if id is None and name == "id" and entry.get("email"):
        return id_of_email(entry["email"])
    return None if id is None else str(id)


def _time(value: Any) -> int | None:
    return None if value is None else int(value)


# ------------------------------------------------------------------ catalog


def _feature(shown: Shown, notes: list[Note]) -> Body | None:
    id = str(field_of(shown, "id", "features.list"))
    if shown.get("type") not in _TYPES:
        notes.append(Note(what="feature", feature_id=id, reason=f"its type {shown.get('type')} has no counterpart"))
        return None
    schema = []
    for entry in shown.get("credit_schema") or ():
        if "credit_cost" not in entry or entry.get("dimensions") or entry.get("multipliers"):
            reason = "costs by tiers, dimensions and multipliers have no counterpart: the member is left out"
            notes.append(Note(what=f"credit_schema of {entry.get('metered_feature_id')}", feature_id=id, reason=reason))
            continue
        kept = ("metered_feature_id", "credit_cost", "billing_units")
        schema.append({name: entry[name] for name in kept if entry.get(name) is not None})
    if shown.get("combine") not in (None, "sum"):
        notes.append(Note(what="combine", feature_id=id, reason="grants of several plans always add up"))
    whole = {"consumable": False, "archived": False, **shown, "credit_schema": schema}
    whole["name"] = shown.get("name") or id
    whole["event_names"] = shown.get("event_names") or []
    for name in ("model_markups", "provider_markups"):
        whole[name] = {
            of: {field: markup[field] for field in _MARKUP if markup.get(field) is not None}
            for of, markup in (shown.get(name) or {}).items()
        }
    return body_of_feature(whole)


def _plan(shown: Shown, types: Mapping[str, str], notes: list[Note]) -> PlanVersion:
    id = str(field_of(shown, "id", "plans.list"))
    nothing = dict.fromkeys(("description", "group", "price"))
    items = []
    for item in shown.get("items") or ():
        for name in ("pooled", "expiry"):
            if item.get(name):
                reason = "has no counterpart: the item is carried without it"
                notes.append(Note(what=f"{name} of plan {id}", feature_id=item["feature_id"], reason=reason))
        whole_item = {"included": 0, "unlimited": False, "reset": None, "price": None, **item}
        kind = types.get(item["feature_id"])
        if kind is None:
            reason = f"plan {id} grants it, and it was not carried: the plan is carried without it"
            notes.append(Note(what="item", feature_id=item["feature_id"], reason=reason))
            continue
        if kind in ("boolean", "static"):  # there is nothing to count
            whole_item |= {"included": 0, "unlimited": False, "reset": None, "price": None}
        elif whole_item["unlimited"]:
            whole_item |= {"included": 0, "price": None}
        items.append(whole_item)
    absent = [name for name in ("licenses", "variant_details") if shown.get(name)]
    notes += [Note(what=f"{name} of plan {id}", reason="has no counterpart") for name in absent]
    controls, _ = _controls(shown.get("billing_controls") or {}, "", notes)
    whole = {**nothing, "add_on": False, "auto_enable": False, "archived": False, **shown, "items": items}
    whole |= {"name": shown.get("name") or id, "metadata": shown.get("metadata") or {}, "billing_controls": controls}
    return PlanVersion(body_of_plan(whole), int(shown.get("version") or 1), int(shown.get("created_at") or 0))


# ------------------------------------------------------------------ customers


def _subscription(entry: Shown, versions: Mapping[str, int], notes: list[Note]) -> SubscriptionRecord:
    plan_id = str(field_of(entry, "plan_id", "subscriptions.list"))
    id = entry.get("id") or _made_id(entry)
    if entry.get("quantity") not in (None, 1):
        notes.append(
            Note(
                what=f"quantity {entry['quantity']} of plan {plan_id}",
                reason="a plan is held once; its grants are carried whole",
            )
        )
    if entry.get("past_due"):
        notes.append(Note(what=f"past_due of plan {plan_id}", reason="no money moves here: the plan goes on"))
    start, end = _time(entry.get("current_period_start")), _time(entry.get("current_period_end"))
    version = entry.get("plan_version") or versions.get(id) or None
    return SubscriptionRecord(
        id=id,
        plan_id=plan_id,
        version=version if version is None else int(version),
        entity_id=entry.get("entity_id") or "",
        started_at=int(field_of(entry, "started_at", "subscriptions.list")),
        created_at=_time(entry.get("created_at")),
        canceled_at=_time(entry.get("canceled_at")),
        expires_at=_time(entry.get("expires_at")),
        trial_ends_at=_time(entry.get("trial_ends_at")),
        period=None if start is None or end is None else (start, end),
        quantities={each["feature_id"]: each["quantity"] for each in entry.get("feature_quantities") or ()},
        filters=tuple((f["property_name"], f["value"]) for f in entry.get("subscription_filters") or ()),
    )


def _made_id(entry: Shown) -> str:
    said = f"{entry.get('customer_id')}\n{entry.get('entity_id')}\n{entry.get('plan_id')}\n{entry.get('started_at')}"
    return f"sub_{hashlib.sha256(said.encode()).hexdigest()[:24]}"


def _grant(entity_id: str, entry: Shown, flags: Mapping[str, Shown]) -> GrantRecord:
    feature_id = str(field_of(entry, "feature_id", "balances.list"))
    flag = flags.get(feature_id)
    if flag is not None:
        own = {**entry, "static_value": flag.get("static_value")}
        return _flag(entity_id, feature_id, own, entry)
    return _metered(entity_id, feature_id, entry)


def _metered(entity_id: str, feature_id: str, entry: Shown) -> GrantRecord:
    reset, price = entry.get("reset") or {}, entry.get("price") or {}
    interval = reset.get("interval")
    if interval == "multiple":
        raise Misread(f"balances.list: reset.interval of {feature_id} is multiple: each grant must be told by itself")
    kept = ("amount", "tiers", "tier_behavior", "billing_units", "billing_method")
    return GrantRecord(
        feature_id=feature_id,
        entity_id=entity_id,
        id=entry.get("id") or "",
        plan_id=entry.get("plan_id"),
        share=bool(entity_id) and entry.get("source") == "customer",
        included=entry.get("included_grant") or 0,
        prepaid=entry.get("prepaid_grant") or 0,
        used=entry.get("usage") or 0,
        unlimited=bool(entry.get("unlimited")),
        reset=(interval, int(reset.get("interval_count") or 1)) if interval not in (None, "one_off") else None,
        next_reset_at=_time(reset.get("resets_at")),
        expires_at=_time(entry.get("expires_at")),
        created_at=_time(entry.get("created_at")),
        method=price.get("billing_method"),
        max_purchase=price.get("max_purchase"),
        price={name: price[name] for name in kept if price.get(name) is not None},
        rollovers=_rollovers(entry.get("rollovers") or ()),
    )


def _flag(entity_id: str, feature_id: str, flag: Shown, entry: Shown | None = None) -> GrantRecord:
    return GrantRecord(
        feature_id=feature_id,
        entity_id=entity_id,
        id=flag.get("id") or "",
        plan_id=flag.get("plan_id"),
        share=bool(entity_id) and (entry or {}).get("source") == "customer",
        flag=True,
        value=flag.get("static_value"),
        expires_at=_time(flag.get("expires_at")),
        created_at=_time(flag.get("created_at")),
    )


def _rollovers(shown: Sequence[Shown]) -> tuple[RolloverRecord, ...]:
    return tuple(
        RolloverRecord(
            granted=r.get("granted", r["balance"]), left=r["balance"], expires_at=_time(r.get("expires_at")) or None
        )
        for r in shown
    )


def _lines(shown: Shown) -> list[GrantRecord]:
    """The grants of a customer by the lines of its balances, for a service that lists no balances."""
    return [
        _metered("", feature_id, {"feature_id": feature_id, **line})
        for feature_id, balance in (shown.get("balances") or {}).items()
        for line in balance.get("breakdown")
        or ({**balance, "included_grant": balance.get("granted"), "plan_id": None},)
    ]


def _with_rollovers(
    grants: list[GrantRecord], feature_id: str, shown: Sequence[Shown], notes: list[Note]
) -> list[GrantRecord]:
    """The grants, the first of the feature that resets with the rollovers that only the balance as a whole says."""
    own = [number for number, grant in enumerate(grants) if grant.feature_id == feature_id and grant.next_reset_at]
    if not own:
        notes.append(Note(what="rollovers", feature_id=feature_id, reason="no grant of it resets: they have no place"))
        return grants
    if len(own) > 1:
        notes.append(
            Note(
                what="rollovers",
                feature_id=feature_id,
                reason="which of its grants they are of is not said: the first has them",
            )
        )
    first = grants[own[0]].model_copy(update={"rollovers": _rollovers(shown)})
    return [*grants[: own[0]], first, *grants[own[0] + 1 :]]


def _controls(shown: Shown, entity_id: str, notes: list[Note]) -> tuple[dict[str, Any], list[LimitRecord]]:
    """The controls that are the customer's (entity's, plan's) own, and how much of its usage limits was used."""
    own: dict[str, Any] = {}
    limits = []
    for name, entries in shown.items():
        if name not in _CONTROLS:
            if entries:
                notes.append(Note(what=name, entity_id=entity_id, reason="has no counterpart: no money moves here"))
            continue
        for entry in entries or ():
            if name == "usage_limits" and entry.get("usage"):
                properties = (entry.get("filter") or {}).get("properties") or {}
                limits.append(
                    LimitRecord(
                        feature_id=entry["feature_id"],
                        entity_id=entity_id,
                        interval=entry["interval"],
                        filter=tuple(sorted((key, str(value)) for key, value in properties.items())),
                        used=entry["usage"],
                    )
                )
            if entry.get("source") == "plan":
                continue
            kept = {field: entry[field] for field in _CONTROLS[name] if entry.get(field) is not None}
            own.setdefault(name, []).append(kept)
    return own, limits
