"""However many entities hold shares of a feature: what a check allows, the same use does, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import create_table
from tests.contract.test_large_changes import C1, with_entities
from tests.memory import fresh_url, memory
from tests.profiles import examples
from tests.service import FIXTURE, MONTHLY, NOW, SANDBOX, service
from tollgate.domain.controls import Controls, SpendControl
from tollgate.domain.decisions import Overage
from tollgate.domain.plans import USAGE_BASED, ItemPrice, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.usecases.commands import UseCommand

MOST = 5000 if examples(1) > 100 else 250
numbers = st.one_of(st.integers(1, 4), st.integers(97, 102), st.integers(1, MOST))
asked = st.lists(st.tuples(st.sampled_from(["", "e0000"]), st.integers(-300, 700)), min_size=1, max_size=5)


@settings(max_examples=examples(0.1))
@given(numbers, asked, st.sampled_from([None, 0, 7]), st.integers(0, 20))
def test_what_a_check_allows_the_same_use_does(
    number: int, steps: Sequence[tuple[str, int]], spend: int | None, own: int
) -> None:
    client = memory(fresh_url())
    here = service(client, create_table(client), FIXTURE)
    with_entities(here, number)
    price = None if spend is None else ItemPrice(USAGE_BASED, None, Decimal(1))
    share = PlanItem("messages", Decimal(3), reset=MONTHLY, price=price)
    here.attach("c1", [replace(share, entity_feature_id="users"), replace(share, included=Decimal(own))])
    if spend is not None:
        controls = Controls(spend=(SpendControl("messages", limit=Decimal(spend)),))
        here.customers.update(C1, lambda customer: replace(customer, controls=controls), NOW)
    for entity, amount in steps:
        before = sum(here.consumed("c1").values(), ZERO)
        use = UseCommand("c1", "messages", Decimal(amount), Overage.REJECT, entity_id=entity)
        allowed = here.checks.check(SANDBOX, use, NOW).allowed
        outcome = here.use("c1", amount, Overage.REJECT, entity=entity)
        assert outcome.allowed == allowed
        assert sum(here.consumed("c1").values(), ZERO) - before == outcome.drawn
