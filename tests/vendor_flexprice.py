"""A small Flexprice: its answers have the fields that its SDKs read (tests/contract/flexprice_answers.json), lists come by
offset, the page no larger than the service likes, usage as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.flexprice import ANSWERS
from tests.http_service import Asked, Said
from tests.vendor_services import DAY, NOW, Route, next_on

LARGEST_PAGE = 4
FEATURES = {"calls": "metered", "seats": "metered", "sso": "boolean", "tier": "static", "knobs": "config"}
SOLD: Mapping[str, Mapping[str, Any]] = {
    "starter": {
        "calls": {"usage_limit": 100, "usage_reset_period": "MONTHLY"},
        "seats": {"usage_limit": None, "usage_reset_period": "NEVER"},
        "sso": {},
        "tier": {"static_value": "gold/1"},
        "knobs": {},
    },
    "pro": {
        "calls": {"usage_limit": 1000, "usage_reset_period": "MONTHLY", "is_soft_limit": True},
        "seats": {"usage_limit": 5, "usage_reset_period": "NEVER"},
    },
    "rare": {"calls": {"usage_limit": 12, "usage_reset_period": "ANNUAL"}},
    "boost": {"calls": {"usage_limit": 50, "usage_reset_period": "MONTHLY"}},
}
ADDONS = ("boost",)


class Held(NamedTuple):
    """A subscription: of a plan, counted from a day of a month, with what was used of each feature."""

    id: str
    plan: str
    day: int
    used: Mapping[str, Decimal]
    status: str = "active"
    addons: Sequence[str] = ()
    ends: bool = False


class Buyer(NamedTuple):
    """A customer."""

    external_id: str
    name: str | None
    held: Sequence[Held]

    @property
    def id(self) -> str:
        """Flexprice's own."""
        return f"cust_{abs(hash(self.external_id))}"


@cache
def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ANSWERS.read_text())["schemas"]
    return found


def filled(schema: str, **values: Any) -> dict[str, Any]:
    """An answer of that schema; what is not given is null."""
    known = _schemas()[schema]
    assert values.keys() <= known["properties"].keys(), values.keys() - known["properties"].keys()
    return dict.fromkeys(known["required"]) | values


def moment(ms: int) -> str:
    """An instant as Go writes it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def a_year_before(ms: int) -> int:
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return int(at.replace(year=at.year - 1).timestamp()) * 1000


def a_month_before(ms: int) -> int:
    at = datetime.fromtimestamp(ms // 1000, UTC)
    year, month = (at.year - 1, 12) if at.month == 1 else (at.year, at.month - 1)
    return int(at.replace(year=year, month=month).timestamp()) * 1000


class FlexpriceService:
    """The routes of its API that list, over these customers."""

    def __init__(self, buyers: Sequence[Buyer]) -> None:
        self._buyers = buyers

    def routes(self) -> dict[str, Route]:
        return {
            "POST /v1/features/search": self._features,
            "POST /v1/plans/search": lambda asked: self._sold(asked, "Plan", SOLD.keys() - ADDONS),
            "POST /v1/addons/search": lambda asked: self._sold(asked, "Addon", ADDONS),
            "POST /v1/entitlements/search": self._entitlements,
            "POST /v1/customers/search": lambda asked: _page(asked, [self._customer(b) for b in self._buyers]),
            "POST /v1/subscriptions/search": self._subscriptions,
            "GET /v1/customers/usage": self._usage,
            "GET /v1/customers/external/*": self._external,
            "GET /v1/subscriptions/*": self._associations,
        }

    def _features(self, asked: Asked) -> Any:
        wanted = asked.body.get("status", "published")
        return _page(asked, [feature(id) for id in FEATURES] if wanted == "published" else [])

    def _sold(self, asked: Asked, kind: str, ids: Any) -> Any:
        found = [
            filled(f"{kind}Response", id=id, name=id.title(), status="published", created_at=moment(NOW - 500 * DAY))
            for id in sorted(ids)
        ]
        return _page(asked, found if asked.body.get("status", "published") == "published" else [])

    def _entitlements(self, asked: Asked) -> Any:
        found = [
            filled(
                "EntitlementResponse",
                id=f"ent_{owner}_{feature_id}",
                entity_id=owner,
                entity_type="ADDON" if owner in ADDONS else "PLAN",
                feature_id=feature_id,
                feature_type=FEATURES[feature_id],
                is_enabled=True,
                is_soft_limit=bool(said.get("is_soft_limit")),
                status="published",
                **{name: value for name, value in said.items() if name != "is_soft_limit"},
            )
            for owner, items in SOLD.items()
            for feature_id, said in items.items()
        ]
        return _page(asked, found)

    def _customer(self, buyer: Buyer) -> dict[str, Any]:
        return filled(
            "CustomerResponse",
            id=buyer.id,
            external_id=buyer.external_id,
            name=buyer.name,
            email="",
            metadata={},
            status="published",
            environment_id="env_01",
            created_at=moment(NOW - 400 * DAY),
        )

    def _external(self, asked: Asked) -> Any:
        id = unquote(asked.path.removeprefix("/v1/customers/external/"))
        return next((self._customer(b) for b in self._buyers if b.external_id == id), _missing())

    def _of(self, external_id: str | None) -> Sequence[Held]:
        return next((b.held for b in self._buyers if b.external_id == external_id), ())

    def _subscriptions(self, asked: Asked) -> Any:
        wanted = asked.body.get("subscription_status") or ["active"]
        of = self._of(asked.body.get("external_customer_id"))
        return _page(asked, [subscription(held) for held in of if held.status in wanted])

    def _associations(self, asked: Asked) -> Any:
        id = unquote(asked.path.split("/")[3])
        held = next((h for b in self._buyers for h in b.held if h.id == id), None)
        if held is None or not asked.path.endswith("/addons/associations"):
            return _missing()
        return [
            filled(
                "AddonAssociationResponse",
                id=f"{held.id}_{addon}",
                addon_id=addon,
                addon_status="active",
                entity_id=held.id,
                entity_type="subscription",
                start_date=moment(a_year_before(next_on(held.day))),
                created_at=moment(a_year_before(next_on(held.day))),
            )
            for addon in held.addons
        ]

    def _usage(self, asked: Asked) -> Any:
        wanted = asked.query.get("subscription_ids")
        (key,) = asked.query["customer_lookup_key"]
        running = [h for h in self._of(key) if h.status in ("active", "trialing") and (not wanted or h.id in wanted)]
        sources: dict[str, list[dict[str, Any]]] = {}
        used: dict[str, Decimal] = {}
        resets: dict[str, int] = {}
        for held in running:
            for owner in (held.plan, *held.addons):
                for feature_id, said in SOLD[owner].items():
                    sources.setdefault(feature_id, []).append(_source(held, owner, feature_id, said))
                    if said.get("usage_reset_period", "NEVER") != "NEVER":
                        resets[feature_id] = min(resets.get(feature_id, 2**60), next_on(held.day))
            for feature_id, amount in held.used.items():
                used[feature_id] = used.get(feature_id, Decimal(0)) + amount
        features = [
            filled(
                "FeatureUsageSummary",
                feature=feature(id),
                current_usage=str(used.get(id, Decimal(0))),
                is_enabled=True,
                is_soft_limit=any(SOLD[s["entity_id"]][id].get("is_soft_limit", False) for s in of),
                is_unlimited=FEATURES[id] == "metered" and any(s["usage_limit"] is None for s in of),
                total_limit=sum(s["usage_limit"] or 0 for s in of) or None,
                next_usage_reset_at=moment(resets[id]) if id in resets else None,
                sources=of,
                usage_percent="0",
            )
            for id, of in sources.items()
        ]
        return filled("CustomerUsageSummaryResponse", customer_id=key, features=features)


def feature(id: str) -> dict[str, Any]:
    meter = filled(
        "MeterResponse",
        id=f"meter_{id}",
        name=id,
        event_name=f"{id}.used",
        aggregation=filled("MeterAggregation", type="SUM", field="n"),
        reset_usage="BILLING_PERIOD",
    )
    kind = FEATURES[id]
    name = None if id == "seats" else id.title()
    return filled("FeatureResponse", id=id, name=name, type=kind, status="published") | (
        {"meter_id": f"meter_{id}", "meter": meter} if kind == "metered" else {}
    )


def subscription(held: Held) -> dict[str, Any]:
    """Since a year; one that is tried, since a month, which is its trial."""
    reset = next_on(held.day)
    tried = held.status == "trialing"
    started = moment(a_month_before(reset) if tried else a_year_before(reset))
    return filled(
        "SubscriptionResponse",
        id=held.id,
        plan_id=held.plan,
        status="published",
        subscription_status=held.status,
        start_date=started,
        billing_anchor=started,
        created_at=started,
        billing_period="MONTHLY",
        billing_period_count=1,
        current_period_start=moment(a_month_before(reset)),
        current_period_end=moment(reset),
        cancel_at_period_end=held.ends,
        cancel_at=moment(reset) if held.ends else None,
        cancelled_at=moment(NOW - DAY) if held.ends else None,
        end_date="0001-01-01T00:00:00Z",
        trial_end=moment(reset) if tried else None,
        pause_status="none",
    )


def _source(held: Held, owner: str, feature_id: str, said: Mapping[str, Any]) -> dict[str, Any]:
    return filled(
        "EntitlementSource",
        entitlement_id=f"ent_{owner}_{feature_id}",
        entity_id=owner,
        entity_name=owner.title(),
        entity_type="ADDON" if owner in ADDONS else "PLAN",
        is_enabled=True,
        quantity=1,
        static_value=said.get("static_value", ""),
        subscription_id=held.id,
        usage_limit=said.get("usage_limit"),
        usage_reset_period=said.get("usage_reset_period", ""),
    )


def _page(asked: Asked, found: Sequence[Any]) -> Any:
    offset = asked.body.get("offset", 0)
    limit = min(LARGEST_PAGE, asked.body.get("limit", LARGEST_PAGE))
    pagination = filled("PaginationResponse", total=len(found), limit=limit, offset=offset)
    return {"items": found[offset : offset + limit], "pagination": pagination}


def _missing() -> Said:
    return Said({"success": False, "error": {"message": "not found"}}, 404)
