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
