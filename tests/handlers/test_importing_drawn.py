"""Whatever customers Flexprice and Lotus have, and however their answers fail on the way, they arrive to the unit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handlers.conftest import a_place
from tests.handlers.test_importing import MANY_IN_ONE, held
from tests.handlers.test_importing_vendors import KEY, LIVE, run
from tests.profiles import examples
from tests.vendor_flexprice import SOLD, Buyer, FlexpriceService, Held
from tests.vendor_lotus import PLANS, LotusService, Owner, Taken
from tests.vendor_services import next_on, service
from tollgate.domain.balances import BalanceKey
from tollgate_cli.importing import client

pytestmark = pytest.mark.handlers
USED = st.decimals(min_value=-5, max_value=2000, places=3, allow_nan=False)
IDS = st.one_of(
    st.sampled_from(["a/b?c=1&d%20", "x/", "usage", "😀".encode().hex(), "a+b@c.example", "..", "a&b=c;d"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), min_size=1, max_size=12),
)
NAMES = st.one_of(
    st.none(), st.just(""), st.just("名前 🚀"), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "_FIRST_PAUSE", 0.001)
        yield


@st.composite
def bought(draw: st.DrawFn, number: int) -> Buyer:
    """A customer of Flexprice's with up to three subscriptions, some of which have ended, are tried or end soon."""
    plans = draw(st.lists(st.sampled_from(["starter", "pro", "rare"]), max_size=3))
    subscriptions = [
        Held(
            f"subs_{number}_{place}",
            plan,
            draw(st.integers(1, 27)),
            {id: draw(USED) for id in ("calls", "seats") if id in SOLD[plan]},
            draw(st.sampled_from(["active", "cancelled", *(["trialing"] if plan != "rare" else [])])),
            draw(st.sampled_from([(), (), ("boost",)])) if plan == "starter" else (),
            draw(st.booleans()),
        )
        for place, plan in enumerate(plans)
    ]
    return Buyer(draw(IDS), draw(NAMES), subscriptions)


BUYERS = st.integers(1, 7).flatmap(lambda many: st.tuples(*(bought(number) for number in range(many))))


@settings(max_examples=examples(0.1))
@given(buyers=BUYERS.filter(lambda buyers: len({b.external_id for b in buyers}) == len(buyers)))
def test_whatever_flexprice_has_arrives(buyers: tuple[Buyer, ...]) -> None:
    with (
        a_place(()) as here,
        service(FlexpriceService(buyers).routes(), KEY, every=13) as (url, _),
        tempfile.TemporaryDirectory() as scratch,
    ):
        told = run(here, "flexprice", url, Path(scratch))
        expected = {(b.external_id, "", f"id {b.id}") for b in buyers}
        for buyer in buyers:
            running = [h for h in buyer.held if h.status != "cancelled"]
            expected |= {(buyer.external_id, "calls", "usage") for h in running if h.addons and h.used["calls"]}
            there = held(here, buyer.external_id, LIVE)
            assert there.customer.name == (buyer.name or None)
            assert {s.id for s in there.subscriptions.values()} == {
                id for h in running for id in (h.id, *(f"{h.id}_{addon}" for addon in h.addons))
            }
            for one in running:
                own = {one.id, *(f"{one.id}_{addon}" for addon in one.addons)}
                for feature_id, used in one.used.items():
                    grants = [g for g in there.balances[BalanceKey(feature_id)].grants if g.subscription_id in own]
                    assert sum((g.used for g in grants), Decimal(0)) == used
                    limits = [
                        SOLD[owner][feature_id]["usage_limit"]
                        for owner in (one.plan, *one.addons)
                        if feature_id in SOLD[owner]
                    ]
                    assert sorted((g.unlimited, int(g.total)) for g in grants) == sorted(
                        (limit is None, limit or 0) for limit in limits
                    )
                    resets = {None if feature_id == "seats" else next_on(one.day)}
                    assert {g.next_reset_at for g in grants} == resets
        assert {(each.customer, each.feature, each.what) for each in told if each.customer} == expected
        assert all(each.reason.startswith(MANY_IN_ONE) for each in told if each.what == "usage")
        assert {each.feature for each in told if not each.customer} == {"knobs"}


@st.composite
def taken(draw: st.DrawFn, number: int) -> Owner:
    """A customer of Lotus's with up to two subscriptions, some of which have ended, do not renew or are of an old version."""
    subscriptions: list[Taken] = []
    for plan in draw(st.lists(st.sampled_from(sorted(PLANS)), max_size=2, unique=True)):
        version = draw(st.sampled_from(sorted(PLANS[plan])))
        metrics = [id for id in PLANS[plan][version] if id.startswith("metric_")]
        subscriptions.append(
            Taken(
                f"{number:016x}{len(subscriptions):016x}",
                plan,
                version,
                draw(st.integers(1, 27)),
                {id: abs(draw(USED)) for id in metrics},  # it shows no use below zero
                draw(st.sampled_from(["active", "active", "ended"])),
                draw(st.booleans()),
                tuple(draw(st.sampled_from([(), (("region", "eu/1"),)]))),
            )
        )
    return Owner(draw(IDS), draw(NAMES), subscriptions)


OWNERS = st.integers(1, 7).flatmap(lambda many: st.tuples(*(taken(number) for number in range(many))))


@settings(max_examples=examples(0.1))
@given(owners=OWNERS.filter(lambda owners: len({o.id for o in owners}) == len(owners)))
def test_whatever_lotus_has_arrives(owners: tuple[Owner, ...]) -> None:
    with (
        a_place(()) as here,
        service(LotusService(owners).routes(), KEY, every=13) as (url, _),
        tempfile.TemporaryDirectory() as scratch,
    ):
        told = run(here, "lotus", url, Path(scratch))
        for owner in owners:
            running = [s for s in owner.held if s.status == "active"]
            there = held(here, owner.id, LIVE)
            assert there.customer.name == owner.name
            assert {s.id: s.plan_version for s in there.subscriptions.values()} == {
                f"sub_{s.id}": s.version for s in running
            }
            for one in running:
                for metric_id, used in one.used.items():
                    (grant,) = (
                        g for g in there.balances[BalanceKey(metric_id)].grants if g.subscription_id == f"sub_{one.id}"
                    )
                    free, total = PLANS[one.plan][one.version][metric_id]
                    assert (grant.used, grant.unlimited, int(grant.total)) == (used, free is None, free or 0)
                    most = None if total is None or free is None or total == free else total - free
                    assert (grant.max_purchase, grant.next_reset_at) == (most, next_on(one.day))
        assert [each for each in told if each.customer] == []
