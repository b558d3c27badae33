"""However grants are put together to be shown, nothing of them is lost, and none is told twice.

Rules: autumn.md 1.5.2, 1.5.3.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import T0, grants
from tollgate.domain.balances import Balance, BalanceKey, recomputed
from tollgate.domain.drawing import totals
from tollgate.domain.grants import Grant
from tollgate.domain.holds import Hold, Part
from tollgate.domain.quantities import ZERO
from tollgate.domain.views import shown_ids, view

OWNERS = ("", "e1", "e2")


@st.composite
def holdings(draw: st.DrawFn) -> dict[BalanceKey, Balance]:
    """The balances of one feature, of a customer and two entities, with few plans among them."""
    found = {}
    for owner in OWNERS:
        held = []
        for number, grant in enumerate(draw(st.lists(grants(), max_size=4))):
            subscription = draw(st.sampled_from(["sub_1", "sub_2", None]))
            share = bool(owner) and subscription is not None and draw(st.booleans())
            held.append(
                grant._replace(
                    id=f"{subscription or 'own'}:{number}:{owner}" if share else f"{subscription}{owner}:{number}",
                    plan_id=subscription and draw(st.sampled_from(["pro", "pack"])),
                    subscription_id=subscription,
                    entity_share=share,
                    starts_at=None,
                    expires_at=draw(st.sampled_from([None, T0 + 1])),
                )
            )
        found[BalanceKey("messages", owner)] = recomputed(Balance(BalanceKey("messages", owner), tuple(held)))
    return found


@given(holdings(), st.sampled_from(OWNERS))
def test_lines_add_up_to_the_balance(balances: dict[BalanceKey, Balance], viewer: str) -> None:
    """All that is seen counts in the totals; each grant has one line, but those that an entity alone holds."""
    owners = OWNERS if not viewer else ("", viewer)
    seen = [(grant, owner) for owner in owners for grant in balances[BalanceKey("messages", owner)].grants]
    found = view("messages", viewer, balances)
    if not seen:
        assert found is None
        return
    assert found is not None
    unlimited = [grant for grant, _ in seen if grant.unlimited]
    if unlimited:
        assert found.totals == totals(unlimited)
        assert len([line for line in found.lines if line.first.unlimited]) <= 1
        return
    assert found.totals == totals(grant for grant, _ in seen)
    lined = [grant for grant, owner in seen if viewer or not owner or grant.entity_share]
    shown = [shown.grant for line in found.lines for shown in line.grants]
    assert sorted(map(repr, shown)) == sorted(map(repr, lined))
    assert sum((line.included + line.prepaid for line in found.lines), ZERO) == total(lined, "total")
    assert sum((line.usage for line in found.lines), ZERO) == total(lined, "used")
    assert sum((line.overage for line in found.lines), ZERO) == total(lined, "overdrawn")
    rolled = total(lined, "rolled")
    assert sum((rollover.remaining for rollover in found.rollovers or ()), ZERO) == rolled
    remaining = sum((line.remaining for line in found.lines), ZERO)
    assert remaining + rolled == totals(lined).remaining
    for line in found.lines:
        assert line.included + line.prepaid + line.overage - line.remaining == line.usage


@given(holdings(), st.sampled_from(OWNERS))
def test_a_line_is_of_one_plan_and_interval(balances: dict[BalanceKey, Balance], viewer: str) -> None:
    """And what no plan gave has a line of its own. Every grant is found under the id of its line."""
    found = view("messages", viewer, balances)
    ids = shown_ids("messages", viewer, balances)
    for line in found.lines if found else ():
        plans = {shown.grant.plan_id for shown in line.grants}
        if not line.first.unlimited:
            periods = {(s.grant.reset.nominal_ms and s.grant.reset) if s.grant.reset else 0 for s in line.grants}
            assert (len(plans), len({period or None for period in periods})) == (1, 1)
            assert None not in plans or len(line.grants) == 1
        assert {ids[shown.grant.id] for shown in line.grants} == {line.id}


def total(grants: list[Grant], name: str) -> Decimal:
    return sum((getattr(grant, name) for grant in grants), ZERO)


@st.composite
def held(draw: st.DrawFn, balances: dict[BalanceKey, Balance]) -> dict[BalanceKey, Balance]:
    """The same with holds that drew from the grants and their rollovers, or gave back."""
    found = {}
    for key, balance in balances.items():
        parts = [
            Part(number, grant.id, Decimal(draw(st.integers(-5, 50))), draw(st.sampled_from([None, T0 + 1, -1])))
            for number, grant in enumerate(balance.grants)
        ]
        found[key] = balance._replace(holds=(Hold("h1", T0 + 1, tuple(parts)), Hold("h2", T0 + 2, tuple(parts[:1]))))
    return found


@given(holdings().flatmap(held), st.sampled_from(OWNERS))
def test_what_is_reserved_of_lines_adds_up_to_what_is_reserved_of_the_balance(
    balances: dict[BalanceKey, Balance], viewer: str
) -> None:
    """But for what is held of grants without a line: those that an entity alone holds, as its customer sees them. Where it
    is unlimited, what is held without a limit counts."""
    found = view("messages", viewer, balances)
    if found is None:
        return
    lines = [line for line in found.lines if line.first.unlimited == found.totals.unlimited]
    shown = {(each.key, each.grant.id) for line in lines for each in line.grants}
    owners = OWNERS if not viewer else ("", viewer)
    unseen = ZERO
    for key in (BalanceKey("messages", owner) for owner in owners):
        hidden = [
            grant
            for grant in balances[key].grants
            if (key, grant.id) not in shown and grant.unlimited == found.totals.unlimited
        ]
        unseen += sum((hold.reserved(hidden) for hold in balances[key].holds), ZERO)
    assert sum((line.reserved for line in lines), ZERO) + unseen == found.reserved
