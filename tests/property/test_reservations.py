"""Units are conserved, whatever order holds, finalizations, expiries, uses, resets and plan changes come in.

The model beside the domain keeps an hourly grant and a lifetime grant as plain numbers, and does every instant's changes one by
one, in the order in which they happen.

Rules: autumn.md 3.3, 3.11.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scenario import CATALOG, HOUR, NOW, Scenario, every, lifetime
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Overage, UseRequest
from tollgate.domain.periods import Interval
from tollgate.domain.plan_grants import ALL_USAGES
from tollgate.domain.reservations import HoldTerms, Reservation, finalize_hold, hold

ZERO = Decimal(0)
HOURLY, LIFETIME = Decimal(50), Decimal(100)
MESSAGES = CATALOG.feature("messages")


@dataclass
class Held:
    """A hold of the model: what it took of each grant, in order, and until when."""

    parts: list[tuple[int, Decimal]]
    until: int

    @property
    def total(self) -> Decimal:
        return sum((amount for _, amount in self.parts), ZERO)


@dataclass
class Model:
    """The two grants, first to last, and the holds that live. `hour` is the hourly grant's next reset."""

    used: list[Decimal] = field(default_factory=lambda: [ZERO, ZERO])
    holds: dict[str, Held] = field(default_factory=dict)
    now: int = NOW
    hour: int = NOW + HOUR

    @property
    def left(self) -> list[Decimal]:
        return [HOURLY - self.used[0], LIFETIME - self.used[1]]

    def advance(self, to: int) -> None:
        while True:
            due = min([self.hour, *(held.until for held in self.holds.values())])
            if due > to:
                break
            if (
                self.hour == due
            ):  # before what expires at the same instant: a reset makes the grant whole, holds and all
                self.used[0] = ZERO
                self.hour += HOUR
                for held in self.holds.values():
                    held.parts = [(grant, amount) for grant, amount in held.parts if grant != 0]
            for id, held in list(self.holds.items()):
                if held.until == due:
                    self.give_back(held.parts)
                    del self.holds[id]
        self.now = to

    def draw(self, amount: Decimal) -> list[tuple[int, Decimal]]:
        """Takes what there is, the hourly grant first."""
        taken = []
        for grant in (0, 1):
            part = min(amount, self.left[grant])
            if part > 0:
                self.used[grant] += part
                amount -= part
                taken.append((grant, part))
        return taken

    def give_back(self, parts: list[tuple[int, Decimal]]) -> None:
        """Each part to its grant: what is held of a grant is not given back by anybody else, so that all of it fits."""
        for grant, amount in parts:
            self.used[grant] -= amount

    def refund(self, amount: Decimal) -> None:
        for grant in (0, 1):
            held = sum((part for held in self.holds.values() for of, part in held.parts if of == grant), ZERO)
            back = min(amount, max(ZERO, self.used[grant] - held))
            self.used[grant] -= back
            amount -= back

    def hold(self, id: str, amount: Decimal, until: int) -> bool:
        if amount > sum(self.left):
            return False
        self.holds[id] = Held(self.draw(amount), until)
        return True

    def apply_spent(self, id: str, final: Decimal | None, held: Decimal) -> None:
        live = self.holds.pop(id)
        if final is None or final == held:
            return
        if final > held:
            self.draw(final - held)
            return
        undone: list[tuple[int, Decimal]] = []
        back = held - final
        for grant, amount in reversed(live.parts):
            part = min(back, amount)
            back -= part
            if part:
                undone.insert(0, (grant, part))
        self.give_back(undone)


amounts = st.decimals(min_value="0.1", max_value=80, places=1)
steps = st.one_of(
    st.tuples(st.just("hold"), amounts, st.integers(1, 150)),
    st.tuples(st.just("confirm"), st.integers(0, 5), st.none() | st.decimals(min_value=0, max_value=90, places=1)),
    st.tuples(st.just("track"), amounts),
    st.tuples(st.just("refund"), amounts),
    st.tuples(st.just("add"), amounts),
    st.tuples(st.just("wait"), st.integers(1, 100)),
    st.tuples(st.just("upgrade")),
)


@given(st.lists(steps, max_size=25))
def test_any_interleaving_does_what_happens_one_by_one(sequence: list[tuple[object, ...]]) -> None:
    customer, model = Scenario(), Model()
    customer.attach(every(Interval.HOUR, 50), lifetime(100), group="main")
    locks: dict[str, Reservation] = {}
    for number, step in enumerate(sequence):
        kind, *arguments = step
        balances = customer.holdings.balances
        if kind == "wait":
            minutes = arguments[0]
            assert isinstance(minutes, int)
            customer.later(minutes * 60_000)
            model.advance(customer.now)
        elif kind == "hold":
            amount, minutes = arguments
            assert isinstance(amount, Decimal)
            assert isinstance(minutes, int)
            id, until = f"lock{number}", customer.now + minutes * 60_000
            decision = hold(
                UseRequest(MESSAGES, (), "", amount, Overage.REJECT), HoldTerms(id, until), balances, customer.now
            )
            assert decision.allowed == model.hold(id, amount, until)
            if decision.allowed:
                locks[id] = Reservation(id, id, "c1", "messages", "", amount, amount, (), customer.now, until)
            customer.holdings = replace(customer.holdings, balances={**balances, **decision.balances})
        elif kind == "confirm":
            index, final = arguments
            assert isinstance(index, int)
            assert final is None or isinstance(final, Decimal)
            live = sorted(model.holds)
            if not live:
                continue
            id = live[index % len(live)]
            finalized = finalize_hold(
                UseRequest(MESSAGES, (), locks[id].entity_id), locks[id], final, balances, customer.now
            )
            model.apply_spent(id, final, locks[id].held)
            customer.holdings = replace(customer.holdings, balances={**balances, **finalized.balances})
        elif kind == "upgrade":
            if not model.holds:  # what a plan change does to holds has tests of its own
                items = (every(Interval.HOUR, 50), lifetime(100))
                customer.attach(*items, group="main", carry_over=ALL_USAGES)
        else:
            (amount,) = arguments
            assert isinstance(amount, Decimal)
            if kind == "track":
                customer.track(float(amount))
                model.draw(amount)
            elif kind == "add":
                customer.update(add=float(amount))
                model.used[0] -= amount
            else:
                customer.track(-float(amount))
                model.refund(amount)
        grants = customer.balance().grants
        assert [grant.remaining for grant in grants] == model.left
        assert {held.id for held in customer.holdings.balances[BalanceKey("messages")].holds} >= set(model.holds)
        reserved = {held.id: held.reserved(grants) for held in customer.balance().holds}
        assert reserved == {id: held.total for id, held in model.holds.items()}
