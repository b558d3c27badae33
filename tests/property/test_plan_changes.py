"""Plans that change in any order: one main plan of a group runs, seats follow entities, an allowance is given once in a
period whatever ended its plan, and what is undone leaves no trace.

Rules: invariants.md 11, 12; management.md 5, 6, 7.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.scenario import CATALOG, DAY, HOUR, MONTH, NOW, d, lifetime, monthly, rolling, seats
from tollgate.domain.balances import BalanceKey, as_of
from tollgate.domain.customers import Customer, Entity, Holdings, linked
from tollgate.domain.decisions import Overage, UseRequest, use
from tollgate.domain.entities import add_entity, remove_entity
from tollgate.domain.errors import InvalidRequest, TollgateError
from tollgate.domain.manual_balances import BalanceFilter, BalanceUpdate, update
from tollgate.domain.periods import Interval
from tollgate.domain.plan_changes import returning
from tollgate.domain.plan_grants import Carried, CarryOver
from tollgate.domain.plans import BasePrice, FreeTrial, Plan
from tollgate.domain.reservations import HoldTerms, Reservation, finalize_hold, hold
from tollgate.domain.subscriptions import Terms, attach, cancel, uncancel, without_waiting_automatic

FREE = Plan("free", "", auto_enable=True, items=(monthly(10), seats(2)))
PLANS = (
    FREE,
    Plan("hobby", "", items=(monthly(20), seats(3))),
    Plan("basic", "", items=(monthly(50), seats(5)), price=BasePrice(d(5), Interval.MONTH)),
    Plan("pro", "", items=(monthly(500),), price=BasePrice(d(50), Interval.MONTH)),
    Plan("yearly", "", items=(monthly(500), seats(9)), price=BasePrice(d(400), Interval.YEAR)),
)
MOST = max(item.included for plan in PLANS for item in plan.items if item.feature_id == "messages")
MESSAGES, USERS = BalanceKey("messages"), BalanceKey("users")


class Life:
    """One customer, and what its uses were allowed. Ids of subscriptions are numbers in the order of attaching."""

    def __init__(self) -> None:
        self.now = NOW
        self.holdings = linked(Holdings(Customer("c", created_at=NOW)), CATALOG, NOW)
        self.made = 0
        self.held: Reservation | None = None
        self.attach(FREE, Terms())

    def attach(self, plan: Plan, terms: Terms) -> None:
        before = self.holdings
        self.holdings = attach(self._bare(), plan, CATALOG, self._id(), self.now, terms)
        self._automatic(before)

    def cancel(self, number: int, *, at_end: bool) -> None:
        before = self.holdings
        id = self._held(number)
        if before.subscriptions[id].auto_enable:
            self.holdings = cancel(before, CATALOG, id, self.now, at_end=at_end)
            return
        self.holdings = cancel(self._bare(), CATALOG, id, self.now, at_end=at_end)
        self._automatic(before)

    def uncancel(self, number: int) -> None:
        before = self.holdings
        self.holdings = uncancel(self._bare(), CATALOG, self._held(number), self.now)
        self._automatic(before)

    def use(self, amount: int) -> Decimal:
        request = UseRequest(CATALOG.feature("messages"), (), "", Decimal(amount))
        decision = use(request, self.holdings.balances, self.now)
        self.holdings = replace(self.holdings, balances={**self.holdings.balances, **decision.balances})
        return decision.drawn

    def add(self, amount: int) -> Decimal:
        """Adds so much by hand to what is left, where there is a balance; what was added."""
        try:
            change = BalanceUpdate(add=d(amount))
            self.holdings = update(self.holdings, CATALOG, BalanceFilter("messages"), change, self.now)
        except TollgateError:
            return Decimal(0)
        return d(amount)

    def hold(self, amount: int) -> Decimal:
        """Holds so much; what was held (nothing where there is less). One hold at a time."""
        request, id = UseRequest(CATALOG.feature("messages"), (), "", Decimal(amount), Overage.CAP), f"h{self.made}"
        decision = hold(request, HoldTerms(id, self.now + DAY), self.holdings.balances, self.now)
        self.holdings = replace(self.holdings, balances={**self.holdings.balances, **decision.balances})
        self.held = Reservation(id, id, "c", "messages", "", d(amount), decision.drawn, (), self.now, self.now + DAY)
        return decision.drawn

    def finalize(self, *, keep: bool) -> None:
        if self.held is None:
            return
        request = UseRequest(CATALOG.feature("messages"))
        final = None if keep else Decimal(0)
        decision = finalize_hold(request, self.held, final, self.holdings.balances, self.now)
        self.holdings = replace(self.holdings, balances={**self.holdings.balances, **decision.balances})
        self.held = None

    def seats(self, amount: int) -> Decimal:
        """Takes seats by hand."""
        request = UseRequest(CATALOG.feature("users"), (), "", Decimal(amount))
        decision = use(request, self.holdings.balances, self.now)
        self.holdings = replace(self.holdings, balances={**self.holdings.balances, **decision.balances})
        return decision.drawn

    def entity(self, number: int) -> None:
        id = f"e{number}"
        if id in self.holdings.entities:
            self.holdings = remove_entity(self.holdings, CATALOG, id, self.now)
        else:
            self.holdings = add_entity(self.holdings, CATALOG, Entity(id, "users"), self.now)

    def running(self) -> list[str]:
        return [s.plan_id for s in self.holdings.active(self.now)]

    def is_automatic(self, number: int) -> bool:
        """Whether it is the automatic plan that a cancellation of this number would be of."""
        return self.holdings.subscriptions[self._held(number)].auto_enable

    def _held(self, number: int) -> str:
        held = [s.id for s in self.holdings.subscriptions.values() if s.status(self.now) != "expired"]
        if not held:
            raise InvalidRequest("nothing is held")
        return held[number % len(held)]

    def _automatic(self, before: Holdings) -> None:
        for plan, at in returning(before, self.holdings, [FREE], CATALOG.features, self.now):
            terms = Terms(starts_at=at, automatic=True)
            self.holdings = attach(self.holdings, plan, CATALOG, self._id(), self.now, terms)

    def _bare(self) -> Holdings:
        return without_waiting_automatic(self.holdings, CATALOG, self.now)

    def _id(self) -> str:
        self.made += 1
        return f"s{self.made:02}"


CARRY = (None, CarryOver(Carried(True)), CarryOver(balances=Carried(True)))
steps = st.one_of(
    st.tuples(
        st.just("attach"),
        st.sampled_from(PLANS),
        st.sampled_from([None, "immediate", "end_of_cycle"]),
        st.sampled_from(CARRY),
    ),
    st.tuples(st.just("attach at"), st.sampled_from(PLANS), st.integers(-20, 40), st.sampled_from([None, 5, 30])),
    st.tuples(st.just("cancel"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("uncancel"), st.integers(0, 5)),
    st.tuples(st.just("use"), st.integers(1, 700)),
    st.tuples(st.just("entity"), st.integers(1, 6)),
    st.tuples(st.just("wait"), st.integers(0, 40)),
)
orders = st.lists(steps, max_size=14)


def step(life: Life, one: tuple[object, ...]) -> None:
    """One step; what is refused changes nothing."""
    kind, *arguments = one
    before = life.holdings
    try:
        match (kind, *arguments):
            case "attach", Plan() as plan, schedule, carry:
                life.attach(plan, Terms(schedule=schedule, carry_over=carry))  # type: ignore[arg-type]
            case "attach at", Plan() as plan, int(days), lasting:
                at = life.now + days * DAY
                ends_at = at + lasting * DAY if isinstance(lasting, int) else None
                life.attach(plan, Terms(starts_at=at, ends_at=ends_at, backdate=True))
            case "cancel", int(number), bool(at_end):
                life.cancel(number, at_end=at_end)
            case "uncancel", int(number):
                life.uncancel(number)
            case "use", int(amount):
                life.use(amount)
            case "entity", int(number):
                life.entity(number)
            case "wait", int(days):
                life.now += days * DAY
    except TollgateError:
        life.holdings = before


@given(orders, st.lists(st.integers(1, 400), max_size=4))
def test_at_most_one_main_plan_of_a_group_runs_at_any_time(order: list[tuple[object, ...]], later: list[int]) -> None:
    """invariants.md 11: whatever was done, now and ever after."""
    life = Life()
    for one in order:
        step(life, one)
        at = life.now
        for days in (0, *later):
            life.now = at + days * DAY
            assert len(life.running()) <= 1
            ids = {s.id for s in life.holdings.active(life.now)}
            grants = as_of(life.holdings.balances[MESSAGES], life.now).live_grants
            assert {grant.subscription_id for grant in grants} - {None} <= ids
        life.now = at


@given(orders, st.lists(st.integers(1, 400), max_size=4))
def test_somebody_who_has_the_free_plan_is_never_without_one(order: list[tuple[object, ...]], later: list[int]) -> None:
    """invariants.md 11: unless it is canceled itself, or given an end, a plan runs now and ever after."""
    life = Life()
    for one in order:
        if one[0] == "attach at" and one[1] is FREE:
            one = (*one[:3], None)
        if one[0] == "cancel" and life.is_automatic(one[1]):  # type: ignore[arg-type]
            continue
        step(life, one)
        at = life.now
        for days in (0, *later):
            life.now = at + days * DAY
            assert life.running()
        life.now = at


@given(orders)
def test_seats_in_use_are_the_entities_that_exist(order: list[tuple[object, ...]]) -> None:
    """invariants.md 12: now, and whatever starts and ends later."""
    life = Life()
    for one in order:
        step(life, one)
        for days in (0, 31, 62, 400):
            balance = life.holdings.balances.get(USERS)
            live = as_of(balance, life.now + days * DAY).live_grants if balance else ()
            if live:
                assert sum(grant.used for grant in live) == len(life.holdings.entities)
                assert not any(g.overdrawn for g in live) or not any(g.remaining > 0 for g in live)


@given(orders, st.integers(1, 700))
def test_what_is_held_is_never_more_than_was_granted(order: list[tuple[object, ...]], amount: int) -> None:
    """invariants.md 11: no order gives anybody more than the most generous plan, beside what was asked to be brought over."""
    life = Life()
    for one in order:
        if one[0] == "attach" and one[3] is CARRY[2]:
            one = (*one[:3], None)
        step(life, one)
        balance = as_of(life.holdings.balances[MESSAGES], life.now)
        held = sum((grant.remaining for grant in balance.live_grants), Decimal(0))
        assert held <= MOST
        assert life.use(amount) <= max(Decimal(0), held)


@given(orders)
def test_an_allowance_is_given_once_in_a_period(order: list[tuple[object, ...]]) -> None:
    """invariants.md 11: however often plans are attached, changed and canceled within a month, no more is used than each
    of them grants once, beside what was asked to be brought over."""
    life = Life()
    used = Decimal(0)
    for one in order:
        if one[0] == "wait" or (one[0] == "attach" and one[3] is CARRY[2]):
            continue
        if one[0] == "use":
            used += life.use(one[1])  # type: ignore[arg-type]
        else:
            step(life, one)
    assert used <= sum(item.included for plan in PLANS for item in plan.items if item.feature_id == "messages")


ENDING = (None, None, 1, 3, 8)
FEW = st.integers(0, 3)
TRIED = Plan(
    "tried", "", items=(monthly(40),), price=BasePrice(d(9), Interval.MONTH), free_trial=FreeTrial(4, Interval.DAY)
)
ROLLING = Plan("rolling", "", items=(monthly(30, rollover=rolling(100, 2)), lifetime(60)))
EXTRA = Plan("extra", "", add_on=True, items=(monthly(25), lifetime(15)))
WITHIN = (*PLANS, TRIED, ROLLING, EXTRA)
changes = st.one_of(
    st.tuples(st.just("plan"), st.sampled_from(WITHIN), FEW, st.sampled_from(ENDING), st.sampled_from(CARRY)),
    st.tuples(st.just("cancel"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("uncancel"), st.integers(0, 5)),
)
within_a_month = st.lists(
    st.one_of(
        changes,
        st.tuples(st.just("use"), st.integers(1, 300)),
        st.tuples(st.just("hold"), st.integers(1, 300)),
        st.tuples(st.just("finalize"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 2)),
        st.tuples(st.just("add"), st.integers(1, 50)),
    ),
    max_size=13,
)


def within(life: Life, one: tuple[object, ...]) -> None:
    """One step of those that stay within a month."""
    match one:
        case "plan", Plan() as plan, int(days), lasting, carry:
            starts_at = life.now + days * DAY if days else None
            ends_at = (starts_at or life.now) + lasting * DAY if isinstance(lasting, int) else None
            before = life.holdings
            try:
                trial = plan.free_trial
                life.attach(plan, Terms(starts_at=starts_at, ends_at=ends_at, carry_over=carry, free_trial=trial))  # type: ignore[arg-type]
            except TollgateError:
                life.holdings = before
        case _:
            step(life, one)


def units(life: Life, at: int) -> Decimal:
    """What may be used at this time."""
    grants = as_of(life.holdings.balances[MESSAGES], at).live_grants
    return sum((max(Decimal(0), grant.remaining) + grant.rolled for grant in grants), Decimal(0))


@given(within_a_month)
def test_nothing_is_granted_twice_whatever_ends_and_comes_back(order: list[tuple[object, ...]]) -> None:
    """invariants.md 11: within a month, through calls, schedules, ends and time, with carry-overs, add-ons and holds, no
    more is used than each plan grants once, for each time that it is held at once, and than was added by hand."""
    life = Life()
    used, held, added, most_held = Decimal(0), Decimal(0), Decimal(0), 1
    for one in order:
        match one:
            case "use", int(amount):
                used += life.use(amount)
            case "hold", int(amount):
                if life.held is None:
                    held = life.hold(amount)
            case "add", int(amount):
                added += life.add(amount)
            case "finalize", bool(keep):
                used += held if keep and life.held and life.held.expires_at > life.now else Decimal(0)
                life.finalize(keep=keep)
                held = Decimal(0)
            case _:
                within(life, one)
        if life.held is not None and life.held.expires_at <= life.now:
            life.held, held = None, Decimal(0)
        alive = [
            s for s in life.holdings.subscriptions.values() if s.plan_id == "extra" and s.status(life.now) != "expired"
        ]
        most_held = max(most_held, len(alive))
        granted = {p.id: sum((i.included for i in p.items if i.feature_id == "messages"), Decimal(0)) for p in WITHIN}
        granted["extra"] *= most_held
        granted["tried"] *= 2  # its trial is a period of its own
        assert used + held <= sum(granted.values()) + added


@given(
    st.sampled_from(["use", "add"]).flatmap(
        lambda kind: st.lists(
            st.one_of(st.tuples(st.just("plan"), st.integers(0, 1)), st.tuples(st.just(kind), st.integers(1, 70))),
            max_size=12,
        )
    )
)
def test_what_is_carried_from_plan_to_plan_and_back_counts_once(order: list[tuple[str, int]]) -> None:
    """management.md 6 (carry_over_usages): however often it is carried from one plan to another, there and back, the usage
    of a month is what was used in it; or, where units were added by hand, as far below zero."""
    life, usage = Life(), Decimal(0)
    life.attach(Plan("first", "", items=(monthly(10),)), Terms())
    plans = [Plan(f"p{included}", "", items=(monthly(included),)) for included in (50, 20)]
    for kind, number in order:
        life.now += 1
        match kind:
            case "plan" if plans[number].id not in life.running():
                life.attach(plans[number], Terms(schedule="immediate", carry_over=CARRY[1]))
            case "use":
                usage += life.use(number)
            case "add":
                usage -= life.add(number)
        grants = as_of(life.holdings.balances[MESSAGES], life.now).live_grants
        assert sum(grant.used for grant in grants) == usage


@given(within_a_month, st.lists(changes, max_size=5), st.integers(1, 300))
def test_a_hold_that_is_released_leaves_no_trace(
    order: list[tuple[object, ...]], meanwhile: list[tuple[object, ...]], amount: int
) -> None:
    """management.md 6: whatever becomes of plans while it holds."""
    with_it, without = Life(), Life()
    for life in (with_it, without):
        for one in order:
            within(life, ("wait", 0) if one[0] in ("hold", "finalize") else one)
    with_it.hold(amount)
    for life in (with_it, without):
        for one in meanwhile:
            within(life, one)
    with_it.finalize(keep=False)
    for days in (0, 1, 7, 20):
        assert units(with_it, with_it.now + days * DAY) == units(without, without.now + days * DAY)


HOURS = st.integers(0, 23)
SOON = st.tuples(
    st.sampled_from(WITHIN),
    st.just(0) | HOURS,
    st.none() | HOURS,
    st.sampled_from(CARRY),
    st.none() | st.integers(1, 100),
)


@given(st.lists(SOON, min_size=1, max_size=4), st.lists(HOURS, min_size=2, max_size=3).map(sorted))
@example([(PLANS[3], 0, 20, None, 40), (PLANS[2], 2, None, CARRY[2], None)], [3, 21])
def test_time_does_the_same_however_often_somebody_looks(
    order: list[tuple[Plan, int, int | None, CarryOver | None, int | None]], looks: list[int]
) -> None:
    """management.md 6: what is brought over may end before anybody has looked, and what is held of it with it."""
    life = Life()
    for plan, begins, lasting, carry, held in order:
        starts_at = life.now + begins * HOUR if begins else None
        ends_at = None if lasting is None else (starts_at or life.now) + lasting * HOUR
        terms = Terms(starts_at=starts_at, ends_at=ends_at, carry_over=carry, free_trial=plan.free_trial)
        before = life.holdings
        try:
            life.attach(plan, terms)
        except TollgateError:
            life.holdings = before
        if held is not None and life.running():
            life.made += 1
            life.hold(held)
    for balance in life.holdings.balances.values():
        looked_at = balance
        for hours in looks:
            looked_at = as_of(looked_at, life.now + hours * HOUR)
        assert looked_at == as_of(balance, life.now + looks[-1] * HOUR)


@given(st.lists(st.tuples(steps, st.integers(0, 5)), max_size=14))
def test_seats_that_were_taken_by_hand_stay_taken(order: list[tuple[tuple[object, ...], int]]) -> None:
    """invariants.md 12: they and the entities are the use, whatever plans come and go."""
    life, taken = Life(), Decimal(0)
    for one, amount in order:
        step(life, one)
        if amount:
            taken += life.seats(amount)
        for days in (0, 31, 62, 400):
            balance = life.holdings.balances.get(USERS)
            live = as_of(balance, life.now + days * DAY).live_grants if balance else ()
            if live:
                assert sum(grant.used for grant in live) == len(life.holdings.entities) + taken


def told(holdings: Holdings, now: int) -> object:
    """All that is seen of a customer: plans that are not over, and balances."""
    held = {id: s for id, s in holdings.subscriptions.items() if s.status(now) != "expired"}
    return held, {key: as_of(balance, now).grants for key, balance in holdings.balances.items()}


@given(orders, st.sampled_from(PLANS), st.booleans())
def test_what_is_undone_leaves_all_as_it_was(order: list[tuple[object, ...]], plan: Plan, by_canceling: bool) -> None:
    """invariants.md 11: a plan that is scheduled and taken back; a cancellation that is taken back, where nothing was to follow."""
    life = Life()
    for one in order:
        step(life, one)
    waiting = [s for s in life.holdings.subscriptions.values() if s.status(life.now) == "scheduled"]
    active = life.holdings.active(life.now)
    if waiting or not active:
        return
    (held,) = active
    before = told(life.holdings, life.now)
    canceled = held.canceled_at is not None
    if by_canceling and not canceled and held.ends_at is None:
        life.holdings = cancel(life.holdings, CATALOG, held.id, life.now, at_end=True)
        if held.status(life.now) == life.holdings.subscriptions[held.id].status(life.now):
            life.holdings = uncancel(life.holdings, CATALOG, held.id, life.now)
            assert told(life.holdings, life.now) == before
    elif plan.id != held.plan_id and not canceled:
        terms = Terms(starts_at=life.now + DAY)
        life.holdings = attach(life.holdings, plan, CATALOG, "later", life.now, terms)
        life.holdings = cancel(life.holdings, CATALOG, "later", life.now, at_end=False)
        assert told(life.holdings, life.now) == before


def test_the_month_is_the_cycle_of_these_plans() -> None:
    """What the orders above take for granted."""
    assert {plan.cycle for plan in PLANS if plan.id != "yearly"} == {MONTH}
