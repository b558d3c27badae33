"""May this customer do this now, and if so, count it: check, check-and-track, and track."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.balances import ENTITIES, Balance, Place, fold
from tollgate.domain.decisions import (
    Check,
    Decision,
    Deduction,
    Overage,
    World,
    check,
    drawn_by,
    folded,
    hot,
    is_lenient,
    sources_of,
    use,
)
from tollgate.domain.errors import InsufficientBalance, InvalidRequest, NotFound, Unavailable, UsageLimitExceeded
from tollgate.domain.features import Catalog, Feature, Pool
from tollgate.domain.ids import id_text
from tollgate.domain.keys import Caller, Environment
from tollgate.domain.quantities import ZERO, converted
from tollgate.domain.usage import NO_PROPERTIES, Counted, UsageEvent
from tollgate.store.balance_items import Stored
from tollgate.store.balances import Applied, Balances, Changed
from tollgate.usecases.features import CACHE_SECONDS, FeatureCache

if TYPE_CHECKING:
    from tollgate.store.once import Once, OnceKeys
    from tollgate.usecases.tally import Tally

MOST_HINTS = 10_000


class Use(NamedTuple):
    """A use of one feature by one customer. `amount` below zero gives back. `once`: idempotency keys that it uses up.
    `itemized`: the answer is to tell what moved on each row."""

    customer_id: str
    feature_id: str
    amount: Decimal
    overage: Overage = Overage.CAP
    properties: Mapping[str, Any] = NO_PROPERTIES
    entity_id: str = ""
    at: int | None = None
    once: tuple[Once, ...] = ()
    itemized: bool = True


class Outcome(NamedTuple):
    """The answer to a check or a use.

    `answering` is the feature that answered (itself or a credit pool) and `required` what was asked of it; `world` holds
    the folded balances to show, and `features` those that are in play.
    """

    allowed: bool
    feature: Feature
    answering: str
    required: Decimal
    world: World
    features: tuple[str, ...]
    entity_id: str = ""
    drawn: Decimal = ZERO
    deductions: tuple[Deduction, ...] = ()
    now: int = 0


class Seen(NamedTuple):
    """What was read for a decision: the stored items, and the customer's time."""

    stored: Mapping[Place, Stored]
    now: int

    @property
    def world(self) -> dict[Place, Balance]:
        return {place: stored.balance for place, stored in self.stored.items()}


class _Hint(NamedTuple):
    """Where a customer's use of a feature went last: the item to try first, and the others there were to show."""

    until: float
    target: Place
    others: frozenset[Place]


class Meter:
    """The use cases around balances. `now` is always epoch milliseconds."""

    def __init__(
        self,
        balances: Balances,
        features: FeatureCache,
        once: OnceKeys | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.balances = balances
        self.features = features
        self.once = once
        self._monotonic = monotonic
        self._hints: dict[tuple[Environment, str, Place], _Hint] = {}

    # -------------------------------------------------------------- check

    def check(
        self,
        env: Environment,
        customer_id: str,
        feature_id: str,
        required: Decimal,
        now: int,
        *,
        entity_id: str = "",
        properties: Mapping[str, Any] = NO_PROPERTIES,
        fresh: bool = False,
    ) -> Outcome:
        """Whether the customer may use `required` units now. One read; counts nothing.

        Raises NotFound for an unknown feature, customer or entity.
        """
        catalog = self.features.catalog(env, feature_id, fresh=fresh)
        feature = catalog.feature(feature_id)
        pools = catalog.pools(feature_id)
        seen = self.look(env, customer_id, feature, pools, entity_id, now)
        return self.judged(feature, pools, entity_id, required, properties, folded(seen.world, seen.now), seen.now)

    def judged(
        self,
        feature: Feature,
        pools: Sequence[Pool],
        entity_id: str,
        required: Decimal,
        properties: Mapping[str, Any],
        world: World,
        now: int,
    ) -> Outcome:
        """The answer of a check on a folded world."""
        answer = check(feature, pools, entity_id, required, properties, world)
        names = (feature.id, *(pool.feature_id for pool in pools))
        return Outcome(answer.allowed, feature, answer.feature_id, answer.required, world, names, entity_id, now=now)

    def look(
        self,
        env: Environment,
        customer_id: str,
        feature: Feature,
        pools: Sequence[Pool],
        entity_id: str,
        now: int,
    ) -> Seen:
        """Reads what a decision about a feature may depend on.

        One request; one more for each feature of which entities hold balances that count here, and one for a test clock.
        Raises NotFound where there is no such customer or entity.
        """
        stored = self.balances.read(env, customer_id, places_of(feature, pools, entity_id), entity_id)
        if not stored and not entity_id and not self.balances.has_customer(env, customer_id):
            raise NotFound("customer", customer_id)
        return self.completed(env, customer_id, entity_id, stored, now)

    def completed(
        self, env: Environment, customer_id: str, entity_id: str, stored: dict[Place, Stored], now: int
    ) -> Seen:
        for place, item in list(stored.items()):
            shared = not place.entity_id and ENTITIES in item.balance.before
            if shared and (not entity_id or item.balance.limits.spend):
                stored |= self.balances.of_feature(env, customer_id, place.feature_id)
        if any(item.balance.clocked for item in stored.values()):
            frozen = self.balances.frozen_time(env, customer_id)
            now = now if frozen is None else frozen
        return Seen(stored, now)

    # -------------------------------------------------------------- use

    def check_and_track(self, caller: Caller, command: Use, now: int) -> Outcome:
        """Decides and counts in one step. Raises NotFound, or InvalidRequest for a boolean feature."""
        catalog = self.features.catalog(caller.environment, command.feature_id)
        feature = catalog.feature(command.feature_id)
        if feature.type.is_flag:
            raise InvalidRequest(f"Feature {feature.id} is {feature.type.value}: there is nothing to track")
        return self._use(caller, catalog, feature, command, now)

    def track(self, caller: Caller, command: Use, now: int) -> Outcome:
        """Counts a use that has happened.

        Raises NotFound, InsufficientBalance or UsageLimitExceeded where it is to reject and must, and DuplicateRequest.
        """
        catalog = self.features.catalog(caller.environment, command.feature_id)
        feature = catalog.feature(command.feature_id)
        if feature.type.is_flag:
            seen = self.look(caller.environment, command.customer_id, feature, (), command.entity_id, now)
            self._use_up(caller.environment, command, now)
            world = folded(seen.world, seen.now)
            return self.judged(feature, (), command.entity_id, ZERO, command.properties, world, seen.now)
        return self._use(caller, catalog, feature, command, now, rejecting=True)

    def track_event(self, caller: Caller, event_name: str, command: Use, now: int) -> list[Outcome]:
        """Counts an event as a use of every feature that lists its name, in one transaction (autumn.md 3.6).

        `command.feature_id` is not looked at. Raises NotFound where no feature lists it.
        """
        features = self.features.listening(caller.environment, event_name)
        if len(features) == 1:
            return [self.track(caller, command._replace(feature_id=features[0].id), now)]
        catalog = self.features.catalog(caller.environment)
        metered = [feature for feature in features if not feature.type.is_flag]
        env, customer_id, entity_id = caller.environment, command.customer_id, command.entity_id
        places = {p for feature in metered for p in places_of(feature, catalog.pools(feature.id), entity_id)}
        for _ in self.balances.turns():
            stored = self.balances.read(env, customer_id, places, entity_id)
            if not stored and not self.balances.has_customer(env, customer_id):
                raise NotFound("customer", customer_id)
            seen = self.completed(env, customer_id, entity_id, stored, now)
            world: World = seen.world
            decisions: list[tuple[Feature, Decision]] = []
            for feature in metered:
                decision = use(
                    feature,
                    catalog.pools(feature.id),
                    entity_id,
                    command.amount,
                    command.overage,
                    command.properties,
                    world,
                    seen.now,
                )
                decisions.append((feature, decision))
                world = decision.world
            if self.commit(caller, command, seen, decisions, world, now):
                return [
                    self.outcome(feature, catalog.pools(feature.id), command, decision, world, seen.now)
                    for feature, decision in decisions
                ]
        raise Unavailable("The balances are being changed too often: nothing was counted, try again")

    def _use(
        self, caller: Caller, catalog: Catalog, feature: Feature, command: Use, now: int, *, rejecting: bool = False
    ) -> Outcome:
        env, customer_id, entity_id = caller.environment, command.customer_id, command.entity_id
        pools = catalog.pools(feature.id)
        single = not pools and not entity_id
        for turn in self.balances.turns():
            known: Stored | None = None
            if command.amount >= 0 and (single or turn == 0):
                result = self._spend(caller, feature, pools, command, now)
                if isinstance(result, Outcome):
                    return result
                known = result
            if known is not None and single:  # the item that declined is all there is to read
                seen = self.completed(env, customer_id, entity_id, {known.balance.place: known}, now)
            else:
                seen = self.look(env, customer_id, feature, pools, entity_id, now)
            decision = use(
                feature, pools, entity_id, command.amount, command.overage, command.properties, seen.world, seen.now
            )
            if not decision.allowed:
                return self.refused(caller, feature, pools, command, decision, seen, now, rejecting)
            if self.commit(caller, command, seen, [(feature, decision)], decision.world, now):
                self._remember(env, feature, pools, command, seen)
                return self.outcome(feature, pools, command, decision, decision.world, seen.now)
        raise Unavailable("The balance is being changed too often: nothing was counted, try again")

    def _spend(
        self, caller: Caller, feature: Feature, pools: Sequence[Pool], command: Use, now: int
    ) -> Outcome | Stored | None:
        """The hot path: one write decides, and nearly always that is all. Else what declined it, for the slow path to
        think about; None where there is no such item."""
        env, customer_id, entity_id = caller.environment, command.customer_id, command.entity_id
        place = Place(feature.id, entity_id)
        hint = self._hint(env, customer_id, place)
        target = hint.target if hint else place
        if entity_id and target != place:
            return None  # the entity holds nothing of its own: its customer's balances are thought through
        cost = next((pool.cost for pool in pools if pool.feature_id == target.feature_id), Decimal(1))
        amount = converted(command.amount, cost)
        alone = not pools and not entity_id and not is_lenient(feature, (), command.overage)
        for capped in (False, True):
            event_of = partial(self.event, caller, command, now, feature, target, amount)
            result = self.balances.spend(
                env,
                customer_id,
                target,
                amount,
                now,
                event_of,
                alone=alone,
                pays_for=feature.id if target != place else None,
                once=self._keys(env, command, now),
            )
            if isinstance(result, Applied):
                return self._spent(env, feature, pools, command, target, amount, hint, result, now)
            declined = result.stored
            if capped or declined is None:
                return declined
            quick = hot(declined.balance, amount, command.overage, now, alone=alone)
            if quick is None or quick.spent - declined.balance.spent == amount:
                return declined
            amount = quick.spent - declined.balance.spent
        return None

    def _spent(
        self,
        env: Environment,
        feature: Feature,
        pools: Sequence[Pool],
        command: Use,
        target: Place,
        amount: Decimal,
        hint: _Hint | None,
        result: Applied,
        now: int,
    ) -> Outcome:
        """The answer after a hot write: the item as it left it, and the others that are shown beside it."""
        after = result.stored.balance
        stored = {target: result.stored}
        places = places_of(feature, pools, command.entity_id)
        others = set(hint.others if hint else places) - {target}
        if others:
            stored |= self.balances.read(env, command.customer_id, others)
            if not hint:
                self._remember(env, feature, pools, command, Seen(stored, now))
        seen = self.completed(env, command.customer_id, command.entity_id, dict(stored), now)
        deductions: tuple[Deduction, ...] = ()
        if command.itemized and after.spent >= amount:
            deductions = drawn_by(after._replace(spent=after.spent - amount), after)
        world = folded(seen.world, now)
        own = target.feature_id == feature.id
        asked, drawn = (command.amount, amount) if own else (amount, command.amount)
        names = (feature.id, *(pool.feature_id for pool in pools))
        return Outcome(True, feature, target.feature_id, asked, world, names, command.entity_id, drawn, deductions, now)

    def commit(
        self,
        caller: Caller,
        command: Use,
        seen: Seen,
        decisions: Sequence[tuple[Feature, Decision]],
        world: World,
        now: int,
        extra: Sequence[Any] = (),
        *,
        silent: bool = False,
    ) -> bool:
        """Writes what was decided, each use with its event; False where something had changed since it was read.

        `extra` writes go into the same transaction; raises DuplicateRequest where one of them is refused. `silent`: what
        changes is no use, and leaves no event.
        """
        env, customer_id = caller.environment, command.customer_id
        drawn: dict[Place, Decimal] = {}
        uses: dict[Place, Feature] = {}
        for feature, decision in decisions:
            if silent or not decision.allowed:
                continue
            pools = self.features.catalog(env).pools(feature.id)
            moved = _moved(decision)
            if not moved:  # the first item that could have paid remembers a use that moved nothing
                moved = {sources_of(feature.id, pools, command.entity_id, world)[0].place: ZERO}
            for place in decision.counted:  # its usage limits tell of the use, whoever paid
                moved.setdefault(place, ZERO)
            for place, amount in moved.items():
                drawn[place] = drawn.get(place, ZERO) + amount
                uses.setdefault(place, feature)
        if not uses and not extra:
            self._use_up(env, command, now)
            return True
        changed = [
            place
            for place, balance in world.items()
            if place in uses
            or fold(seen.stored[place].balance, seen.now) != balance
            or len(balance.holds) != len(seen.stored[place].balance.holds)
        ]
        of_several = self._tally(caller, command, seen.now, decisions) if len(decisions) > 1 and not silent else None
        changes: list[Changed] = []
        for place in sorted(changed, key=lambda p: list(uses).index(p) if p in uses else len(uses)):
            event_of = None
            if of_several:
                event_of = of_several.event_of(place)
            elif place in uses:
                part = any(change.event_of for change in changes)
                event_of = partial(self.event, caller, command, seen.now, uses[place], place, drawn[place], part=part)
            changes.append(Changed(seen.stored[place], world[place], event_of))
        once = [*extra, *self._keys(env, command, now)]
        unchanged = depended_on(seen, world, changed)
        if len(changes) == 1 and not once and not unchanged:
            change = changes[0]
            assert change.event_of is not None
            place = change.balance.place
            amount = drawn[place]
            quick = hot(change.stored.balance, amount, Overage.REJECT, seen.now, alone=False)
            if quick is not None and fold(quick, seen.now) == change.balance:
                spent = self.balances.spend(env, customer_id, place, amount, seen.now, change.event_of)
                return isinstance(spent, Applied)
            result = self.balances.replace(env, customer_id, change.stored, change.balance, change.event_of)
            return isinstance(result, Applied)
        return self.balances.commit(env, customer_id, changes, unchanged, once) is not None

    def refused(
        self,
        caller: Caller,
        feature: Feature,
        pools: Sequence[Pool],
        command: Use,
        decision: Decision,
        seen: Seen,
        now: int,
        rejecting: bool,
    ) -> Outcome:
        """The answer to a use that was not allowed: refused, or of what nothing grants."""
        entity_id = command.entity_id
        held = granted(feature, pools, entity_id, decision.world)
        if held and rejecting:
            if decision.usage_limited:
                raise UsageLimitExceeded(f"Usage limit of {feature.id} reached for customer {command.customer_id}")
            raise InsufficientBalance(f"Insufficient balance of {feature.id} for customer {command.customer_id}")
        if held or not rejecting:
            self._use_up(caller.environment, command, now)
        else:
            self._note(caller, feature, command, seen.now, now)
        answer = self.judged(feature, pools, entity_id, command.amount, command.properties, decision.world, seen.now)
        # a use of nothing is allowed where nothing is granted (autumn.md 2.6), and counts nothing
        return answer._replace(allowed=not held and command.amount <= 0)

    def outcome(
        self, feature: Feature, pools: Sequence[Pool], command: Use, decision: Decision, world: World, now: int
    ) -> Outcome:
        answer = check(feature, pools, command.entity_id, command.amount, command.properties, world)
        if decision.deductions:
            id = decision.deductions[0].feature_id
            cost = next((pool.cost for pool in pools if pool.feature_id == id), Decimal(1))
            answer = Check(True, id, converted(command.amount, cost))
        names = (feature.id, *(pool.feature_id for pool in pools))
        return Outcome(
            decision.allowed,
            feature,
            answer.feature_id,
            answer.required,
            world,
            names,
            command.entity_id,
            decision.drawn,
            decision.deductions,
            now,
        )

    @staticmethod
    def event(
        caller: Caller,
        command: Use,
        now: int,
        feature: Feature,
        place: Place,
        drawn: Decimal,
        id: str,
        *,
        part: bool = False,
    ) -> UsageEvent:
        return UsageEvent(
            id,
            command.amount,
            drawn,
            now if command.at is None else command.at,
            caller.key_id,
            command.properties,
            feature.id if feature.id != place.feature_id else None,
            command.entity_id if command.entity_id != place.entity_id else None,
            part,
        )

    def _tally(self, caller: Caller, command: Use, now: int, decisions: Sequence[tuple[Feature, Decision]]) -> Tally:
        """What each item remembers of a use of several features, which may have drawn on the same ones."""
        from tollgate.usecases.tally import Tally  # the check has no need of it

        tally = Tally()
        at = now if command.at is None else command.at
        use = Counted("", command.amount, at, properties=command.properties)
        for feature, decision in decisions:
            if decision.allowed:
                pools = self.features.catalog(caller.environment).pools(feature.id)
                tally.count(use, caller.key_id, feature, pools, command.entity_id, decision)
        return tally

    def _note(self, caller: Caller, feature: Feature, command: Use, at: int, now: int) -> None:
        """Remembers a use that has happened of what nothing grants: it moves nothing, and is an event all the same."""
        place = Place(feature.id, command.entity_id)
        event = self.event(caller, command, at, feature, place, ZERO, id_text(self.balances.new_id()))
        self.balances.note(
            caller.environment, command.customer_id, place, event, now, self._keys(caller.environment, command, now)
        )

    # -------------------------------------------------------------- idempotency keys and hints

    def _keys(self, env: Environment, command: Use, now: int) -> list[Any]:
        if not command.once:
            return []
        assert self.once is not None
        return [self.once.write(env, once, now) for once in command.once]

    def _use_up(self, env: Environment, command: Use, now: int) -> None:
        """Uses up the idempotency keys of a call that succeeds without changing a balance."""
        if command.once:
            self.balances.commit(env, command.customer_id, (), (), self._keys(env, command, now))

    def _hint(self, env: Environment, customer_id: str, place: Place) -> _Hint | None:
        hint = self._hints.get((env, customer_id, place))
        return hint if hint and hint.until > self._monotonic() else None

    def _remember(self, env: Environment, feature: Feature, pools: Sequence[Pool], command: Use, seen: Seen) -> None:
        """Remembers which item to try first; the write's own condition keeps a stale hint from mattering."""
        held = [place for place in places_of(feature, pools, command.entity_id) if place in seen.stored]
        if not held or (not pools and not command.entity_id):
            return
        if len(self._hints) >= MOST_HINTS:
            self._hints.clear()
        until = self._monotonic() + CACHE_SECONDS
        key = env, command.customer_id, Place(feature.id, command.entity_id)
        self._hints[key] = _Hint(until, held[0], frozenset(held[1:]))


def places_of(feature: Feature, pools: Sequence[Pool], entity_id: str) -> list[Place]:
    """The places that a feature may be paid from, the customer's last."""
    ids = (feature.id, *(pool.feature_id for pool in pools))
    levels = (entity_id, "") if entity_id else ("",)
    return [Place(id, level) for level in levels for id in ids]


def _moved(decision: Decision) -> dict[Place, Decimal]:
    """What moved on each item, in its units, in deduction order."""
    owners = {(row.id, place.feature_id): place for place, balance in decision.world.items() for row in balance.rows}
    moved: dict[Place, Decimal] = {}
    for deduction in decision.deductions:
        place = owners[deduction.row.id, deduction.feature_id]
        moved[place] = moved.get(place, ZERO) + deduction.value
    return moved


def granted(feature: Feature, pools: Sequence[Pool], entity_id: str, world: World) -> bool:
    """Whether anything grants the feature there."""
    sources = sources_of(feature.id, pools, entity_id, world)
    return any(source.may(row) for source in sources for row in world[source.place].rows)


def depended_on(seen: Seen, world: World, changed: Sequence[Place]) -> list[Stored]:
    """The items whose overage a shared spend limit counted, where this use made more of it."""
    found = []
    for place in seen.stored:
        limited = (
            seen.stored[Place(place.feature_id)].balance.limits.spend
            if Place(place.feature_id) in seen.stored
            else None
        )
        overdrawn = any(row.overdrawn for p in changed if p.feature_id == place.feature_id for row in world[p].rows)
        if limited and overdrawn and place not in changed:
            found.append(seen.stored[place])
    return found
