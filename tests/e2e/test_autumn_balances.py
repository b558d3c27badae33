"""`balances.create`, `.update`, `.delete` and `.list` through autumn-sdk (autumn.md 3.8, 5.10).

Rules: autumn.md 1.2.4, 2.3.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.fixture import (
    DAY,
    Shop,
    consumable,
    gru,
    lifetime,
    monthly,
    new,
    per_entity,
    prepaid,
    refused,
    seats,
)

HOUR_AHEAD = 3_600_000


def soon(ms: int = HOUR_AHEAD) -> int:
    return time.time_ns() // 1_000_000 + ms


@pytest.fixture(scope="module")
def somebody(shop: Shop) -> str:
    """A customer for requests that are all refused: 100 messages a month, 50 seats, credits for ever, and e1."""
    return shop.customer(monthly(100), seats(50), lifetime(10, "credits"), entities=1)


def create(shop: Shop, customer: str, feature: str = "messages", **more: Any) -> None:
    assert shop.autumn.balances.create(customer_id=customer, feature_id=feature, **more).success


def update(shop: Shop, customer: str, feature: str = "messages", **more: Any) -> None:
    assert shop.autumn.balances.update(customer_id=customer, feature_id=feature, **more).success


def delete(shop: Shop, customer: str, **more: Any) -> None:
    assert shop.autumn.balances.delete(customer_id=customer, **more).success


class TestCreate:
    def test_a_balance_beside_any_plan(self, shop: Shop) -> None:
        """S064, S065, S067."""
        c = shop.customer()
        create(shop, c, included_grant=500)
        create(shop, c, "users", unlimited=True)
        create(shop, c, "action1", included_grant=1000, reset={"interval": "month"})
        balance = shop.balance(c)
        assert (gru(balance), balance.breakdown[0].plan_id) == ((500, 500, 0), None)
        assert [shop.may(c, required) for required in (400, 999)] == [True, False]
        assert shop.balance(c, "users").unlimited
        assert shop.may(c, 999_999, "users")
        (grant,) = shop.balance(c, "action1").breakdown
        assert (grant.reset.interval, grant.plan_id) == ("month", None)
        assert soon(27 * DAY) < grant.reset.resets_at <= soon(31 * DAY)

    def test_entities_hold_balances_of_their_own(self, shop: Shop) -> None:
        """S068."""
        c = shop.customer(entities=2)
        for entity, included in (("e1", 100), ("e2", 500)):
            create(shop, c, entity_id=entity, included_grant=included)
        assert [shop.left(c, entity=e) for e in ("e1", "e2", None)] == [100, 500, 600]
        assert not shop.may(c, 200, entity_id="e1")
        assert shop.balance(c, entity="e1").breakdown[0].source == "entity"
        assert not shop.may(c)  # autumn.md 2: what entities hold alone is shown to the customer, not granted

    def test_the_sooner_to_expire_is_drawn_first(self, shop: Shop) -> None:
        """S089."""
        c = shop.customer()
        for days in (365, 30):
            create(shop, c, "credits", included_grant=100, expires_at=soon(days * DAY), balance_id=f"d{days}")
        shop.track(c, 60, "credits")
        assert {grant.id: grant.remaining for grant in shop.balance(c, "credits").breakdown} == {"d30": 40, "d365": 100}

    @pytest.mark.parametrize(
        ("fields", "status", "code"),
        [
            ({}, 400, "invalid_inputs"),
            ({"included_grant": 1, "unlimited": True}, 400, "invalid_inputs"),
            ({"included_grant": -1}, 400, "invalid_inputs"),
            ({"unlimited": True, "reset": {"interval": "month"}}, 400, "invalid_inputs"),
            ({"feature_id": "dashboard", "included_grant": 1}, 400, "invalid_inputs"),
            ({"feature_id": "dashboard", "unlimited": True}, 400, "invalid_inputs"),
            ({"included_grant": 1, "next_reset_at": "ahead"}, 400, "invalid_inputs"),
            ({"included_grant": 1, "reset": {"interval": "month"}, "next_reset_at": 1}, 400, "invalid_inputs"),
            ({"included_grant": 1, "expires_at": 1}, 400, "invalid_inputs"),
            (
                {"included_grant": 1, "reset": {"interval": "month"}, "next_reset_at": "ahead", "expires_at": "ahead"},
                400,
                "invalid_inputs",
            ),
            ({"feature_id": "users", "included_grant": 1, "entity_id": "e1"}, 400, "invalid_request"),
            ({"included_grant": 1, "entity_id": "nobody"}, 404, "entity_not_found"),
            ({"feature_id": "nothing", "included_grant": 1}, 404, "feature_not_found"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, shop: Shop, somebody: str, fields: dict[str, Any], status: int, code: str
    ) -> None:
        asked = {"customer_id": somebody, "feature_id": "messages"} | fields
        given: dict[str, Any] = {name: soon() if value == "ahead" else value for name, value in asked.items()}
        with refused(status, code):
            shop.autumn.balances.create(**given)
        assert len(shop.balance(somebody).breakdown) == 1

    @pytest.mark.parametrize(
        "fields",
        [
            {"feature_id": "users"},
            {"reset": {"interval": "one_off"}},
            {},
            {"reset": {"interval": "month"}, "expires_at": "tomorrow"},
        ],
    )
    def test_only_what_resets_rolls_over(self, shop: Shop, somebody: str, fields: dict[str, Any]) -> None:
        """S233: not seats, not without a reset, not what expires before the next reset."""
        given: dict[str, Any] = {name: soon(DAY) if value == "tomorrow" else value for name, value in fields.items()}
        rule: Any = {"max": 500, "duration": "month", "length": 1}
        body = {"customer_id": somebody, "feature_id": "messages", "included_grant": 400, "rollover": rule} | given
        with refused(400, "invalid_inputs"):
            shop.autumn.balances.create(**body)

    def test_an_id_and_a_flag_are_held_once(self, shop: Shop) -> None:
        """autumn.md 3.8: 409 for the same customer; another may have it."""
        first, second, id = shop.customer(), shop.customer(), new("bal")
        for c in (first, second):
            create(shop, c, included_grant=5, balance_id=id)
            create(shop, c, "dashboard")
            assert shop.may(c, 1, "dashboard")
        with refused(400, "invalid_request"):
            create(shop, first, "words", included_grant=5, balance_id=id)
        with refused(400, "invalid_request"):
            create(shop, first, "dashboard")
        assert shop.balance(first, "words") is None


class TestUpdate:
    def test_remaining_is_set_and_the_grant_stays(self, shop: Shop) -> None:
        """S220: usage follows, below zero too."""
        c = shop.customer(monthly(100), monthly(100, "credits"))
        for target in (80, 120, 0, 50):
            update(shop, c, remaining=target)
            assert gru(shop.balance(c)) == (100, target, 100 - target)
        shop.track(c, 20)
        assert gru(shop.balance(c)) == (100, 30, 70)
        for left, used in ((72.65, 27.35), (0.01, 99.99)):
            update(shop, c, "credits", remaining=left)
            assert gru(shop.balance(c, "credits")) == (100, left, used)
        update(shop, c, add_to_balance=5.5)
        assert shop.left(c) == 35.5

    def test_usage_and_the_grant_are_set(self, shop: Shop) -> None:
        """S230."""
        c = shop.customer(monthly(100))
        update(shop, c, included_grant=150, remaining=150)
        assert gru(shop.balance(c)) == (150, 150, 0)
        update(shop, c, usage=120)
        assert gru(shop.balance(c)) == (150, 30, 120)

    def test_one_grant_is_named_by_its_id(self, shop: Shop) -> None:
        """S223: 100, 150 and 200, granted 450 throughout."""
        c = shop.customer(monthly(100))
        for extra in (150, 200):
            shop.attach(c, monthly(extra), add_on=True)
        ids = {grant.included_grant: grant.id for grant in shop.balance(c).breakdown}
        for grant, target, total, used in ((100, 80, 430, 20), (150, 200, 480, -30), (200, 50, 330, 120)):
            update(shop, c, remaining=target, balance_id=ids[grant])
            assert gru(shop.balance(c)) == (450, total, used)

    def test_an_entitys_share_is_its_own(self, shop: Shop) -> None:
        """S227."""
        c = shop.customer(per_entity(monthly(100)), entities=3)
        for entity, target, total in (("e1", 70, 270), ("e2", 120, 290), ("e3", 50, 240)):
            update(shop, c, entity_id=entity, remaining=target)
            assert gru(shop.balance(c, entity=entity)) == (100, target, 100 - target)
            assert gru(shop.balance(c)) == (300, total, 300 - total)

    def test_a_reset_is_moved(self, shop: Shop) -> None:
        """S236: of the grant that resets first, or of those of an interval; not of a lifetime grant."""
        c, moment = shop.customer(monthly(100), lifetime(50)), soon(7 * DAY)
        update(shop, c, next_reset_at=moment)
        grants = {grant.reset.interval: grant for grant in shop.balance(c).breakdown}
        assert (grants["month"].reset.resets_at, grants["one_off"].reset.resets_at) == (moment, None)
        assert gru(shop.balance(c)) == (150, 150, 0)
        with refused(400, "invalid_inputs"):
            update(shop, c, next_reset_at=moment, balance_id=grants["one_off"].id)
        with refused(400, "invalid_inputs"):
            update(shop, c, next_reset_at=1)
        update(shop, c, next_reset_at=moment + DAY, interval="month")
        assert shop.balance(c).next_reset_at == moment + DAY

    def test_an_expiry_is_set_where_nothing_is_paid(self, shop: Shop) -> None:
        c, moment = shop.customer(monthly(100), consumable(10, "words")), soon(7 * DAY)
        update(shop, c, expires_at=moment)
        assert shop.balance(c).breakdown[0].expires_at == moment
        with refused(400, "invalid_inputs"):
            update(shop, c, expires_at=1)
        with refused(400, "invalid_request"):
            update(shop, c, "words", expires_at=moment)

    def test_what_makes_no_sense_is_refused(self, shop: Shop, somebody: str) -> None:
        both: Any = ({}, {"remaining": 1, "usage": 1}, {"remaining": 1, "add_to_balance": 1})
        for fields in both:
            with refused(400, "invalid_inputs"):
                update(shop, somebody, **fields)
        own: Any = ({"included_grant": 5}, {"next_reset_at": soon()}, {"expires_at": soon()}, {"remaining": 5})
        for fields in own:
            with refused(404, "customer_entitlement_not_found"):
                update(shop, somebody, "words", **fields)
        assert shop.balance(somebody, "words") is None
        assert gru(shop.balance(somebody)) == (100, 100, 0)


class TestDelete:
    @pytest.fixture
    def pair(self, shop: Shop) -> str:
        """Standalone a = 100 and b = 200."""
        c = shop.customer()
        for id, grant in (("a", 100), ("b", 200)):
            create(shop, c, included_grant=grant, balance_id=id)
        return c

    @pytest.mark.parametrize(
        ("used", "recalculates", "left"), [(0, False, 200), (40, False, 200), (40, True, 160), (130, True, 70)]
    )
    def test_a_grant_goes_and_its_usage_is_charged_if_asked(
        self, shop: Shop, pair: str, used: float, recalculates: bool, left: float
    ) -> None:
        """S235."""
        if used:
            update(shop, pair, usage=used, balance_id="a")
        delete(shop, pair, feature_id="messages", balance_id="a", recalculate_balances=recalculates)
        balance = shop.balance(pair)
        assert [grant.id for grant in balance.breakdown] == ["b"]
        assert gru(balance) == (200, left, 200 - left)

    def test_usage_stays_where_no_grant_does(self, shop: Shop, pair: str) -> None:
        """S235: a used 40 and b used 30, both deleted: one grant, overdrawn by 70."""
        update(shop, pair, usage=40, balance_id="a")
        update(shop, pair, usage=30, balance_id="b")
        delete(shop, pair, feature_id="messages", recalculate_balances=True)
        found = shop.raw("check", {"customer_id": pair, "feature_id": "messages"}, "2.0.0").json()["balance"]
        (grant,) = found["breakdown"]
        for one in (found, grant):
            names = ("granted_balance", "purchased_balance", "current_balance", "usage")
            assert [one[name] for name in names] == [0, 70, 0, 70]
        assert grant["reset"] == {"interval": "one_off", "resets_at": None}

    def test_what_cannot_be_deleted_is_told(self, shop: Shop, pair: str) -> None:
        """S235: 400, 409 for a paid grant, 404 for none."""
        with refused(400, "invalid_inputs"):
            delete(shop, pair, balance_id="a", recalculate_balances=True)
        with refused(404, "invalid_request"):
            delete(shop, pair, feature_id="messages", balance_id="c")
        assert gru(shop.balance(pair)) == (300, 300, 0)
        paid = shop.customer(prepaid(10, 5), monthly(5, "words"))
        with refused(409, "invalid_request"):
            delete(shop, paid, feature_id="messages")
        delete(shop, paid, feature_id="words")
        assert shop.balance(paid, "words") is None


class TestList:
    def test_grants_are_listed_filtered_and_paged(self, shop: Shop) -> None:
        """autumn.md 1.2, 1.5.2: by customer, entity, plan (null: standalone), feature and status."""
        c = shop.customer(monthly(100), per_entity(monthly(5, "words")), entities=2)
        shop.now(c, soon(0))
        create(shop, c, included_grant=7, balance_id="own", expires_at=soon())
        balances, plan = shop.autumn.balances, shop.balance(c).breakdown[0].plan_id
        every = balances.list(customer_id=c)
        assert (len(every.list), every.has_more, every.next_cursor) == (3, False, None)
        assert {(grant.feature_id, grant.entity_id) for grant in every.list} == {
            ("messages", None),
            ("words", None),
        }
        assert {(grant.customer_id, grant.status) for grant in every.list} == {(c, "active")}
        (own,) = balances.list(customer_id=c, plan_id=None).list
        assert (own.id, own.included_grant, own.rollovers) == ("own", 7, [])
        assert len(balances.list(customer_id=c, plan_id=plan).list) == 2
        (mine,) = balances.list(customer_id=c, entity_id="e1").list
        assert (mine.feature_id, mine.entity_id, mine.included_grant) == ("words", "e1", 5)
        assert len(balances.list(customer_id=c, feature_id="messages").list) == 2
        seen, cursor = [], ""
        while True:
            page = balances.list(customer_id=c, limit=1, start_cursor=cursor)
            assert (len(page.list), page.has_more) == (1, page.next_cursor is not None)
            seen += [grant.id for grant in page.list]
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
        assert (len(seen), set(seen)) == (3, {grant.id for grant in every.list})
        shop.now(c, soon(2 * HOUR_AHEAD))
        assert balances.list(customer_id=c, statuses=["expired"]).list == []  # its end is told, and it is gone
        assert len(balances.list(customer_id=c).list) == 2
        with refused(400, "invalid_inputs"):
            balances.list(customer_id=c, start_cursor="no cursor")
