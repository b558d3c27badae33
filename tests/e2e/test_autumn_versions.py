"""Each version of Autumn's API in its own shape (autumn.md 1.1, 1.3, 1.4), by plain HTTP with `x-api-version`.

Rules: autumn.md 0.1.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.fixture import Shop, consumable, flag, lifetime, monthly, new, prepaid, unlimited

V1, V20, V21 = "1.2.0", "2.0.0", "2.1.0"


def check(shop: Shop, version: str, customer: str, feature: str = "messages", **more: Any) -> dict[str, Any]:
    answer = shop.raw("check", {"customer_id": customer, "feature_id": feature, **more}, version)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def track(shop: Shop, customer: str, value: float, feature: str = "messages", version: str = V20) -> dict[str, Any]:
    body = {"customer_id": customer, "feature_id": feature, "value": value}
    answer = shop.raw("track", body, version)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def picked(source: dict[str, Any], names: str) -> list[Any]:
    return [source[name] for name in names.split()]


class TestHeader:
    def test_every_spelling_of_a_version_is_understood(self, shop: Shop) -> None:
        """autumn.md 1.1: semver, partial, dated aliases with or without .clover; the shape tells which it was."""
        c = shop.customer(monthly(10))
        marks = {"1": "code", "20": "current_balance", "21": "breakdown"}
        spellings = {
            "1": ("1.2.0", "1.2", "2025-05-05", "2025-05-05.clover"),
            "20": ("2.0.0", "2.0", "2026-03-16", "2026-03-16.clover"),
            "21": ("2.1.0", "2.1", "2026-03-17", "2.2.0", "2026-03-18", "2.3", "2026-05-13.clover", "2.4.0", "2.5.0"),
        }
        for family, headers in spellings.items():
            for header in headers:
                answer = check(shop, header, c)
                balance = answer["balance"] if isinstance(answer["balance"], dict) else answer
                assert marks[family] in balance, header
                assert ("remaining" in balance) == (family == "21"), header

    @pytest.mark.parametrize("header", ["9.9.9", "latest", "2.6.0", "1999-01-01", ""])
    def test_an_unknown_version_is_refused_everywhere(self, shop: Shop, header: str) -> None:
        for path in ("check", "track", "customers.get", "balances.batch_track"):
            answer = shop.raw(path, {"customer_id": "customer-1", "feature_id": "messages"}, header)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_api_version")


class TestCheckShapes:
    def test_a_feature_that_nothing_grants_is_denied_in_exactly_these_fields(self, shop: Shop) -> None:
        """S001: exactly these fields, and from 2.0 on `reason` (2.10)."""
        c = shop.customer()
        asked = {"allowed": False, "customer_id": c, "required_balance": 1}
        assert check(shop, V20, c) == {**asked, "balance": None, "reason": "not_granted"}
        assert check(shop, V1, c) == {**asked, "feature_id": "messages", "code": "feature_found"}
        assert check(shop, V21, c) == {**asked, "balance": None, "flag": None, "reason": "not_granted"}

    def test_a_flag_has_no_balance_but_zeros_in_older_versions(self, shop: Shop) -> None:
        """S002."""
        c = shop.customer(flag())
        new_, middle, old = (check(shop, version, c, "dashboard") for version in (V21, V20, V1))
        assert (new_["balance"], new_["flag"]["feature_id"], new_["flag"]["expires_at"]) == (None, "dashboard", None)
        for balance in (middle["balance"], *middle["balance"]["breakdown"]):
            assert picked(balance, "granted_balance purchased_balance current_balance usage reset") == [
                0,
                0,
                0,
                0,
                None,
            ]
        assert len(middle["balance"]["breakdown"]) == len(old["breakdown"]) == 1
        for balance in (old, *old["breakdown"]):
            assert picked(balance, "balance usage included_usage") == [0, 0, 0]
            assert picked(balance, "interval interval_count next_reset_at overage_allowed") == [None, None, None, False]
        assert (old["unlimited"], old["allowed"], old["code"]) == (False, True, "feature_found")

    def test_an_unlimited_balance_shows_zeros_in_older_versions(self, shop: Shop) -> None:
        """S004: zeros in older versions; the newer ones show the counter."""
        c = shop.customer(unlimited())
        track(shop, c, 7)
        middle, old = check(shop, V20, c, required_balance=999999), check(shop, V1, c, required_balance=999999)
        assert middle["allowed"]
        assert old["allowed"]
        names = "unlimited granted_balance purchased_balance current_balance reset"
        assert picked(middle["balance"], names) == [True, 0, 0, 0, None]
        assert picked(old, "unlimited balance usage included_usage interval") == [True, 0, 0, 0, None]
        assert check(shop, V21, c)["balance"]["usage"] == 7

    def test_pay_per_use_shows_its_maximum(self, shop: Shop) -> None:
        """S005, S022: overage_allowed is false in 1.2 where there is a maximum, which is shown with the grant."""
        free, capped = shop.customer(consumable(100)), shop.customer(consumable(100, most=400))
        names = "granted_balance purchased_balance current_balance max_purchase overage_allowed"
        answer = check(shop, V20, free, required_balance=500)
        assert answer["allowed"]
        assert picked(answer["balance"], names) == [100, 0, 100, None, True]
        assert check(shop, V1, free)["overage_allowed"]
        assert check(shop, V20, capped, required_balance=500)["allowed"]
        denied, old = (check(shop, version, capped, required_balance=501) for version in (V20, V1))
        assert not denied["allowed"]
        assert picked(denied["balance"], names) == [100, 0, 100, 400, True]
        assert picked(old, "allowed balance included_usage usage_limit overage_allowed") == [
            False,
            100,
            100,
            500,
            False,
        ]

    def test_prepaid_units_are_shown_as_purchased(self, shop: Shop) -> None:
        """S020: prepaid 100 + 500."""
        c = shop.customer(prepaid(100, 500))
        assert picked(check(shop, V20, c)["balance"], "granted_balance purchased_balance current_balance") == [
            100,
            500,
            600,
        ]
        assert picked(check(shop, V1, c), "balance included_usage overage_allowed") == [600, 600, False]
        assert [check(shop, V20, c, required_balance=r)["allowed"] for r in (599, 601)] == [True, False]

    def test_prepaid_beside_pay_per_use(self, shop: Shop) -> None:
        """S023: prepaid 100 + 500 and consumable 200 max 300."""
        c = shop.customer(prepaid(100, 500), consumable(200, most=300))
        names = "granted_balance purchased_balance current_balance usage"
        start = check(shop, V20, c)["balance"]
        assert picked(start, f"{names} max_purchase") == [300, 500, 800, 0, None]
        seen = [picked(track(shop, c, value)["balance"], names)[1:] for value in (600, 400, 200)]
        assert seen == [[500, 200, 600], [700, 0, 1000], [800, 0, 1100]]

    def test_a_pool_answers_in_its_own_units(self, shop: Shop) -> None:
        """S044: the pool that is held; where none is, the first of the catalog, with no balance."""
        c = shop.customer(monthly(12, "credits3"))
        assert track(shop, c, 6, "action1")["balances"]["credits3"]["current_balance"] == 0
        answer = check(shop, V1, c, "action1")
        names = "feature_id allowed balance required_balance"
        assert picked(answer, names) == ["credits3", False, 0, 2]
        assert answer["credit_schema"] == [{"feature_id": "action1", "credit_amount": 2}]
        nobody = shop.customer()
        asked = {"allowed": False, "customer_id": nobody, "feature_id": "credits", "required_balance": 0.2}
        assert check(shop, V1, nobody, "action1") == {**asked, "code": "feature_found"}

    def test_grants_of_one_feature_add_up_in_the_breakdown(self, shop: Shop) -> None:
        """S061: of two plans, or two of one plan."""
        c = shop.customer(monthly(1000))
        shop.attach(c, monthly(500), add_on=True)
        balance = check(shop, V20, c)["balance"]
        names = "granted_balance current_balance plan_id"
        assert picked(balance, names) == [1500, 1500, None]
        assert balance["reset"]["interval"] == "month"
        assert len({grant["plan_id"] for grant in balance["breakdown"]}) == 2
        plan = shop.plan(monthly(500), lifetime(200))
        both = shop.customer(monthly(500), lifetime(200))
        balance, old = check(shop, V20, both)["balance"], check(shop, V1, both)
        assert picked(balance, names) == [700, 700, plan]
        assert balance["reset"]["interval"] == "multiple"
        assert old["balance"] == 700
        assert picked(old, "interval interval_count") == ["multiple", None]
        assert {grant["interval"] for grant in old["breakdown"]} == {"month", "lifetime"}

    def test_a_one_off_top_up(self, shop: Shop) -> None:
        """S062: plan free monthly 500 and an add-on one-off top-up, quantity 200."""
        c = shop.customer(monthly(500))
        shop.attach(c, prepaid(0, 200, interval="one_off"), add_on=True)
        balance, old = check(shop, V20, c)["balance"], check(shop, V1, c)
        names = "granted_balance purchased_balance current_balance"
        assert picked(balance, f"{names} plan_id") == [500, 200, 700, None]
        (top_up,) = [grant for grant in balance["breakdown"] if grant["granted_balance"] == 0]
        assert picked(top_up, names) == [0, 200, 200]
        assert top_up["reset"]["interval"] == "one_off"
        assert picked(old, "included_usage balance") == [700, 700]


def test_one_customer_reads_the_same_in_every_version(shop: Shop) -> None:
    """S106: credits prepaid 5000 + 5000 and consumable 0, used by 1000, 5000 and 5000."""
    c = shop.customer(prepaid(5000, 5000, "credits"), consumable(0, "credits"))

    def read() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        old, middle, newer = (check(shop, version, c, "credits") for version in (V1, V20, V21))
        return old, middle["balance"], newer["balance"]

    old, middle, newer = read()
    assert picked(old, "included_usage balance") == [10000, 10000]
    assert picked(middle, "granted_balance purchased_balance current_balance") == [5000, 5000, 10000]
    assert picked(newer, "granted remaining") == [10000, 10000]
    for value, left, used in ((1000, 9000, 1000), (5000, 4000, 6000)):
        track(shop, c, value, "credits")
        old, middle, newer = read()
        assert [old["balance"], middle["current_balance"], newer["remaining"]] == [left] * 3
        assert [old["usage"], middle["usage"], newer["usage"]] == [used] * 3
    track(shop, c, 5000, "credits")
    old, middle, newer = read()
    assert picked(old, "included_usage balance usage") == [10000, -1000, 11000]
    names = "granted_balance purchased_balance current_balance usage"
    assert picked(middle, names) == [5000, 6000, 0, 11000]
    assert picked(newer, "granted remaining usage") == [10000, 0, 11000]
    grants = [picked(grant, "included_usage usage balance") for grant in old["breakdown"]]
    assert grants == [[10000, 10000, 0], [0, 1000, -1000]]
    assert [picked(grant, names) for grant in middle["breakdown"]] == [[5000, 5000, 0, 10000], [0, 1000, 0, 1000]]
    grants = [picked(grant, "included_grant prepaid_grant usage remaining") for grant in newer["breakdown"]]
    assert grants == [[5000, 5000, 10000, 0], [0, 0, 1000, 0]]


class TestOlderRequests:
    def test_a_value_among_the_properties_is_lifted(self, shop: Shop) -> None:
        """S100, S154: in 1.2; later versions keep it a property."""
        c = shop.customer(monthly(100))
        body = {"customer_id": c, "feature_id": "messages", "properties": {"value": 35.82}}
        answer = shop.raw("track", body, V1).json()
        assert answer == {"id": "placeholder", "code": "event_received", "customer_id": c, "feature_id": "messages"}
        assert picked(check(shop, V1, c), "balance usage") == [64.18, 35.82]
        shop.raw("track", body, V21)
        assert check(shop, V1, c)["usage"] == 36.82

    def test_events_and_entitled_are_older_names(self, shop: Shop) -> None:
        """S155: consumable 10, used by 10 and 5."""
        c = shop.customer(consumable(10))
        body = {"customer_id": c, "feature_id": "messages"}
        for value, left in ((10, 0), (5, -5)):
            assert shop.raw("events", body | {"value": value}, V1).json()["code"] == "event_received"
            found = shop.raw("entitled", body, V1).json()
            assert picked(found, "allowed balance overage_allowed") == [True, left, True]


class TestAutoCreation:
    def test_a_first_check_makes_customer_and_entity(self, shop: Shop) -> None:
        """S007, S008: below 2.1, exactly once; a known customer's empty name is filled."""
        id, entity = new(), {"name": "Seat", "feature_id": "users"}
        body = {
            "customer_id": id,
            "feature_id": "messages",
            "customer_data": {"name": "Ada", "email": "ada@example.com"},
            "entity_id": "seat",
            "entity_data": entity,
        }
        for _ in range(2):
            assert check(shop, V20, **_parts(body))["allowed"] is False
        found = shop.autumn.customers.get(customer_id=id, expand=["entities"])
        assert (found.name, found.email) == ("Ada", "ada@example.com")
        assert [(e.id, e.name) for e in found.entities or ()] == [("seat", "Seat")]
        known = shop.customer(monthly(100))
        more: Any = ({"entity_data": entity}, {})
        for data in more:
            assert check(shop, V1, known, entity_id="e", **data)["allowed"]
        assert check(shop, V1, known, customer_data={"name": "Bo"})["allowed"]
        assert shop.autumn.customers.get(customer_id=known).name == "Bo"

    def test_a_first_use_makes_the_customer_too(self, shop: Shop) -> None:
        id = new()
        assert track(shop, id, 1, version=V1)["code"] == "event_received"
        assert shop.autumn.customers.get(customer_id=id).id == id

    def test_nobody_is_made_from_2_1_on(self, shop: Shop) -> None:
        """S010."""
        id = new()
        for path in ("check", "track"):
            body = {"customer_id": id, "feature_id": "messages", "customer_data": {"name": "Ada"}, "async": False}
            for version in (V21, "2.5.0", None):
                answer = shop.raw(path, body, version)
                assert (answer.status_code, answer.json()["code"]) == (404, "customer_not_found")
        assert shop.raw("customers.get", {"customer_id": id}).status_code == 404

    def test_concurrent_first_checks_make_one_customer(self, live: Shop) -> None:
        """S011: an automatic plan of 100; in the live environment, where no other test's customers get it."""
        feature, plan, id = new("f"), new("plan"), uuid.uuid4().hex
        live.api.call(
            "features.create", {"feature_id": feature, "name": "First", "type": "metered", "consumable": True}
        )
        live.plan(monthly(100, feature), plan_id=plan, auto_enable=True)
        data = {"name": "Ada", "email": "ada@example.com"}
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda _: check(live, V1, id, feature, customer_data=data), range(2)))
        assert [(answer["allowed"], answer["balance"]) for answer in answers] == [(True, 100)] * 2
        found = live.autumn.customers.get(customer_id=id)
        assert (found.name, found.email, [held.plan_id for held in found.subscriptions]) == (*data.values(), [plan])
        live.autumn.plans.delete(plan_id=plan)


def _parts(body: dict[str, Any]) -> dict[str, Any]:
    """A check's body as arguments."""
    return {"customer": body["customer_id"], "feature": body["feature_id"]} | {
        name: value for name, value in body.items() if name not in ("customer_id", "feature_id")
    }
