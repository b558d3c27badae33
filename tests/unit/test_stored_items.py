"""Stored items are read for ever, and their layout never changes without a new version (docs/decisions/0007).

Rules: invariants.md 13.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.items.__main__ import is_written_today
from tests.items.kinds import KINDS, ROOT, SANDBOX, Kind, Value
from tests.items.values import arbitrary, full, left_at_default
from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.controls import Controls, SpendControl, UsageControl
from tollgate.domain.customers import Customer, Subscription
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import Grant, Rollover, RolloverRule
from tollgate.domain.holds import Hold, Part
from tollgate.domain.limits import Alert, Limits, SpendLimit, Threshold, Window
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import ItemPrice, Plan, PlanItem
from tollgate.domain.reservations import Reservation
from tollgate.domain.usage_events import UsageEvent
from tollgate.domain.use_records import CountedUse, UseRecord
from tollgate.store import keys
from tollgate.store.codecs.balances import decode_balance, new_item, state_update
from tollgate.store.codecs.layout import Layout

d = Decimal
NOW = 1_767_225_600_000
MONTHLY, HOURLY = Reset(Interval.MONTH), Reset(Interval.HOUR)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
KEPT = [
    (kind, version, number) for kind in KINDS for version in kind.versions for number in range(len(kind.items(version)))
]


def kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def kept(name: str, version: int, number: int) -> Any:
    """What an item that is kept holds, as it is read today."""
    found = kind(name)
    value = found.read(found.items(version)[number])
    return value[0] if len(value) == 1 else value


@pytest.mark.parametrize(("kind", "version", "number"), KEPT, ids=[f"{k.name}-{v}-{n}" for k, v, n in KEPT])
def test_an_item_of_any_version_is_read_and_written_anew_without_loss(kind: Kind, version: int, number: int) -> None:
    item = kind.items(version)[number]
    anew = kind.rewritten(item)
    assert kind.read(anew) == kind.read(item)
    assert not kind.marked or anew["v"] == {"N": str(kind.layout.version)}


def test_there_are_items_of_every_kind_in_every_version() -> None:
    assert {path.stem for path in ROOT.glob("*/*.json")} == {kind.name for kind in KINDS}
    for kind in KINDS:
        assert kind.versions[: kind.layout.version + 1] == list(range(kind.layout.version + 1)), kind.name


@every_kind
def test_a_layout_does_not_change_without_a_new_version(kind: Kind) -> None:
    """If this fails, raise the layout's version, read the older ones too, and run `python -m tests.items`."""
    assert is_written_today(kind)
    newest = kind.items(kind.layout.version)
    assert [] in [left_at_default(kind.read(item)) for item in newest], "no item has every field set"


@every_kind
@given(data=st.data())
def test_whatever_is_written_is_read_again(kind: Kind, data: st.DataObject) -> None:
    value = tuple(data.draw(arbitrary(of)) for of in kind.holds)
    assert kind.read(kind.sample(value)) == value


@every_kind
def test_every_field_is_stored(kind: Kind) -> None:
    """A field of the domain that a codec does not know would come back as its default."""
    value: Value = tuple(full(of, f"value_{number}") for number, of in enumerate(kind.holds))
    assert left_at_default(value) == []
    assert kind.read(kind.sample(value)) == value


def test_a_layout_is_read_before_it_is_written() -> None:
    layout = Layout("plan", version=1, reads=2)
    assert layout.mark == {"v": {"N": "1"}}
    assert [layout.version_of(item) for item in ({}, {"v": {"N": "1"}}, {"v": {"N": "2"}})] == [0, 1, 2]
    with pytest.raises(Unavailable):
        layout.version_of({"v": {"N": "3"}})


@every_kind
def test_an_item_of_a_newer_version_is_not_read_but_may_be_tried_again(kind: Kind) -> None:
    item = kind.items(kind.layout.version)[-1]
    newer = max(kind.layout.version, kind.layout.reads) + 1
    if kind.marked:
        item["v"] = {"N": str(newer)}
    else:
        item["event"] = {"S": json.dumps({**json.loads(item["event"]["S"]), "v": newer})}
    with pytest.raises(Unavailable, match=f"layout is {newer}"):
        kind.read(item)


def test_a_slow_write_of_an_old_balance_makes_it_one_of_todays() -> None:
    old = kind("customer_balance").items(0)[0]
    update = state_update(decode_balance(old).balance)
    assert "#v = :v" in update.sets
    assert update.values[":v"] == {"N": "1"}
    assert new_item({}, decode_balance(old).balance)["v"] == {"N": "1"}


# ------------------------------------------------- what items of version 0 say


def test_a_feature_and_a_credit_system() -> None:
    assert kept("catalog_feature", 0, 3) == Feature(
        "credits",
        "Credits",
        FeatureType.CREDIT_SYSTEM,
        credit_schema=(("action1", d("0.2")), ("action2", d("0.6"))),
    )
    assert kept("catalog_feature", 0, 5) == Feature(
        "f",
        "F",
        FeatureType.METERED,
        consumable=False,
        event_names=("e1",),
        display={"singular": "f", "plural": "fs"},
        created_at=NOW,
    )


PREPAID = ItemPrice(
    "prepaid", amount=d("0.5"), tiers=({"to": 10, "amount": d("1.5")},), tier_behavior="graduated", billing_units=d(1)
)
ITEMS = (
    PlanItem("messages", d(100), reset=HOURLY, rollover=RolloverRule(None, d(50), 3)),
    PlanItem("messages", d("0.1"), price=PREPAID),
    PlanItem("messages", d(7), soft_limit=True),
    PlanItem("messages", d(3), reset=MONTHLY, entity_feature_id="users"),
)


def test_a_stored_plan_is_read() -> None:
    name = "plan-805931012755"
    assert kept("catalog_plan", 0, 5) == Plan(name, name, items=ITEMS, in_use=True)


def test_a_stored_subscription_is_read() -> None:
    assert kept("customer_subscription", 0, 8) == Subscription(
        id="sub_caf8225177ec43509e2687c7a67d59be",
        plan_id="plan-805931012755",
        plan_version=1,
        group=None,
        add_on=False,
        auto_enable=False,
        started_at=NOW,
        created_at=NOW,
        items=ITEMS,
        quantities={"messages": d(20)},
        cycle=HOURLY,
        anchor=NOW,
        expires_at=1770465600000,
        ends_at=1770465600000,
    )


def test_a_customer_with_limits() -> None:
    usage = UsageControl("messages", d(500), Interval.DAY, utc=True, filter=(("region", "eu"),))
    controls = Controls(spend=(SpendControl(percentage=True, limit=d(20)),), usage=(usage,))
    assert kept("customer_customer", 0, 4) == (Customer("c1", created_at=NOW, controls=controls), 6)


def balance_of(customer_id: str, feature_id: str, **having: Any) -> Any:
    """The first balance of version 0 that has these attributes."""
    found = kind("customer_balance")
    return next(
        found.read(item)[0]
        for item in found.items(0)
        if item["pk"]["S"].endswith(f"#{customer_id}")
        and item["sk"]["S"] == f"BALANCE#{feature_id}#"
        and all(item.get(name) == value for name, value in having.items())
    )


def test_a_balance_that_a_reservation_holds_of() -> None:
    found = balance_of("customer-1", "llm_tokens")
    subscription, grant = "sub_e998fdfd207c466d823d42b02477217f", "sub_e998fdfd207c466d823d42b02477217f:1"
    assert found.balance == Balance(
        BalanceKey("llm_tokens"),
        (
            Grant(
                grant,
                "pro",
                subscription,
                d(200000),
                used=d("9250.5"),
                reset=MONTHLY,
                anchor=1795628349481,
                next_reset_at=1798220349481,
                created_at=1795628349481,
            ),
        ),
        headroom=d("190749.5"),
        ceiling=d("190749.5"),
        spent=d(0),
        fresh_until=1795714749602,
        holds=(Hold("92234f8bb000a4aaec76c3fc1624a580", 1795714749602, (Part(0, grant, d(8000)),)),),
    )
    assert found.version == 1795628349495
    assert found.use == UseRecord(
        "01a213ca-38a5-7706-86e5-a9072d8cacd4", d(8000), d(8000), 1795628349602, "key_example"
    )


def test_a_balance_with_limits_rollovers_and_what_others_paid_for() -> None:
    found = balance_of("c1", "messages", version={"N": "1795628506668"}).balance
    window = Window(d(500), Interval.DAY, 1767312000000, None, (("region", "eu"),))
    assert found.limits == Limits(spend=SpendLimit(d(20), True), windows=(window,))
    assert found.paid_first == {"@"}
    first, *_, by_hand = found.grants
    assert (first.rollover, first.rollovers) == (RolloverRule(None, d(50), 3), (Rollover(d(50), d(1), 1775005200000),))
    assert (first.used, first.used_elsewhere) == (d(-500), d(1))
    assert by_hand == Grant("g", None, None, d(1), anchor=1767229200000, created_at=1767229200000)
    alerts = balance_of("c1", "messages", version={"N": "1795628506859"}).balance.limits.alerts
    assert alerts == (Alert(Threshold.USAGE, d(3)),)


def test_the_marks_of_a_balance() -> None:
    found = balance_of("customer-1", "dashboard").balance
    assert (found.flag, found.has_test_clock, found.counted_by_customer, found.unpooled) == (True, True, False, False)


def test_a_write_that_counted_several_uses() -> None:
    found = balance_of("c1", "mean")
    assert found.use.uses[0] == CountedUse(
        "8edab8bb-7800-466d-b4ab-c36d4a309822",
        d(3),
        NOW,
        (("sub_d3e67c3a0c3442b3b021ed00e026b67c:0", d(3)),),
        {"n": 3, "region": "US"},
    )
    assert found.balance.grants[0].meters == {"mean": (d(7), d(2))}


def test_a_stored_reservation_is_read() -> None:
    reservation, state, key_id, _, finalized = kept("lock", 0, 0)
    assert reservation == Reservation(
        "lock-1",
        "3de4ec6d5e4c94ccc7266cb1deb45d43",
        "c1",
        "action1",
        "",
        d(8),
        d(8),
        ((BalanceKey("action1"), d(5)), (BalanceKey("credits"), d("0.6"))),
        NOW,
        1767312000000,
    )
    assert (state, key_id, finalized) == ("confirmed", "key_test", (d(12), NOW))


def test_an_event_of_a_customer_to_come() -> None:
    event, key_id, _ = kept("waiting", 0, 0)
    properties = {"n": d("2.50"), "region": "eu", "nested": {"k": [1]}}
    assert (event, key_id) == (UsageEvent("evt-1", "ada", "api.call", NOW, properties), "key_test")


def test_an_alert_may_be_named_as_its_basis_is() -> None:
    alert = Alert(Threshold.USAGE, d(3), name="balance")
    balance = Balance(BalanceKey("messages"), limits=Limits(alerts=(alert,)))
    key = keys.balance(CustomerRef(SANDBOX, "c1"), balance.key)
    assert decode_balance(new_item(key, balance)).balance == balance
