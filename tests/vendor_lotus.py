"""A small Lotus: all customers in one list, plans with their versions, and what each subscription leaves of a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.http_service import Asked, Said
from tests.vendor_flexprice import a_month_before
from tests.vendor_services import DAY, NOW, Route, next_on

CALLS, SEATS, SSO = (f"{kind}_{number:032x}" for kind, number in (("metric", 1), ("metric", 2), ("feature", 3)))
PLANS: Mapping[str, Mapping[int, Mapping[str, tuple[int | None, int | None]]]] = {
    f"plan_{1:032x}": {1: {CALLS: (10, 10)}, 2: {CALLS: (100, 150), SSO: (None, None)}},
    f"plan_{2:032x}": {1: {CALLS: (None, None), SEATS: (3, None)}},
}
"""By plan and version: of each metric the free units and the most there are; None is no end."""


class Taken(NamedTuple):
    """A subscription in a cycle that ends on that day of the month."""

    id: str
    plan: str
    version: int
    day: int
    used: Mapping[str, Decimal]
    status: str = "active"
    renews: bool = True
    filters: tuple[tuple[str, str], ...] = ()


class Owner(NamedTuple):
    """A customer."""

    id: str
    name: str | None
    held: Sequence[Taken]


class LotusService:
    """The routes of its API that are read, over these customers."""

    def __init__(self, owners: Sequence[Owner]) -> None:
        self._owners = owners

    def routes(self) -> dict[str, Route]:
        return {
            "GET /api/ping/": lambda _: {"organization_id": "org_1"},
            "GET /api/plans/": lambda _: [_plan(id) for id in PLANS],
            "GET /api/customers/": lambda _: [_customer(owner) for owner in self._owners],
            "GET /api/customers/*": self._one,
            "GET /api/subscriptions/": self._subscriptions,
            "GET /api/metric_access/": self._access,
        }

    def _one(self, asked: Asked) -> Any:
        id = unquote(asked.path.removeprefix("/api/customers/").removesuffix("/"))
        found = next((owner for owner in self._owners if owner.id == id), None)
        return Said({"detail": "Not found."}, 404) if found is None else _customer(found)

    def _held(self, asked: Asked) -> list[Taken]:
        (id,) = asked.query["customer_id"]
        return [held for owner in self._owners if owner.id == id for held in owner.held]

    def _subscriptions(self, asked: Asked) -> Any:
        wanted = asked.query.get("status", ["active"])
        return [
            {
                "subscription_id": f"sub_{held.id}",
                "start_date": _start(held),
                "end_date": _end(held),
                "auto_renew": held.renews,
                "is_new": True,
                "subscription_filters": _filters(held),
                "customer": {"customer_name": None, "email": None, "customer_id": asked.query["customer_id"][0]},
                "billing_plan": _named(held),
                "fully_billed": False,
                "addons": [],
                "metadata": {},
            }
            for held in self._held(asked)
            if held.status in wanted
        ]

    def _access(self, asked: Asked) -> Any:
        (id,) = asked.query["metric_id"]
        accesses = [
            {
                "subscription": {
                    "start_date": _start(held),
                    "end_date": _end(held),
                    "subscription_filters": _filters(held),
                    "plan": _named(held),
                },
                "metric_usage": float(held.used[id]),
                "metric_free_limit": PLANS[held.plan][held.version][id][0],
                "metric_total_limit": PLANS[held.plan][held.version][id][1],
            }
            for held in self._held(asked)
            if held.status == "active" and id in PLANS[held.plan][held.version]
        ]
        return {"customer": {}, "access": True, "metric": _metric(id), "access_per_subscription": accesses}


def _customer(owner: Owner) -> dict[str, Any]:
    return {
        "customer_id": owner.id,
        "customer_name": owner.name,
        "email": None,
        "invoices": [],
        "subscriptions": [],
        "integrations": {},
        "default_currency": None,
        "timezone": "UTC",
    }


def _plan(id: str) -> dict[str, Any]:
    versions = [
        {
            "version": number,
            "version_id": f"plnvrs_{number:032x}",
            "plan_name": "Plan",
            "description": None,
            "flat_rate": 20,
            "components": [_component(m, *limits) for m, limits in items.items() if m.startswith("metric_")],
            "features": [{"feature_id": f, "feature_name": "SSO"} for f in items if f.startswith("feature_")],
            "created_on": _time(NOW - 500 * DAY),
            "status": "active",
        }
        for number, items in PLANS[id].items()
    ]
    return {
        "plan_id": id,
        "plan_name": "Plan",
        "plan_duration": "monthly",
        "plan_description": None,
        "versions": versions,
    }


def _component(metric_id: str, free: int | None, most: int | None) -> dict[str, Any]:
    tiers: list[dict[str, Any]] = [{"type": "free", "range_start": 0, "range_end": free}]
    if free is not None and most != free:
        tiers.append(
            {
                "type": "per_unit",
                "range_start": free,
                "range_end": most,
                "cost_per_batch": 0.5,
                "metric_units_per_batch": 1,
            }
        )
    return {"billable_metric": _metric(metric_id), "tiers": tiers, "reset_interval_unit": None, "prepaid_charge": None}


def _metric(id: str) -> dict[str, Any]:
    return {
        "metric_id": id,
        "metric_name": f"Metric {id[-1]}",
        "event_name": f"event-{id[-1]}",
        "aggregation_type": "sum",
        "property_name": "n",
        "metric_type": "counter",
        "categorical_filters": [],
        "numeric_filters": [],
    }


def _named(held: Taken) -> dict[str, Any]:
    return {
        "plan_name": "Plan",
        "plan_id": held.plan,
        "version": held.version,
        "version_id": f"plnvrs_{held.version:032x}",
    }


def _filters(held: Taken) -> list[dict[str, str]]:
    return [{"property_name": name, "value": value} for name, value in held.filters]


def _start(held: Taken) -> str:
    return _time(a_month_before(next_on(held.day)))


def _end(held: Taken) -> str:
    return _time(next_on(held.day))


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat().replace("+00:00", "Z")
