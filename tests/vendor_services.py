"""Small services that answer as the vendors' documents say, with what their data may hold, and with the failures that any
network has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.http_service import Answers, Asked, Said, served

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000 // 60_000 * 60_000
"""The minute of the run: what is moved to has the machine's own clock."""
Route = Callable[[Asked], Any]


def next_on(day: int) -> int:
    """The next instant (epoch ms) at which it is this day of a month (1 to 27, which every month has), a day from now at least."""
    found = datetime.fromtimestamp(NOW // 1000, UTC) + timedelta(days=1)
    while found.day != day:
        found += timedelta(days=1)
    return int(found.timestamp()) * 1000


class Failing:
    """Answers with failures between: of so many calls each, one is 500, one 429 with and one without Retry-After, one is cut,
    one no JSON. What fails comes by number, so that every call is answered when it is made again."""

    def __init__(self, answers: Answers, every: int) -> None:
        self._answers, self._every = answers, every
        self._lock, self.calls = threading.Lock(), 0
        self.last_failed: set[str] = set()

    def __call__(self, asked: Asked) -> Said:
        with self._lock:
            self.calls += 1
            number = self.calls
        said = self._answers(asked)
        step = number % self._every
        return {
            1: Said({"message": "upstream"}, 500),
            3: Said({"message": "slow down"}, 429, {"retry-after": "0"}),
            5: said._replace(cut=max(1, len(str(said.body)) // 2)) if said.status == 200 else said,
            7: Said("<html>bad gateway</html>", 502),
            9: Said('{"list": [', 200),
        }.get(step, said)


@contextmanager
def service(routes: Mapping[str, Route], key: str, every: int = 0) -> Iterator[tuple[str, list[Asked]]]:
    """A server of these routes under one key; its address, and the calls that came. `every`: see Failing."""
    calls: list[Asked] = []

    def answers(asked: Asked) -> Said:
        calls.append(asked)
        given = asked.headers.get("x-api-key") or asked.headers.get("authorization", "").removeprefix("Bearer ")
        if given != key:
            return Said({"message": f"Invalid key {given}"}, 401)
        for route, answer in routes.items():
            method, _, path = route.partition(" ")
            if method == asked.method and (
                path == asked.path or (path.endswith("*") and asked.path.startswith(path[:-1]))
            ):
                found = answer(asked)
                return found if isinstance(found, Said) else Said(found)
        return Said({"message": f"no route {asked.method} {asked.path}"}, 404)

    with served(Failing(answers, every) if every else answers) as url:
        yield url, calls


# ------------------------------------------------------------------ Autumn

AUTUMN_FEATURES: list[dict[str, Any]] = [
    {"id": "messages", "name": "Messages", "type": "metered", "consumable": True, "archived": False},
    {"id": "seats", "name": "Seats", "type": "metered", "consumable": False, "archived": False},
    {"id": "sso", "name": "SSO", "type": "boolean", "consumable": False, "archived": False},
    {
        "id": "credits",
        "name": "Credits",
        "type": "credit_system",
        "consumable": True,
        "archived": False,
        "credit_schema": [
            {"metered_feature_id": "messages", "credit_cost": 3, "billing_units": 4},
            {"metered_feature_id": "seats", "tiers": [{"to": "inf", "credit_cost": 1}], "tier_behavior": "graduated"},
        ],
    },
    {
        "id": "models",
        "name": "Models",
        "type": "ai_credit_system",
        "consumable": True,
        "archived": False,
        "model_markups": {"own/model": {"markup": 12.5, "input_cost": 1, "output_cost": None}},
        "provider_markups": None,
        "default_markup": 20,
    },
    {"id": "novel", "name": "Novel", "type": "quantum", "consumable": True, "archived": False},
]


def autumn_plan(version: int, included: float) -> dict[str, Any]:
    return {
        "id": "pro",
        "name": "Pro",
        "description": None,
        "group": None,
        "version": version,
        "add_on": False,
        "auto_enable": False,
        "price": {"amount": 20, "interval": "month"},
        "items": [
            {
                "feature_id": "messages",
                "included": included,
                "unlimited": False,
                "reset": {"interval": "month"},
                "price": None,
                "rollover": {"max": 50, "expiry_duration_type": "month", "expiry_duration_length": 1},
            },
            {"feature_id": "seats", "included": 2, "unlimited": False, "reset": None, "price": None},
            {"feature_id": "sso", "included": 0, "unlimited": False, "reset": None, "price": None},
        ],
        "created_at": NOW - 300 * DAY,
        "env": "live",
        "archived": False,
        "metadata": {},
        "base_variant_id": None,
    }


def autumn_customer(number: int) -> dict[str, Any]:
    """A customer like many, whose numbers follow from its own."""
    id = f"customer-{number:05d}"
    used = number % 97 / 4
    reset = {"interval": "month", "interval_count": 1, "resets_at": next_on(1 + number % 27)}
    line = {"id": f"ce_{number}", "plan_id": "pro", "included_grant": 100, "prepaid_grant": 0, "usage": used}
    line |= {"remaining": 100 - used, "unlimited": False, "reset": reset, "price": None, "expires_at": None}
    seats = {**line, "id": f"cs_{number}", "included_grant": 2, "usage": number % 3, "remaining": 2 - number % 3}
    seats["reset"] = None
    return {
        "id": id,
        "name": None if number % 5 == 0 else f"Kunde №{number}",
        "email": f"{number}@b.example",
        "created_at": NOW - 200 * DAY + number,
        "fingerprint": None,
        "stripe_id": None,
        "env": "live",
        "metadata": {},
        "send_email_receipts": False,
        "billing_controls": {},
        "subscriptions": [
            {
                "id": f"sub_{number}",
                "plan_id": "pro",
                "auto_enable": False,
                "add_on": False,
                "status": "active",
                "past_due": False,
                "canceled_at": None,
                "expires_at": None,
                "trial_ends_at": None,
                "started_at": NOW - 40 * DAY,
                "current_period_start": None,
                "current_period_end": None,
                "quantity": 1,
            }
        ],
        "purchases": [],
        "licenses": [],
        "balances": {
            "messages": autumn_balance("messages", line),
            "seats": autumn_balance("seats", seats),
        },
        "flags": {"sso": {"id": f"cf_{number}", "plan_id": "pro", "expires_at": None, "feature_id": "sso"}},
    }


def autumn_balance(feature_id: str, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A balance of these lines and rollovers; what is overdrawn leaves nothing."""
    rolled = more.get("rollovers", ())
    left = sum(each["balance"] for each in rolled)
    granted = sum(each["granted"] for each in rolled)
    unlimited = any(line["unlimited"] for line in lines)
    return {
        "feature_id": feature_id,
        "granted": granted + sum(line["included_grant"] + line["prepaid_grant"] for line in lines),
        "remaining": 0 if unlimited else left + sum(max(0, line["remaining"]) for line in lines),
        "usage": granted - left + sum(line["usage"] for line in lines),
        "unlimited": unlimited,
        "overage_allowed": False,
        "max_purchase": None,
        "next_reset_at": min((line["reset"]["resets_at"] for line in lines if line["reset"]), default=None),
        "breakdown": list(lines),
        **more,
    }


class AutumnService:
    """The routes of Autumn's API that list, over customers as `customers.list` shows them."""

    def __init__(self, customers: Sequence[dict[str, Any]] | Callable[[int], dict[str, Any]], many: int = 0) -> None:
        self._customers, self.many = customers, many or len(customers)  # type: ignore[arg-type]
        self.entities: list[dict[str, Any]] = []

    def customer(self, number: int) -> dict[str, Any]:
        return self._customers(number) if callable(self._customers) else self._customers[number]

    def found(self, id: str) -> list[dict[str, Any]]:
        """The customer of this id, if there is one. Of many, the id ends with the number."""
        if callable(self._customers):
            customer = self._customers(int(id[-5:]))
            return [customer] if customer["id"] == id else []
        return [customer for customer in self._customers if customer["id"] == id]

    def routes(self) -> dict[str, Route]:
        return {
            "POST /v1/features.list": lambda _: {"list": AUTUMN_FEATURES},
            "POST /v1/plans.list": lambda _: {"list": [autumn_plan(2, 100)]},
            "POST /v1/plans.get": lambda asked: autumn_plan(asked.body["version"], 10),
            "POST /v1/customers.list": lambda asked: self.listed(asked, lambda customer: [customer]),
            "POST /v1/subscriptions.list": lambda asked: self.listed(asked, self.subscriptions),
            "POST /v1/purchases.list": lambda asked: self.listed(asked, lambda _: []),
            "POST /v1/entities.list": self.list_entities,
            "POST /v1/balances.list": self.list_balances,
            "POST /v1/customers.get": self.get,
            "POST /v1/check": self.check,
        }

    def listed(self, asked: Asked, entries: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> dict[str, Any]:
        """A page of a list: of one customer, or of all from the cursor on."""
        limit = asked.body.get("limit", 50)
        if "customer_id" in asked.body:
            found = [entry for customer in self.found(asked.body["customer_id"]) for entry in entries(customer)]
            return {"list": found, "has_more": False, "next_cursor": None}
        start = int(asked.body.get("start_cursor") or 0)
        page = [
            entry for number in range(start, min(start + limit, self.many)) for entry in entries(self.customer(number))
        ]
        more = start + limit < self.many
        return {"list": page, "has_more": more, "next_cursor": str(start + limit) if more else None}

    def subscriptions(self, customer: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"customer_id": customer["id"], "entity_id": None, "created_at": entry["started_at"], **entry}
            for entry in customer["subscriptions"]
        ]

    def list_balances(self, asked: Asked) -> dict[str, Any]:
        entity = asked.body.get("entity_id")

        def entries(customer: dict[str, Any]) -> list[dict[str, Any]]:
            return [
                {
                    "feature_id": balance["feature_id"],
                    "status": "active",
                    "rollovers": balance.get("rollovers", []) if line is balance["breakdown"][0] else [],
                    "customer_id": customer["id"],
                    "entity_id": line.get("entity_id"),
                    "created_at": line.get("created_at", NOW - 40 * DAY),
                    **line,
                }
                for balance in customer["balances"].values()
                for line in balance["breakdown"]
                if line.get("entity_id") == entity
            ]

        return self.listed(asked, entries)

    def list_entities(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.body.get("customer_id")
        return {"list": [e for e in self.entities if wanted in (None, e["customer_id"])], "next_cursor": None}

    def get(self, asked: Asked) -> Any:
        for customer in self.found(asked.body["customer_id"]):
            plan = {"plan": autumn_plan(2, 100)}
            subscriptions = [{**entry, **plan, **entry.get("_plan", {})} for entry in customer["subscriptions"]]
            return {**customer, "subscriptions": subscriptions}
        return Said({"message": "not found", "code": "customer_not_found"}, 404)

    def check(self, asked: Asked) -> Any:
        for customer in self.found(asked.body["customer_id"]):
            balance = customer["balances"].get(asked.body["feature_id"])
            flag = customer["flags"].get(asked.body["feature_id"])
            allowed = bool(flag) or bool(balance and (balance["unlimited"] or balance["remaining"] >= 1))
            return {"allowed": allowed, "customer_id": customer["id"], "balance": balance, "flag": flag}
        return Said({"message": "not found"}, 404)
