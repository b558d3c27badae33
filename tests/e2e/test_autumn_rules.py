"""autumn.md 5.1 to 5.7 through autumn-sdk 1.2.0 and the deployed stack: what a check and a use answer.

Rules: autumn.md 1.2.1, 1.2.2, 0.6.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.fixture import (
    Shop,
    consumable,
    flag,
    gru,
    lifetime,
    monthly,
    new,
    per_entity,
    prepaid,
    refused,
    seats,
    unlimited,
)


class TestCheck:
    def test_what_nothing_grants_is_denied_without_a_balance(self, shop: Shop) -> None:
        """S001, autumn.md 2.6: a use of nothing is allowed even there."""
        c = shop.customer(monthly(1000))
        denied = shop.autumn.check(customer_id=c, feature_id="words")
        assert (denied.allowed, denied.required_balance, denied.balance, denied.flag) == (False, 1, None, None)
        sent = shop.autumn.check(customer_id=c, feature_id="words", required_balance=10, send_event=True)
        assert (sent.allowed, sent.balance) == (False, None)
        assert shop.may(c, 0, "words", send_event=True)

    @pytest.mark.parametrize("body", [{}, {"feature_id": "messages", "product_id": "pro"}])
    def test_a_check_names_a_feature_or_a_product(self, shop: Shop, body: dict[str, str]) -> None:
        """S014."""
        for version in ("1.2.0", "2.1.0", None):
            answer = shop.raw("check", {"customer_id": "customer-1", **body}, version)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_inputs")

    def test_a_flag_is_held_and_cannot_be_counted(self, shop: Shop) -> None:
        """S002, S050 and S083: a check shows it, send_event is refused, a track of it moves nothing."""
        c = shop.customer(flag(), monthly(100))
        held = shop.autumn.check(customer_id=c, feature_id="dashboard")
        assert held.allowed
        assert held.balance is None
        assert held.flag
        assert (held.flag.feature_id, held.flag.expires_at) == ("dashboard", None)
        with refused(400, "invalid_request"):
            shop.autumn.check(customer_id=c, feature_id="dashboard", send_event=True)
        tracked = shop.track(c, 1, "dashboard")
        assert (tracked.value, tracked.balance) == (1, None)
        assert shop.left(c) == 100

    def test_zero_negative_and_fractional_amounts_are_exact(self, shop: Shop) -> None:
        """autumn.md 2.1: R = 0 with nothing left and R < 0 are allowed; decimals are compared exactly."""
        c = shop.customer(monthly(10.15))
        assert [shop.may(c, required) for required in (10.15, 10.1500000001)] == [True, False]
        shop.track(c, 10.15)
        assert [shop.may(c, required) for required in (0, -1, 0.0000000001)] == [True, True, False]

    def test_an_unlimited_balance_allows_and_counts(self, shop: Shop) -> None:
        """S049: also where unlimited credits pay."""
        c = shop.customer(unlimited(), unlimited("credits"))
        own = shop.autumn.check(customer_id=c, feature_id="messages", required_balance=1000, send_event=True)
        assert (own.allowed, own.required_balance, gru(own.balance)) == (True, 1000, (0, 0, 1000))
        paid = shop.autumn.check(customer_id=c, feature_id="action1", required_balance=1000, send_event=True)
        assert (paid.allowed, paid.required_balance, gru(paid.balance)) == (True, 200, (0, 0, 200))
        assert paid.balance
        assert (paid.balance.feature_id, paid.balance.unlimited) == ("credits", True)

    def test_max_purchase_bounds_what_is_bought_on_the_way(self, shop: Shop) -> None:
        """S022: consumable 100 max 400."""
        c = shop.customer(consumable(100, most=400))
        assert [shop.may(c, required) for required in (500, 501)] == [True, False]
        balance = shop.balance(c)
        assert gru(balance) == (100, 100, 0)
        assert (balance.max_purchase, balance.overage_allowed) == (400, True)
        assert balance.breakdown[0].price.billing_method == "usage_based"

    def test_credits_are_asked_for_in_credits(self, shop: Shop) -> None:
        """S040 and S041."""
        c = shop.customer(monthly(100, "credits"))
        asked = {}
        for feature, required in (("action1", 50.75), ("action2", 50.75), ("action2", 167.33)):
            answer = shop.autumn.check(customer_id=c, feature_id=feature, required_balance=required)
            assert answer.balance
            assert (answer.balance.feature_id, answer.balance.remaining) == ("credits", 100)
            asked[feature, required] = (answer.allowed, answer.required_balance)
        assert asked == {
            ("action1", 50.75): (True, 10.15),
            ("action2", 50.75): (True, 30.45),
            ("action2", 167.33): (False, 100.398),
        }
        own = shop.autumn.check(customer_id=c, feature_id="credits", required_balance=100.5)
        assert (own.allowed, own.required_balance) == (False, 100.5)
        assert shop.may(c, 50.25, "credits")

    def test_what_answers_can_be_expanded(self, shop: Shop) -> None:
        """autumn.md 1.2: `balance.feature` and `flag.feature`, in the body or the query."""
        c = shop.customer(flag(), monthly(100))
        body = {"customer_id": c, "feature_id": "messages", "expand": ["balance.feature"]}
        assert shop.raw("balances.check", body).json()["balance"]["feature"]["id"] == "messages"
        body = {"customer_id": c, "feature_id": "dashboard"}
        assert shop.raw("balances.check?expand=flag.feature", body).json()["flag"]["feature"]["type"] == "boolean"
        assert "feature" not in shop.raw("balances.check", body).json()["flag"]

    def test_a_denied_check_previews_what_would_grant_access(self, shop: Shop) -> None:
        """autumn.md 2.7 (with_preview): upgrades of the group, then add-ons; nothing where it is allowed."""
        basic, better, extra = new("plan"), new("plan"), new("plan")
        c = shop.customer()
        cheap, dear = (
            dict[str, Any]({"price": {"amount": amount, "interval": "month"}, "group": basic}) for amount in (10, 20)
        )
        shop.attach(c, monthly(1, "exports"), plan_id=basic, **cheap)
        shop.plan(monthly(100, "exports"), plan_id=better, **dear)
        shop.plan(lifetime(50, "exports"), plan_id=extra, add_on=True)
        check: Any = {"customer_id": c, "feature_id": "exports", "with_preview": True}
        assert shop.autumn.check(**check).preview is None
        denied = shop.autumn.check(required_balance=2, **check)
        assert denied.preview
        assert (denied.preview.scenario, denied.preview.title) == ("usage_limit", f"Upgrade to {better.title()}")
        offers = {product.id: product.scenario for product in denied.preview.products}
        assert offers == {better: "upgrade", extra: "new"}
        nowhere = shop.autumn.check(customer_id=c, feature_id="admin", with_preview=True).preview
        assert nowhere
        assert (nowhere.scenario, nowhere.title, nowhere.products) == ("feature_flag", "Feature Unavailable", [])

    def test_a_check_of_a_plan_tells_its_state(self, shop: Shop) -> None:
        """autumn.md 2.5 (product_id)."""
        c, other = shop.customer(), shop.plan(lifetime(5))
        plan = shop.attach(c, monthly(100), price={"amount": 5, "interval": "month"})
        found = shop.raw("check", {"customer_id": c, "product_id": plan}, "2.1.0").json()
        assert (found["allowed"], found["product_id"], found["status"]) == (True, plan, "active")
        missing = shop.raw("check", {"customer_id": c, "product_id": other}, "1.2.0").json()
        assert missing == {"allowed": False, "customer_id": c, "product_id": other, "code": "product_found"}
        trial = shop.attach(c, monthly(7, "words"), free_trial={"duration_length": 7, "duration_type": "day"})
        assert shop.raw("check", {"customer_id": c, "product_id": trial}).json()["status"] == "trialing"
        shop.autumn.billing.update(customer_id=c, plan_id=plan, cancel_action="cancel_end_of_cycle")
        ending = shop.raw("check", {"customer_id": c, "product_id": plan}).json()
        assert (ending["allowed"], ending["status"]) == (True, "canceled")


class TestTrack:
    def test_a_use_without_a_value_is_one(self, shop: Shop) -> None:
        """S080, S082: and other features stay as they were."""
        c = shop.customer(monthly(100), monthly(150, "action2"), monthly(200, "action3"))
        tracked = shop.autumn.track(customer_id=c, feature_id="messages", async_=False)
        assert (tracked.value, gru(tracked.balance)) == (1, (100, 99, 1))
        assert [shop.left(c, feature) for feature in ("action2", "action3")] == [150, 200]

    def test_what_is_given_back_stops_at_the_grant(self, shop: Shop) -> None:
        """S086."""
        c = shop.customer(monthly(100))
        moves = [(shop.track(c, value).balance.remaining) for value in (-37.89, 50, -37.89)]
        assert moves == [100, 50, 87.89]

    def test_the_feature_pays_first_and_then_its_credits(self, shop: Shop) -> None:
        """S092: `balance` is what answered, `balances` holds all."""
        c = shop.customer(monthly(100, "action1"), monthly(200, "credits"))
        seen = []
        for value in (40.5, 80, 50.75):
            tracked = shop.track(c, value, "action1")
            held = {id: balance.remaining for id, balance in tracked.balances.items() if balance}
            seen.append((tracked.balance.feature_id, held))
        assert seen == [
            ("action1", {"action1": 59.5, "credits": 200}),
            ("action1", {"action1": 0, "credits": 195.9}),
            ("credits", {"action1": 0, "credits": 185.75}),
        ]

    def test_an_event_uses_every_feature_that_lists_it(self, shop: Shop) -> None:
        """S094, S095, S097."""
        one = shop.customer(monthly(150, "action1"))
        tracked = shop.autumn.track(customer_id=one, event_name="action-event", value=37.89, async_=False)
        assert tracked.balance
        assert (tracked.balance.feature_id, gru(tracked.balance)) == ("action1", (150, 112.11, 37.89))
        assert tracked.balances
        assert tracked.balances["credits"] is None
        both = shop.customer(monthly(200, "action1"), monthly(150, "action3"))
        tracked = shop.autumn.track(customer_id=both, event_name="action-event", value=45.67, async_=False)
        assert (tracked.value, tracked.event_name, tracked.balance) == (45.67, "action-event", None)
        left = {id: gru(tracked.balances[id])[1:] for id in ("action1", "action3")} if tracked.balances else {}
        assert left == {"action1": (154.33, 45.67), "action3": (104.33, 45.67)}
        with refused(404, "invalid_request"):
            shop.autumn.track(customer_id=both, event_name="unheard-of", async_=False)
        either: Any = ({}, {"feature_id": "action1", "event_name": "action-event"})
        for names in either:
            with refused(400, "invalid_inputs"):
                shop.autumn.track(customer_id=both, async_=False, **names)
        body = {"customer_id": both, "event_name": "action-event", "overage_behavior": "reject"}
        assert shop.raw("track", body).json()["code"] == "invalid_request"

    def test_deductions_tell_what_moved(self, shop: Shop) -> None:
        """S098: A and F, B, C and D, E."""

        def moved(tracked: Any) -> list[tuple[str, float]]:
            return [(deduction.feature_id, deduction.value) for deduction in tracked.deductions]

        a = shop.customer(monthly(100, "action1"), monthly(200, "credits"))
        assert moved(shop.track(a, 10, "action1")) == [("action1", 10)]
        shop.track(a, 90, "action1")
        assert moved(shop.track(a, 50, "action1")) == [("credits", 10)]
        b = shop.customer(*(monthly(n, id) for id, n in (("action1", 80), ("credits", 150), ("action3", 60))))
        shop.attach(b, monthly(100, "credits2"))
        event = shop.autumn.track(customer_id=b, event_name="action-event", value=5, async_=False)
        assert moved(event) == [("action1", 5), ("action3", 5)]
        c = shop.customer(monthly(100), monthly(100, "action1"))
        assert [moved(shop.track(c, value)) for value in (7, -4)] == [[("messages", 7)], [("messages", -4)]]
        assert moved(shop.track(c, 5, "action1")) == [("action1", 5)]

    def test_a_use_of_what_is_not_granted_moves_nothing(self, shop: Shop) -> None:
        """autumn.md 3.7."""
        tracked = shop.track(shop.customer(), 5, "words")
        assert (tracked.value, tracked.balance) == (5, None)

    def test_a_use_to_be_rejected_changes_nothing(self, shop: Shop) -> None:
        """S104, S109: 400 insufficient_balance; a limit's too."""
        c = shop.customer(prepaid(2, 3), seats(5), monthly(10, "words"))
        for value, feature in ((7, "messages"), (6, "users")):
            assert shop.rejected(c, value, feature) == "insufficient_balance"
            assert shop.left(c, feature) == 5
        shop.autumn.customers.update(
            customer_id=c, billing_controls={"usage_limits": [{"feature_id": "words", "limit": 5, "interval": "month"}]}
        )
        assert shop.rejected(c, 6, "words") == "insufficient_balance"
        assert shop.left(c, "words") == 10
        assert shop.rejected(c, 4) is None
        assert shop.left(c) == 1

    def test_free_seats_may_be_overdrawn_and_given_back(self, shop: Shop) -> None:
        """S088: over the grant, back to it, then with the grant raised."""
        c = shop.customer(seats(5))
        assert gru(shop.track(c, 8, "users").balance) == (5, 0, 8)
        assert gru(shop.track(c, -20, "users").balance) == (5, 5, 0)
        shop.autumn.balances.update(customer_id=c, feature_id="users", remaining=10, included_grant=10)
        assert gru(shop.balance(c, "users")) == (10, 10, 0)
        shop.track(c, 5, "users")
        assert gru(shop.track(c, -100, "users").balance) == (10, 10, 0)

    def test_grants_are_drawn_in_order(self, shop: Shop) -> None:
        """S140: monthly before lifetime."""
        c = shop.customer(monthly(500))
        shop.attach(c, lifetime(200), add_on=True)
        shop.track(c, 100)
        assert sorted(shop.grants(c)) == [200, 400]
        tracked = shop.track(c, 450)
        assert sorted(grant.remaining for grant in tracked.balance.breakdown) == [0, 150]
        assert gru(tracked.balance) == (700, 150, 550)

    def test_entities_draw_their_own_first(self, shop: Shop) -> None:
        """S152, per-entity 50 and customer-level 100, and an entity's grant in the answer."""
        c = shop.customer(per_entity(monthly(50)), monthly(100), entities=3)
        assert [shop.left(c, entity=e) for e in (None, "e1")] == [250, 150]
        shop.track(c, 50)
        assert [shop.left(c, entity=e) for e in (None, "e2")] == [200, 100]
        shop.track(c, 60)
        assert [shop.left(c, entity=e) for e in (None, "e1", "e2", "e3")] == [140, 40, 50, 50]
        tracked = [shop.track(c, 10, entity_id=e) for e in ("e1", "e2", "e3")]
        assert [(t.entity_id, t.balance.remaining) for t in tracked] == [("e1", 30), ("e2", 40), ("e3", 40)]

    def test_an_overflow_passes_all_but_a_spend_limit(self, shop: Shop) -> None:
        """S122: lifetime 1000 and consumable 100 max 300, spend limit 25; S260: what is over it is refused."""
        spend = {"feature_id": "messages", "enabled": True, "limit_type": "absolute", "overage_limit": 25}
        c = shop.customer(lifetime(1000), consumable(100, most=300), billing_controls={"spend_limits": [spend]})
        shop.track(c, 1120)
        assert [shop.may(c, required) for required in (5, 6)] == [True, False]  # S028
        assert gru(shop.track(c, 10, overage_behavior="overflow").balance) == (1100, 0, 1125)
        assert gru(shop.track(c, 1, overage_behavior="overflow").balance) == (1100, 0, 1125)
        assert shop.rejected(c, 1) == "insufficient_balance"
        assert not shop.may(c, 1, send_event=True)

    def test_rollovers_are_shown_with_what_was_granted(self, shop: Shop) -> None:
        """autumn.md 1.2: `granted` is the balance and what was used of it; 0 stands for never."""
        c = shop.customer(monthly(100, rollover={"max": 50, "expiry_duration_type": "forever"}))
        assert shop.balance(c).rollovers == []
        assert not shop.balance(shop.customer(monthly(5))).rollovers
        shop.now(c, shop.balance(c).next_reset_at)
        shop.track(c, 20)
        (rollover,) = shop.balance(c).rollovers
        assert (rollover.granted, rollover.balance, rollover.expires_at) == (50, 30, 0)
