"""Customers and what they have: entities, subscriptions, and balances set by hand.

Every change is one transaction: read the holdings, decide in the domain, write; all again where they were changed
meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tollgate.domain import manual_balances
from tollgate.domain.controls import Controls
from tollgate.domain.customers import Customer, Entity, Holdings, Subscription, linked, with_seats_moved
from tollgate.domain.customizing import Customizing, customize
from tollgate.domain.entities import add_entity, concerns_no_other, remove_entity
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import AlreadyExists, Forbidden, InvalidInput, InvalidRequest, NotFound, Unavailable
from tollgate.domain.features import Catalog
from tollgate.domain.plan_changes import cost_of, returning
from tollgate.domain.plan_grants import FRESH, NOT_SAID, CarryOver
from tollgate.domain.plans import Plan, check_controls, checked_plan
from tollgate.domain.subscriptions import (
    NO_TERMS,
    Terms,
    attach,
    cancel,
    uncancel,
    update_quantities,
    without_waiting_automatic,
)
from tollgate.domain.top_ups import TopUpState
from tollgate.store.codecs.listing import Facts, ListedCustomer, ListedSubscription
from tollgate.store.customers import CustomerStore, Near
from tollgate.store.table import Entries, Refused
from tollgate.usecases.audit import NO_AUDIT, Audit, Changed, changes_of
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.ids import new_id

if TYPE_CHECKING:
    from tollgate.usecases.passing_time import PassingTime

PAGE = 200  # customers that are read side by side

__all__ = ["Customers", "Facts", "ListedCustomer", "ListedSubscription"]

Turn = Callable[[Holdings, Catalog, int], Holdings]
"""Changes holdings, with the environment's catalog, at the customer's time (epoch ms)."""


class SubscriptionFilter(NamedTuple):
    """Which subscription of a customer is meant: the one of that id, or the newest of that plan and entity.

    With neither an id nor a plan it is the only one that runs.
    """

    subscription_id: str | None = None
    plan_id: str | None = None
    entity_id: str | None = None  # None: the customer's own


class SubscriptionUpdate(NamedTuple):
    """What is to change of a subscription. `needs_cycle`: `cancel_end_of_cycle` is refused where nothing is billed."""

    action: str | None = None  # `cancel_immediately`, `cancel_end_of_cycle` or `uncancel`
    quantities: Mapping[str, Decimal] | None = None  # prepaid units, by feature id
    needs_cycle: bool = False
    customizing: Callable[[Subscription], Customizing] | None = None  # what is to differ of the subscription as it is


class PlanDefaults(NamedTuple):
    """What holds in this deployment for plans that are attached, unless the attach says otherwise.

    - `keeps_overage`: a free grant that is overdrawn at a reset remains overdrawn by as much (autumn.md 3.9).
    - `carry_over`: what a plan takes over from the one that it replaces.
    """

    keeps_overage: bool = False
    carry_over: CarryOver = FRESH


NO_DEFAULTS = PlanDefaults()


class Customers:
    """The use cases around customers. `now` is epoch ms."""

    def __init__(
        self,
        store: CustomerStore,
        catalogs: Catalogs,
        defaults: PlanDefaults = NO_DEFAULTS,
        passing_time: Callable[[], PassingTime] | None = None,
        audit: Audit = NO_AUDIT,
    ) -> None:
        """`passing_time` makes what tells of the time that a test clock passes; None: nothing is told of it."""
        self._store = self.store = store
        self._catalogs = self.catalogs = catalogs
        self._defaults = self.defaults = defaults
        self._passing_time = passing_time
        self._audit = audit

    def get(self, customer: CustomerRef) -> Holdings:
        """All that a customer has, in one Query. Raises NotFound."""
        return self._store.get(customer).holdings

    def with_ended(self, env: Environment, holdings: Holdings) -> Holdings:
        """The holdings with the ended subscriptions that are kept apart: one Query, where there are any."""
        if not holdings.ended.number:
            return holdings
        found = self._store.ended.all(CustomerRef(env, holdings.customer.id))
        return replace(holdings, subscriptions={**{held.id: held for held in found}, **holdings.subscriptions})

    def ended(self, env: Environment, holdings: Holdings, subscription_id: str) -> Subscription | None:
        """A subscription of this customer that has ended and is kept apart; None where there is none of that id."""
        if not holdings.ended.number:
            return None
        return self._store.ended.one(CustomerRef(env, holdings.customer.id), subscription_id)

    def with_subscriptions(self, env: Environment, subscription_ids: Iterable[str]) -> Iterator[Holdings]:
        """The customers that have or had a subscription of one of these ids: a Query of the index for each id, and one for
        each customer. Those that have no index yet are among them.
        """
        listing = self._store.listing
        ids = dict.fromkeys(id for one in subscription_ids for id in listing.with_subscription(env, one))
        yield from self.each(CustomerRef(env, id) for id in ids)
        yield from self.each(CustomerRef(env, id) for id in listing.unindexed(env) if id not in ids)

    def with_plan(self, env: Environment, plan_id: str) -> Iterator[ListedCustomer]:
        """The customers that may have, or may have had, a plan, in order of creation: all, where many have it."""
        page, more = self.page_with_plans(env, [plan_id], "")
        return self.listed(env) if more else iter(page)

    def top_ups(self, env: Environment, customer_id: str) -> dict[str, TopUpState]:
        """What has been asked for of a customer's features that are topped up, by feature: one Query."""
        return self._store.top_ups.all(CustomerRef(env, customer_id))

    def page_with_plans(
        self, env: Environment, plan_ids: Collection[str], position: str, *, newest_first: bool = False
    ) -> tuple[list[ListedCustomer], bool]:
        """As `page`, of the customers that have or had one of these plans: one Query for each plan, and one request more. As
        long as some customers have no index, of all customers.
        """
        if self._store.listing.unindexed(env):
            return self.page(env, position, None, newest_first=newest_first)
        return self._store.listing.with_plans(env, plan_ids, position, newest_first=newest_first)

    def get_or_nothing(self, customer: CustomerRef) -> Holdings:
        """All that a customer has; of one that does not exist, nothing."""
        try:
            return self.get(customer)
        except NotFound:
            return Holdings(Customer(customer.id))

    def page(
        self, env: Environment, position: str, limit: int | None, *, newest_first: bool = False
    ) -> tuple[list[ListedCustomer], bool]:
        """Up to `limit` customers that follow a position (empty: from the first), in order of creation, or as many as one
        request gives (about 3,000); and whether more follow.
        """
        return self._store.listing.page(env, position, limit, newest_first=newest_first)

    def listed(self, env: Environment, *, newest_first: bool = False) -> Iterator[ListedCustomer]:
        """Every customer of the environment in order of creation: one Query for each 1 MB of their list."""
        position, more = "", True
        while more:
            page, more = self.page(env, position, None, newest_first=newest_first)
            yield from page
            position = page[-1].position if page else position

    def read(self, env: Environment, entries: Iterable[ListedCustomer]) -> Iterator[Holdings]:
        """All that these customers have, in order; those that are gone are left out. About one request for each 100 of
        their items.
        """
        rest = iter(entries)
        while chunk := list(islice(rest, PAGE)):
            yield from self._store.read_listed(env, chunk)

    def each(self, customers: Iterable[CustomerRef]) -> Iterator[Holdings]:
        """All that these customers have, in order; those that do not exist are left out. One Query for each."""
        for customer in customers:
            try:
                yield self.get(customer)
            except NotFound:
                continue

    def profiles(self, env: Environment, ids: Sequence[str]) -> list[Customer]:
        """These customers without what they hold, in this order; those that do not exist are left out. One request for each
        100.
        """
        return self._store.profiles(env, ids)

    def all_profiles(self, env: Environment, *, whole: bool) -> list[Customer]:
        """Every customer of the environment in order of creation, from their list: one Query for each 1 MB of it. `whole`:
        with all of their profiles, a request more for each 100; else only their ids, names, e-mail addresses and creation
        are sure to be there.
        """
        listed = list(self.listed(env))
        read = {one.id: one for one in self.profiles(env, [e.customer_id for e in listed if whole or e.facts is None])}
        found = (_listed_profile(one) if one.facts and not whole else read.get(one.customer_id) for one in listed)
        return [customer for customer in found if customer is not None]

    def with_email(self, env: Environment, email: str) -> list[Customer]:
        """The customers with exactly this e-mail address: a Query of the index, and one request for each 100 of them. Those
        that have no index yet are read too.
        """
        ids = [*self._store.listing.with_email(env, email), *self._store.listing.unindexed(env)]
        return [customer for customer in self.profiles(env, ids) if customer.email == email]

    def with_entity(self, env: Environment, customer_id: str | None, entity_id: str) -> Holdings:
        """The holdings of the customer that has this entity; without a customer id, of the oldest that has one: a Query of
        the index more. Of a customer who holds much, no other entities are among them. Raises NotFound.
        """
        if customer_id is not None:
            return self._around(CustomerRef(env, customer_id), entity_id)
        indexes: tuple[Callable[[], list[str]], ...] = (
            lambda: self._store.listing.with_entity(env, entity_id),
            lambda: self._store.listing.unindexed(env),
        )
        for ids in indexes:
            for id in ids():
                try:
                    return self._around(CustomerRef(env, id), entity_id)
                except NotFound:
                    continue
        raise NotFound("entity", entity_id)

    def _around(self, customer: CustomerRef, entity_id: str) -> Holdings:
        """The customer's holdings, of the entities at least this one. Raises NotFound."""
        holdings = (self._store.near(customer, entity_id) or self._store.get(customer)).holdings
        holdings.entity(entity_id)
        return holdings

    def get_or_create(
        self, env: Environment, customer: Customer, auto_enable_plan_id: str | None, now: int, *, fill: bool = False
    ) -> Holdings:
        """The customer as stored, or a new one with the plans that are enabled automatically.

        `fill`: a name or e-mail that the stored customer lacks is added. Raises NotFound for an unknown plan, or
        InvalidRequest where it cannot be attached.
        """
        try:
            found = self.get(CustomerRef(env, customer.id))
        except NotFound:
            pass
        else:
            return self._filled(env, found, customer, now) if fill else found
        catalog = self._catalogs.catalog(env)
        check_controls(customer.controls, catalog.features)
        holdings = linked(Holdings(replace(customer, created_at=now)), catalog, now)
        automatic = (
            self._catalogs.automatic_plans(env)
            if auto_enable_plan_id is None
            else [self._catalogs.plan(env, auto_enable_plan_id)]
        )
        for plan in automatic:
            terms = Terms(free_trial=plan.free_trial, keeps_overage=self._defaults.keeps_overage)
            holdings = attach(holdings, plan, catalog, new_id("sub"), now, terms)
        for plan in automatic:
            self._catalogs.mark_used(env, plan)
        try:
            self._store.add(env, holdings)
        except Refused:
            try:
                return self.get(CustomerRef(env, customer.id))
            except NotFound:  # what another creation has left stood in the way
                raise Unavailable("The customer was being created: nothing was changed, try again") from None
        return holdings

    def _filled(self, env: Environment, found: Holdings, customer: Customer, now: int) -> Holdings:
        name, email = found.customer.name or customer.name, found.customer.email or customer.email
        if (name, email) == (found.customer.name, found.customer.email):
            return found
        return self.update(CustomerRef(env, customer.id), lambda old: replace(old, name=name, email=email), now)

    def ensure(self, env: Environment, customer: Customer, now: int) -> None:
        """Makes the customer where there is none, and adds a name or e-mail that the stored one lacks. A customer who needs
        nothing is one read of its own item.
        """
        known = self._store.profile(CustomerRef(env, customer.id))
        if known is None or (known.name or customer.name, known.email or customer.email) != (known.name, known.email):
            self.get_or_create(env, customer, None, now, fill=True)

    def create(self, env: Environment, customer: Customer, now: int) -> Holdings:
        """Creates a customer. Raises AlreadyExists."""
        try:
            self.get(CustomerRef(env, customer.id))
        except NotFound:
            return self.get_or_create(env, customer, None, now)
        raise AlreadyExists("customer", customer.id)

    def update(self, customer: CustomerRef, change: Callable[[Customer], Customer], now: int) -> Holdings:
        """Changes a customer's profile or controls; its balances follow the controls. Raises NotFound."""

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            changed = change(holdings.customer)
            check_controls(changed.controls, catalog.features)
            return linked(replace(holdings, customer=changed), catalog, at)

        return self.change(customer, turn, now)

    def delete(self, customer: CustomerRef) -> None:
        """Deletes a customer and all that it has. Raises NotFound, or Unavailable under constant contention."""
        for _ in self._store.turns():
            try:
                stored = self._store.get(customer)
                return self._store.remove(
                    customer.environment, stored, self._entry_of_deletion(customer, stored.holdings)
                )
            except Refused:
                continue
        raise Unavailable("The customer is being changed too often: try again")

    def _entry(self, customer: CustomerRef, before: Holdings, after: Holdings) -> Entries:
        """The entry of the customer's log that tells what somebody has changed."""
        return self._audit.entry(customer.environment, lambda at: changes_of(before, after, at), customer.id)

    def _entry_of_deletion(self, customer: CustomerRef, held: Holdings) -> Entries:
        deleted = Changed("customer", customer.id, held.customer, None)
        left = Holdings(held.customer)
        return self._audit.entry(customer.environment, lambda at: [deleted, *changes_of(held, left, at)], customer.id)

    def advance_test_clock(self, customer: CustomerRef, frozen_time: int, now: int) -> Holdings:
        """Moves the time of a sandbox customer's test clock forward, to `frozen_time` (epoch ms).

        Raises Forbidden in the live environment, InvalidInput for an earlier time.
        """
        if customer.environment is not Environment.SANDBOX:
            raise Forbidden("A test clock can be advanced in the sandbox only")

        def turn(holdings: Holdings, catalog: Catalog, _: int) -> Holdings:
            if frozen_time < (holdings.customer.frozen_time or holdings.customer.created_at):
                raise InvalidInput("frozen_time", "must not be earlier than the customer's time")
            moved = replace(holdings.customer, frozen_time=frozen_time)
            return linked(with_seats_moved(replace(holdings, customer=moved), frozen_time), catalog, frozen_time)

        before = self.get(customer).time(now)
        after = self.change(customer, turn, now)
        if self._passing_time is not None:
            self._passing_time().move(customer, before, frozen_time)
        return after

    def change(self, customer: CustomerRef, turn: Turn, now: int, near: Near | None = None) -> Holdings:
        """Applies a change of holdings in one transaction: on what is stored when it is written. `near`: it concerns one
        entity that is to be made, and other entities may be left out of what it is given.

        Raises what `turn` raises, NotFound, or Unavailable under constant contention.
        """
        catalog = self._catalogs.catalog(customer.environment)
        with closing(self._store.readings(customer, near)) as readings:
            for before in readings:
                after = turn(before.holdings, catalog, before.holdings.time(now))
                if near and before.extent and not near.suffices(before.holdings, after):
                    near.all = True
                    continue
                if after == before.holdings:
                    return after
                try:
                    entry = self._entry(customer, before.holdings, after)
                    self._store.change(customer.environment, before, after, entry, before.holdings.time(now))
                except Refused:
                    continue
                return after
        raise Unavailable("The customer is being changed too often: nothing was changed, try again")

    # -------------------------------------------------------------- entities

    def create_entity(self, customer: CustomerRef, entity: Entity, now: int) -> Holdings:
        """Creates an entity of the customer: of one who holds much, other entities are neither read nor answered. Raises
        NotFound, or AlreadyExists.
        """

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            check_controls(entity.controls, catalog.features)
            keeps_overage = self._defaults.keeps_overage
            return add_entity(holdings, catalog, replace(entity, created_at=at), at, keeps_overage=keeps_overage)

        near = Near(entity.id, lambda before, after: concerns_no_other(before, after, before.time(now)))
        return self.change(customer, turn, now, near)

    def update_entity(self, customer: CustomerRef, entity_id: str, controls: Controls, now: int) -> Holdings:
        """Replaces an entity's controls; its balances follow them. Raises NotFound."""

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            check_controls(controls, catalog.features)
            entity = replace(holdings.entity(entity_id), controls=controls)
            return linked(replace(holdings, entities={**holdings.entities, entity_id: entity}), catalog, at)

        return self.change(customer, turn, now)

    def delete_entity(self, customer: CustomerRef, entity_id: str, now: int) -> None:
        """Deletes an entity and its balances, ends its subscriptions, and returns its seat. Raises NotFound."""
        self.change(customer, lambda held, catalog, at: remove_entity(held, catalog, entity_id, at), now)

    # -------------------------------------------------------------- subscriptions

    def attach(
        self,
        customer: CustomerRef,
        plan_id: str,
        version: int | None,
        now: int,
        terms: Terms = NO_TERMS,
        subscription_id: str | None = None,
    ) -> tuple[Subscription, Holdings]:
        """Subscribes the customer to a plan and grants what the plan contains, in one transaction.

        Raises NotFound, InvalidRequest where the plan cannot be attached, or Unavailable under constant contention.
        """
        env = customer.environment
        plan = self._catalogs.plan(env, plan_id, version)
        if plan.archived and version is None:
            raise InvalidRequest(f"Plan {plan_id} is archived")
        if terms.items is not None or terms.controls is not None:
            own = replace(
                plan,
                items=plan.items if terms.items is None else terms.items,
                controls=plan.controls if terms.controls is None else terms.controls,
            )
            checked_plan(own, self._catalogs.catalog(env).features)
        id = subscription_id or new_id("sub")
        terms = replace(
            terms,
            keeps_overage=self._defaults.keeps_overage,
            carry_over=(terms.carry_over or NOT_SAID).or_else(self._defaults.carry_over),
        )
        automatic = self._catalogs.automatic_plans(env)

        def turn(held: Holdings, catalog: Catalog, at: int) -> Holdings:
            if subscription_id is not None and self.ended(env, held, id):
                raise AlreadyExists("subscription", id)
            bare = _without_plans(without_waiting_automatic(held, catalog, at), catalog, terms, at)
            after = attach(bare, plan, catalog, id, at, terms)
            if terms.removes and id in after.subscriptions and after.subscriptions[id].started_at > at:
                raise InvalidInput("remove_plan_ids", "is for a plan that starts at once")
            after = self._with_automatic(env, held, after, automatic, at)
            self._catalogs.mark_used(env, plan)  # before it is written, and not where it is refused
            return after

        after = self.change(customer, turn, now)
        if id not in after.subscriptions:  # the plan was to end, and goes on
            id = _subscription_id(after, SubscriptionFilter(None, plan_id, terms.entity_id), after.time(now))
        return after.subscriptions[id], after

    def _with_automatic(
        self, env: Environment, before: Holdings, after: Holdings, automatic: Sequence[Plan], at: int
    ) -> Holdings:
        """The holdings after a change, with the automatic plans that come back where a plan now ends."""
        catalog = self._catalogs.catalog(env)
        for plan, starts_at in returning(before, after, automatic, catalog.features, at):
            terms = Terms(starts_at=starts_at, automatic=True, keeps_overage=self._defaults.keeps_overage)
            known = (s.id for s in before.subscriptions.values() if s.automatic and s.id not in after.subscriptions)
            after = attach(after, plan, catalog, next(known, None) or new_id("sub"), at, terms)
            self._catalogs.mark_used(env, plan)
        return after

    def update_subscription(
        self, customer: CustomerRef, which: SubscriptionFilter, change: SubscriptionUpdate, now: int
    ) -> Subscription:
        """Changes what was bought of a subscription, cancels it, or takes a cancellation back.

        Raises NotFound, InvalidInput, or InvalidRequest for `uncancel` of one that was not canceled.
        """
        action, quantities, needs_cycle, customizing = change
        found: list[str] = []
        automatic = self._catalogs.automatic_plans(customer.environment) if action else []

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            id = _subscription_id(holdings, which, at)
            found[:] = [id]
            if customizing is not None:
                holdings = self._customized(holdings, catalog, id, customizing, at)
            if quantities:
                holdings = update_quantities(holdings, catalog, id, quantities, at)
            if action is None:
                return holdings
            held = holdings.subscriptions[id]
            if held.auto_enable and action != "uncancel":  # it is the automatic plan that is not wanted
                return cancel(holdings, catalog, id, at, at_end=action == "cancel_end_of_cycle")
            bare = without_waiting_automatic(holdings, catalog, at)
            if action == "uncancel":
                after = uncancel(bare, catalog, id, at)
                return self._with_automatic(customer.environment, holdings, after, automatic, at)
            cost = cost_of(held.price, held.items, catalog.features)
            no_cycle = (cost.free or cost.one_off) and not held.trialing(at)
            if needs_cycle and action == "cancel_end_of_cycle" and no_cycle:
                raise InvalidRequest(f"Plan {held.plan_id} has no recurring price: it has no billing cycle to end with")
            after = cancel(bare, catalog, id, at, at_end=action == "cancel_end_of_cycle")
            return self._with_automatic(customer.environment, holdings, after, automatic, at)

        return self.change(customer, turn, now).subscriptions[found[0]]

    def _customized(
        self,
        holdings: Holdings,
        catalog: Catalog,
        id: str,
        customizing: Callable[[Subscription], Customizing],
        at: int,
    ) -> Holdings:
        held = holdings.subscriptions[id]
        changed = customizing(held).of_subscription(held)
        checked_plan(Plan(held.plan_id, "", items=changed.items, controls=changed.controls), catalog.features)
        return customize(holdings, catalog, id, changed, at, keeps_overage=self._defaults.keeps_overage)

    # -------------------------------------------------------------- balances

    def create_balance(self, customer: CustomerRef, new: manual_balances.NewBalance, now: int) -> Holdings:
        """Creates a balance that no plan gives. Raises what `domain.manual_balances.create` raises."""
        return self.change(customer, lambda held, catalog, at: manual_balances.create(held, catalog, new, at), now)

    def update_balance(
        self,
        customer: CustomerRef,
        which: manual_balances.BalanceFilter,
        change: manual_balances.BalanceUpdate,
        now: int,
    ) -> Holdings:
        """Changes a balance. Raises what `domain.manual_balances.update` raises."""
        return self.update_balances(customer, [(which, change)], now)

    def update_balances(
        self,
        customer: CustomerRef,
        changes: Sequence[tuple[manual_balances.BalanceFilter, manual_balances.BalanceUpdate]],
        now: int,
    ) -> Holdings:
        """Makes several changes of balances in one transaction. Raises what `domain.manual_balances.update` raises."""

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            for which, change in changes:
                holdings = manual_balances.update(holdings, catalog, which, change, at)
            return holdings

        return self.change(customer, turn, now)

    def delete_balance(
        self, customer: CustomerRef, which: manual_balances.BalanceFilter, now: int, *, recalculate: bool
    ) -> Holdings:
        """Deletes balances. Raises what `domain.manual_balances.delete` raises."""
        return self.change(
            customer,
            lambda held, catalog, at: manual_balances.delete(held, catalog, which, at, recalculate=recalculate),
            now,
        )


def _listed_profile(listed: ListedCustomer) -> Customer | None:
    """What the list says of a customer itself; None where it says nothing."""
    if listed.facts is None:
        return None
    created_at = int(listed.position.partition("#")[0])
    return Customer(listed.customer_id, listed.facts.name, listed.facts.email, created_at=created_at)


def _without_plans(holdings: Holdings, catalog: Catalog, terms: Terms, now: int) -> Holdings:
    """The holdings with the plans ended that an attach names to go. Raises InvalidInput for one that is not active."""
    for plan_id in terms.removes:
        held = [s for s in holdings.active(now, terms.entity_id) if s.plan_id == plan_id]
        if not held:
            raise InvalidInput("remove_plan_ids", f"names {plan_id}, which is not active")
        for subscription in held:
            holdings = cancel(holdings, catalog, subscription.id, now, at_end=False)
    return holdings


def _subscription_id(holdings: Holdings, which: SubscriptionFilter, now: int) -> str:
    """The id of the subscription that is meant. Raises NotFound."""
    subscription_id, plan_id, entity_id = which
    if subscription_id is not None and subscription_id in holdings.subscriptions:
        return subscription_id
    running = [
        s
        for s in holdings.subscriptions.values()
        if s.status(now) != "expired" and s.entity_id == entity_id and plan_id in (None, s.plan_id)
    ]
    if subscription_id is not None or not running or (plan_id is None and len(running) > 1):
        raise NotFound("subscription", subscription_id or plan_id or "")
    return max(running, key=lambda s: (s.created_at, s.id)).id
