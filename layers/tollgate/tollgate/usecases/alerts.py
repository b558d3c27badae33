"""A batch of the table's stream, on its way to the history and the bus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tollgate.domain.alerts import (
    LimitWarning,
    State,
    StateWarning,
    ThresholdWarning,
    Warned,
    as_written,
    crossed,
    feature_alerts,
    grants_at,
    is_closed,
    reached,
    standing,
    windows_reached,
)
from tollgate.domain.balances import ENTITIES, Balance, BalanceKey, Balances, apply_spent, as_of
from tollgate.domain.changes import Change, RecordedUse, base_of, instant_of, was_reset
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.history import additions, entries_of
from tollgate.domain.limits import Alert
from tollgate.store.alert_states import AlertStateStore, AlertSubject, Standing, digest
from tollgate.store.history import HistoryStore
from tollgate.usecases.ledger import Ledger

_Held = tuple[str, str, str]
_PASSED = "passed"


@dataclass(frozen=True, slots=True)
class StreamStores:
    history: HistoryStore
    ledger: Ledger
    alert_states: AlertStateStore


class StreamBatch:
    """Writes in the order of the stream.

    An item that counts alone says itself, before and after the write, what was crossed. Where several count together, no
    record tells what the others held then: all are read as they are now, and what was warned of last (`store/watches`) says
    whether it is crossed anew. A state that came and went between two looks is not told, and none is told twice.
    """

    def __init__(self, stores: StreamStores) -> None:
        self._stores = stores
        self._told: list[Change] = []
        self._read: dict[_Held, dict[BalanceKey, Balance]] = {}
        self._stands: dict[AlertSubject, dict[str, Standing]] = {}

    # -------------------------------------------------------------- warnings

    def warnings(self, change: Change, used: Sequence[RecordedUse]) -> list[Warned]:
        """What the write is to warn of: limits that a use has reached, thresholds that it crossed, and a feature's own
        state. Raises Unavailable; asked again of the same write it says the same."""
        if change.after is None or change.after.flag:
            return []
        found: list[Warned] = list(self._of_item(change, used))
        catalog = self._stores.ledger.features.catalog(Environment(change.environment), change.key.feature_id)
        found += self._of_limits(change, used, catalog)
        found += self._of_thresholds(change, used)
        feature = catalog.features.get(change.key.feature_id)
        return found + (self._of_state(change, feature) if feature else [])

    def _of_item(self, change: Change, used: Sequence[RecordedUse]) -> Iterator[Warned]:
        """What the item says alone: its usage limits, and what its entity watches."""
        assert change.after is not None
        if not used:
            return
        key, before, after = change.key, base_of(change), as_written(change.after)
        for window in windows_reached(before, after):
            yield LimitWarning(key.feature_id, used[-1].entity_id, window)
        if key.entity_id:
            for passed in crossed(key, {key: before}, {key: after}):
                yield ThresholdWarning(key.feature_id, key.entity_id, passed)

    def _of_limits(self, change: Change, used: Sequence[RecordedUse], catalog: Catalog) -> Iterator[Warned]:
        """What may be used no more, of the feature used and of the one that paid; and, where a grant or a reset changed
        what there is, of all that it pays for."""
        assert change.after is not None
        key = change.key
        again = not used or _reset(change)
        ids = {key.feature_id: None, **({used[-1].feature_id: None} if used else {})}
        if again and key.feature_id in catalog.features:
            ids |= {member: None for member, _ in catalog.features[key.feature_id].credit_schema}
        entity_id = (used[-1].entity_id if used else None) or key.entity_id
        for id in ids:
            feature = catalog.features.get(id)
            if feature is None:
                continue
            pools = catalog.pools(id)
            subject = AlertSubject(Environment(change.environment), change.customer_id, id, entity_id)
            alone = _alone(change, entity_id) and not pools and id == key.feature_id
            names = (id, *(pool.feature_id for pool in pools))
            balances: Balances = {key: as_written(change.after)} if alone else self._balances(change, names)
            if any(is_closed(balances.get(at)) for at in (BalanceKey(id, entity_id), BalanceKey(id))):
                continue  # which was told, and nothing may be used whatever there is
            found = reached(feature, pools, entity_id, balances)
            was = reached(feature, pools, entity_id, {**balances, key: base_of(change)})
            if found is not None:
                anew = was is None and (alone or again)
                if used and (anew or not alone) and self._mark(change, subject, "limit", _PASSED, anew=anew):
                    yield LimitWarning(id, entity_id or None, found)
            elif not alone and again:
                for other in self._stores.alert_states.subjects(subject):
                    self._clear(subject._replace(entity_id=other), "limit")
            elif not alone or was is not None:
                self._clear(subject, "limit", known=alone)

    def _of_thresholds(self, change: Change, used: Sequence[RecordedUse]) -> Iterator[Warned]:
        """What the customer watches: all that it and its entities hold of the feature."""
        assert change.after is not None
        balance_key, customer, alone = change.key, BalanceKey(change.key.feature_id), _alone(change, "")
        subject = AlertSubject(Environment(change.environment), change.customer_id, *customer)
        balances: Balances = (
            {balance_key: as_written(change.after)} if alone else self._balances(change, (customer.feature_id,))
        )
        before = dict(standing(customer, {**balances, balance_key: base_of(change)}))
        for alert, passed in standing(customer, balances):
            key, below = _key_of(alert), alert in before and before[alert] is None
            if passed is None:
                if not alone or before.get(alert) is not None:
                    self._clear(subject, key, known=alone)
            elif used and (below or not alone):
                if self._mark(change, subject, key, _PASSED, anew=alone or (below and _reset(change))):
                    yield ThresholdWarning(customer.feature_id, None, passed)
            elif not used and alert not in before:  # it is watched from now on
                self._mark(change, subject, key, _PASSED, anew=True)

    def _of_state(self, change: Change, feature: Feature) -> list[Warned]:
        """The state of a feature's own thresholds, at every change of what the customer holds of it."""
        assert change.after is not None
        own = feature_alerts(feature.extra)
        if own is None:
            return []
        customer, alone = BalanceKey(feature.id), _alone(change, "")
        balances: Balances = {change.key: as_written(change.after)} if alone else self._balances(change, (feature.id,))
        grants = grants_at(customer, balances)
        if not grants:  # nothing is held: there is no such number
            return []
        state, value = own.state(grants)
        subject = AlertSubject(Environment(change.environment), change.customer_id, *customer)
        before = grants_at(customer, {change.key: as_written(change.before)}) if alone and change.before else []
        if before:
            if own.state(before)[0] is state:
                return []
        else:
            known = self._standing(subject).get(digest("state"))
            if (known is None and state is State.OK) or (known is not None and _is_later(known, change)):
                return []
        if not self._mark(change, subject, "state", state, anew=bool(before)):
            return []
        level = next(((threshold, above) for one, threshold, above in own.levels if one is state), None)
        return [StateWarning(feature.id, state, value, level)]

    # -------------------------------------------------------------- what stands

    def _mark(self, change: Change, subject: AlertSubject, key: str, state: str, *, anew: bool) -> bool:
        """Whether this write is the one to tell that a key stands so; it is, whenever it is asked again."""
        now = Standing(state, _cause(change))
        if not anew:
            known = self._standing(subject).get(digest(key))
            if known is not None and known.state == state:
                return known == now
        told = self._stores.alert_states.mark(subject, key, now, change.at, anew=anew)
        if told and subject in self._stands:
            self._stands[subject][digest(key)] = now
        return told

    def _clear(self, subject: AlertSubject, key: str, *, known: bool = False) -> None:
        """Notes that a key does not stand; it is looked up whether it did, unless that is `known`."""
        if not known and digest(key) not in self._standing(subject):
            return
        self._stores.alert_states.clear(subject, key)
        self._stands.get(subject, {}).pop(digest(key), None)

    def _standing(self, subject: AlertSubject) -> dict[str, Standing]:
        if subject not in self._stands:
            self._stands[subject] = self._stores.alert_states.read(subject)
        return self._stands[subject]

    # -------------------------------------------------------------- the balances around a write

    def _balances(self, change: Change, features: Iterable[str]) -> Balances:
        """All balances that the customer and its entities hold of these features now, with what is due done; no later than
        the written item itself is as it was written."""
        assert change.after is not None
        found: dict[BalanceKey, Balance] = {}
        now = min(change.at, instant_of(change.after))
        for id in dict.fromkeys((*features, change.key.feature_id)):
            held = change.environment, change.customer_id, id
            if held not in self._read:
                stored = self._stores.ledger.store.of_feature(CustomerRef(Environment(held[0]), held[1]), id)
                self._read[held] = {key: item.balance for key, item in stored.items() if not item.balance.flag}
            for key, balance in self._read[held].items():
                found[key] = as_written(balance) if balance.has_test_clock else as_written(as_of(balance, now))
        return found

    # -------------------------------------------------------------- the history

    def told(self, change: Change) -> None:
        """Notes that the write could be read: it goes into the history."""
        self._told.append(change)

    def keep(self, *, overtaken: bool = False) -> None:
        """Writes the history of what was told. `overtaken`: later writes may have been told before, as these were given up
        on. Raises Unavailable; it may all be repeated."""
        by_env: dict[Environment, list[Change]] = defaultdict(list)
        for change in self._told:
            by_env[Environment(change.environment)].append(change)
        history = self._stores.history
        history.write(
            (env, entry, change.at)
            for env, changes in by_env.items()
            for change in changes
            for entry in entries_of(change)
        )
        for env, changes in by_env.items():
            history.add(env, additions(changes), changes[-1].at, overtaken=overtaken)


def _alone(change: Change, entity_id: str) -> bool:
    """Whether the item is all that is looked at: no entity shares in the feature."""
    entities = change.after is not None and ENTITIES in change.after.paid_first
    return not change.key.entity_id and not entity_id and not entities


def _reset(change: Change) -> bool:
    if change.before is None or change.after is None:
        return False
    old = {grant.id: grant for grant in apply_spent(change.before)}
    return any(grant.id in old and was_reset(old[grant.id], grant) for grant in apply_spent(change.after))


def _cause(change: Change) -> str:
    """The write, by its item and version."""
    return f"{change.version}#{change.key.feature_id}#{change.key.entity_id}"


def _is_later(known: Standing, change: Change) -> bool:
    """Whether what is known was told of a later write of the same item: this one has come again."""
    version, _, item = known.cause.partition("#")
    return item == _cause(change).partition("#")[2] and int(version) > change.version


def _key_of(alert: Alert) -> str:
    return f"{alert.type}#{alert.threshold}#{alert.basis}#{alert.name or ''}"
