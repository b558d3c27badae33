"""Each use counted once: idempotency keys, the queue behind async and batches, and calls that run at the same time
(autumn.md 3.10, 3.12, 5.3, 5.6, 5.12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import wait_for
from tests.e2e.fixture import (
    Shop,
    consumable,
    gru,
    lifetime,
    monthly,
    new,
    per_entity,
    refused,
    seats,
)
from tollgate_cli.stack import Stack

DUPLICATE = (409, "duplicate_idempotency_key")


def use(shop: Shop, body: dict[str, Any], version: str | None = None, **headers: str) -> tuple[int, str]:
    """Status and code (or nothing) of a use that is counted at once."""
    answer = shop.raw("track", {"async": False, **body}, version, **headers)
    return answer.status_code, answer.json().get("code", "")


class TestIdempotency:
    def test_a_header_key_is_used_up_by_a_success(self, shop: Shop) -> None:
        """S265."""
        c, key = shop.customer(monthly(100)), {"Idempotency-Key": new()}
        shop.track(c, 25.5, http_headers=key)
        with refused(*DUPLICATE):
            shop.track(c, 30, http_headers=key)
        assert shop.left(c) == 74.5

    def test_a_body_key_likewise(self, shop: Shop) -> None:
        """S101, by 1.2."""
        c = shop.customer(monthly(100))
        first, second = new(), new()
        answers = [
            use(shop, {"customer_id": c, "feature_id": "messages", "value": value, "idempotency_key": key}, "1.2.0")
            for value, key in ((25.5, first), (30.75, first), (15.25, second))
        ]
        assert answers == [(200, "event_received"), DUPLICATE, (200, "event_received")]
        assert shop.left(c) == 59.25

    def test_the_two_are_kept_apart_and_each_holds(self, shop: Shop) -> None:
        """S265: after one success with header h and body b, each of them refuses alone."""
        c, h, b = shop.customer(monthly(100)), new(), new()
        body = {"customer_id": c, "feature_id": "messages", "idempotency_key": b}
        assert use(shop, body, idempotency_key=h)[0] == 200
        assert use(shop, {**body, "idempotency_key": new()}, idempotency_key=h) == DUPLICATE
        assert use(shop, body, idempotency_key=new()) == DUPLICATE
        assert use(shop, {**body, "idempotency_key": h}, idempotency_key=b)[0] == 200
        assert shop.left(c) == 98

    def test_a_failed_call_frees_its_key(self, shop: Shop) -> None:
        """S265: the retry gives the original error, and then the key still works."""
        c, key = shop.customer(monthly(5)), new()
        body = {"customer_id": c, "feature_id": "messages", "overage_behavior": "reject", "idempotency_key": new()}
        for _ in range(2):
            assert use(shop, {**body, "value": 6}, idempotency_key=key) == (400, "insufficient_balance")
        assert use(shop, {**body, "value": 5}, idempotency_key=key)[0] == 200
        assert use(shop, {**body, "value": 5}, idempotency_key=key) == DUPLICATE

    def test_checks_and_management_take_the_header_too(self, shop: Shop) -> None:
        """S265, autumn.md 3.10: any endpoint that is not GET."""
        c = shop.customer(monthly(100))
        check = {"customer_id": c, "feature_id": "messages"}
        grant = {**check, "included_grant": 5}
        for path, body in (("check", check), ("check", {**check, "send_event": True}), ("balances.create", grant)):
            key = new()
            assert shop.raw(path, body, Idempotency_Key=key).status_code == 200
            again = shop.raw(path, body, Idempotency_Key=key)
            assert (again.status_code, again.json()["code"]) == DUPLICATE
        key = new()
        for _ in range(2):
            answer = shop.raw("balances.create", check, Idempotency_Key=key)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_inputs")
        assert gru(shop.balance(c)) == (105, 104, 1)

    def test_of_many_at_once_one_is_counted(self, shop: Shop) -> None:
        """S130."""
        c = shop.customer(monthly(100))
        body = {"customer_id": c, "feature_id": "messages", "value": 10, "idempotency_key": new()}
        with ThreadPoolExecutor(6) as threads:
            answers = Counter(threads.map(lambda _: use(shop, body), range(12)))
        assert answers == {(200, ""): 1, DUPLICATE: 11}
        assert shop.left(c) == 90


class TestQueue:
    def test_a_use_is_accepted_and_counted_within_seconds(self, shop: Shop) -> None:
        """S107, autumn.md 1.2.3: from 2.5 on that is the default."""
        c = shop.customer(monthly(100))
        body = {"customer_id": c, "feature_id": "messages", "value": 1, "async": True}
        answer = shop.raw("track", body, "1.2.0")
        placeholder = {"id": "placeholder", "code": "event_received", "customer_id": c, "feature_id": "messages"}
        assert (answer.status_code, answer.json()) == (202, placeholder)
        tracked = shop.autumn.track(customer_id=c, feature_id="messages", value=2)
        assert (tracked.customer_id, tracked.value, tracked.balance) == (c, 2, None)
        for version, status in (("2.3.0", 200), ("2.5.0", 202), (None, 202)):
            sent = shop.raw("track", {"customer_id": c, "feature_id": "messages", "value": 4}, version)
            assert sent.status_code == status
        wait_for(lambda: shop.left(c) == 85, 30, "five uses of 15 in all")

    def test_what_no_feature_knows_is_refused_at_once(self, shop: Shop) -> None:
        """autumn.md 3.12: but the customer is not looked up."""
        names: Any = (({"feature_id": "nothing"}, "feature_not_found"), ({"event_name": "nothing"}, "invalid_request"))
        for unknown, code in names:
            with refused(404, code):
                shop.autumn.track(customer_id="customer-1", **unknown)

    def test_an_accepted_key_is_kept(self, shop: Shop) -> None:
        """autumn.md 3.12: a body key is claimed when the use is accepted."""
        c = shop.customer(monthly(100))
        body = {"customer_id": c, "feature_id": "messages", "value": 10, "idempotency_key": new()}
        assert [use(shop, {**body, "async": True})[0] for _ in range(2)] == [202, 409]
        assert use(shop, body) == DUPLICATE
        wait_for(lambda: shop.left(c) == 90, 30, "one use of 10")

    def test_a_batch_is_counted_item_by_item(self, shop: Shop) -> None:
        """S266, autumn.md 3.12: an item's own key counts it once, in this batch or another."""
        c, key = shop.customer(monthly(5000), monthly(100, "action1"), entities=1), new()
        same = {"customer_id": c, "feature_id": "messages", "value": 500, "idempotency_key": key}
        mixed: Any = [
            same,
            {"customer_id": c, "event_name": "action-event", "value": 7},
            {"customer_id": c, "feature_id": "messages", "entity_id": "e1", "properties": {"n": 1}},
        ]
        unknown: Any = {"customer_id": new(), "feature_id": "messages"}  # counts nothing, and stands in nobody's way
        assert shop.autumn.batch_track(request=[unknown, *mixed]).success
        assert shop.raw("balances.batch_track", [same]).json() == {"success": True}
        full = [{"customer_id": c, "feature_id": "messages"}] * 1000
        answer = shop.raw("balances.batch_track", full)
        assert (answer.status_code, answer.json()) == (202, {"success": True})
        wait_for(lambda: shop.left(c) == 5000 - 500 - 1 - 1000, 60, "1,002 uses")
        wait_for(lambda: shop.left(c, "action1") == 93, 30, "the event")

    @pytest.mark.parametrize(
        "items",
        [
            [],
            [{"customer_id": "customer-1", "feature_id": "messages"}] * 1001,
            [{"customer_id": "customer-1"}],
            [{"customer_id": "customer-1", "feature_id": "messages", "event_name": "action-event"}],
            [{"customer_id": "customer-1", "feature_id": "messages"}, {"feature_id": "messages"}],
            {"customer_id": "customer-1", "feature_id": "messages"},
        ],
    )
    def test_a_batch_that_breaks_a_rule_is_refused_whole(self, shop: Shop, items: Any) -> None:
        """S266."""
        answer = shop.raw("balances.batch_track", items)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_inputs")

    def test_a_batch_needs_a_key(self, stack: Stack) -> None:
        """S266."""
        item = {"customer_id": "customer-1", "feature_id": "messages"}
        answer = httpx.post(f"{stack.url}/v1/balances.batch_track", json=[item], trust_env=False, timeout=30)
        assert answer.status_code == 401


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(6) as threads:
        return list(threads.map(call, range(count)))


class TestConcurrency:
    def test_exactly_what_there_is_is_allowed(self, shop: Shop) -> None:
        """S046 and S047: 7 checks against 5 seats; 30 of 2 against 50, and what is read right after."""
        c = shop.customer(seats(5, "workflows"), monthly(50))

        def ask(feature: str, required: float) -> bool:
            return shop.may(c, required, feature, send_event=True)

        assert at_once(7, lambda _: ask("workflows", 1)).count(True) == 5
        assert at_once(30, lambda _: ask("messages", 2)).count(True) == 25
        assert not ask("workflows", 1)
        assert not ask("messages", 2)
        held = shop.autumn.customers.get(customer_id=c).balances
        assert [gru(held[id]) for id in ("workflows", "messages")] == [(5, 0, 5), (50, 0, 50)]

    def test_capped_uses_all_succeed_and_take_no_more(self, shop: Shop) -> None:
        """S125."""
        c = shop.customer(lifetime(5))
        assert at_once(5, lambda _: shop.track(c, 10).value) == [10] * 5
        assert gru(shop.balance(c)) == (5, 0, 5)

    def test_one_entitys_overage_is_capped(self, shop: Shop) -> None:
        """S127: per-entity consumable 500 max 100, 5 entities; five of 200 on one."""
        c = shop.customer(per_entity(consumable(500, most=100)), entities=5)
        answers = at_once(5, lambda _: shop.rejected(c, 200, entity_id="e1"))
        assert Counter(answers) == {None: 3, "insufficient_balance": 2}
        assert gru(shop.balance(c, entity="e1")) == (500, 0, 600)
        assert [shop.left(c, entity=e) for e in ("e2", "e5", None)] == [500, 500, 2000]

    def test_several_features_keep_their_own_counts(self, shop: Shop) -> None:
        """S158: 5 seats and 20 messages at once, of 10 and 50."""
        c = shop.customer(seats(10), monthly(50))
        at_once(25, lambda n: shop.track(c, 1, "users" if n % 5 == 0 else "messages"))
        assert [shop.left(c, feature) for feature in ("users", "messages")] == [5, 30]
