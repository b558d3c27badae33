"""Which alerts a write of a balance raises: limits reached, thresholds passed, and states of a feature.

`domain/alerts.py` decides whether a limit is reached or a threshold is passed. This module decides whether it was this
write that reached or passed it, so that each crossing raises one alert.

- A balance that counts alone: the balance before and after the write says so.
- Where several balances count together (entities, credit systems), no record says what the others held at the time of
  the write. All are read as they are now, and the alert states (`store/alert_states.py`) say whether the alert was
  raised before. A crossing that comes and goes between two reads raises none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tollgate.domain.alerts import (
    FeatureAlerts,
    LimitAlert,
    RaisedAlert,
    State,
    StateAlert,
    ThresholdAlert,
    crossed,
    feature_alerts,
    grants_at,
    is_closed,
    reached,
    thresholds,
    windows_reached,
)
from tollgate.domain.balances import ENTITIES, Balance, BalanceKey, Balances, as_of
from tollgate.domain.changes import BalanceWrite, Change, as_written, instant_of
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.features import Catalog
from tollgate.domain.limits import Alert
from tollgate.store.alert_states import AlertStateStore, AlertSubject, Standing, digest
from tollgate.store.balances import BalanceStore
from tollgate.store.top_up_states import TopUpStateStore
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.top_ups import TopUps

_LIMIT, _STATE = "limit", "state"  # keys of alert states; those of thresholds are made by `_key_of`
_PASSED = "passed"


class AlertStates:
    """Which alerts stand, by subject and by key (the limit, a threshold, or the feature's state).

    A subject's states are read once for a batch of the stream. Every method raises Unavailable.
    """

    def __init__(self, store: AlertStateStore) -> None:
        self._store = store
        self._known: dict[AlertSubject, dict[str, Standing]] = {}

    def state(self, subject: AlertSubject, key: str) -> Standing | None:
        """The state of the alert, and the write that raised it; None where it does not stand."""
        if subject not in self._known:
            self._known[subject] = self._store.read(subject)
        return self._known[subject].get(digest(key))

    def mark(self, write: BalanceWrite, subject: AlertSubject, key: str, state: str, *, anew: bool) -> bool:
        """Records that the alert stands in this state. Returns whether this write raises it.

        It does not where another write has raised it in the same state, unless the state begins `anew` with this write.
        Repeated for the same write, the answer is the same.
        """
        now = Standing(state, _cause(write))
        if not anew:
            known = self.state(subject, key)
            if known is not None and known.state == state:
                return known == now
        raised = self._store.mark(subject, key, now, write.at, anew=anew)
        if raised and subject in self._known:
            self._known[subject][digest(key)] = now
        return raised

    def clear(self, subject: AlertSubject, key: str) -> None:
        """Clears the alert, if it stands."""
        if self.state(subject, key) is not None:
            self.clear_standing(subject, key)

    def clear_standing(self, subject: AlertSubject, key: str) -> None:
        """Clears an alert that is known to stand, without reading it first."""
        self._store.clear(subject, key)
        self._known.get(subject, {}).pop(digest(key), None)

    def clear_all(self, subject: AlertSubject, key: str) -> None:
        """Clears the alert for the customer of this subject and for all its entities."""
        for entity_id in self._store.subjects(subject):
            self.clear(subject._replace(entity_id=entity_id), key)


class Alerts:
    """The alerts that the writes of one batch of the stream raise, in the stream's order."""

    def __init__(
        self, features: FeatureCache, balances: BalanceStore, states: AlertStateStore, top_ups: TopUpStateStore
    ) -> None:
        self._features = features
        self._balances = balances
        self._states = AlertStates(states)
        self._top_ups = TopUps(top_ups)
        self._read: dict[tuple[Environment, str, str], dict[BalanceKey, Balance]] = {}

    def raised_by(self, change: Change) -> list[RaisedAlert]:
        """The alerts that a write raises: limits that a use reached, thresholds that it passed, a balance that is to be
        topped up, and a new state of the feature.

        Raises Unavailable. Repeated for the same write, the answer is the same.
        """
        after = change.after
        if after is None or after.flag:
            return []
        catalog = self._features.catalog(change.write.environment, change.write.key.feature_id)
        found: list[RaisedAlert] = list(_of_balance(change, after))
        found += self._of_limits(change, after, catalog)
        found += self._of_thresholds(change, after)
        feature = catalog.features.get(change.write.key.feature_id)
        own = feature_alerts(feature.extra) if feature else None
        found += self._top_ups.raised_by(change, after, self._all)
        return found + (self._of_state(change, after, own) if own else [])

    def _of_limits(self, change: Change, after: Balance, catalog: Catalog) -> Iterator[RaisedAlert]:
        """The limits of the feature that was used and of the feature whose balance paid. Where a grant or a reset added
        units to a credit system, the limits of all features that it pays for are checked too, to clear their alerts.
        """
        key, used = change.write.key, change.uses[-1] if change.uses else None
        more = used is None or change.was_reset
        ids = dict.fromkeys((key.feature_id, used.feature_id) if used else (key.feature_id,))
        if more and key.feature_id in catalog.features:
            ids |= dict.fromkeys(member for member, _ in catalog.features[key.feature_id].credit_schema)
        entity_id = (used.entity_id if used else None) or key.entity_id
        for id in ids:
            feature = catalog.features.get(id)
            if feature is None:
                continue
            pools = catalog.pools(id)
            alone = id == key.feature_id and not pools and _counts_alone(change, after, entity_id)
            names = (id, *(pool.feature_id for pool in pools))
            balances: Balances = {key: after} if alone else self._all(change, after, names)
            if any(is_closed(balances.get(at)) for at in (BalanceKey(id, entity_id), BalanceKey(id))):
                continue  # a usage limit denies every use, and has raised its own alert
            subject = AlertSubject(change.write.environment, change.write.customer_id, id, entity_id)
            found = reached(feature, pools, entity_id, balances)
            was = reached(feature, pools, entity_id, {**balances, key: change.before})
            if found is not None:
                anew = was is None and (alone or more)
                if (
                    used
                    and (anew or not alone)
                    and self._states.mark(change.write, subject, _LIMIT, _PASSED, anew=anew)
                ):
                    yield LimitAlert(id, entity_id or None, found)
            elif alone:
                if was is not None:
                    self._states.clear_standing(subject, _LIMIT)
            elif more:
                self._states.clear_all(subject, _LIMIT)
            else:
                self._states.clear(subject, _LIMIT)

    def _of_thresholds(self, change: Change, after: Balance) -> Iterator[RaisedAlert]:
        """The customer's thresholds, which measure all that the customer and its entities hold of the feature."""
        write = change.write
        customer, alone = BalanceKey(write.key.feature_id), _counts_alone(change, after, "")
        balances: Balances = {write.key: after} if alone else self._all(change, after, (customer.feature_id,))
        if customer not in balances or not balances[customer].limits.alerts:
            return
        subject = AlertSubject(write.environment, write.customer_id, *customer)
        before = dict(thresholds(customer, {**balances, write.key: change.before}))
        for alert, passed in thresholds(customer, balances):
            key, was_below = _key_of(alert), alert in before and before[alert] is None
            if passed is None:
                if not alone:
                    self._states.clear(subject, key)
                elif before.get(alert) is not None:
                    self._states.clear_standing(subject, key)
            elif change.uses and (was_below or not alone):
                anew = alone or (was_below and change.was_reset)
                if self._states.mark(write, subject, key, _PASSED, anew=anew):
                    yield ThresholdAlert(customer.feature_id, None, passed)
            elif not change.uses and alert not in before:  # this write states it, and it was passed before: no alert
                self._states.mark(write, subject, key, _PASSED, anew=True)

    def _of_state(self, change: Change, after: Balance, own: FeatureAlerts) -> list[RaisedAlert]:
        """The state of the feature's own thresholds, after every change of what the customer and its entities hold of
        it.
        """
        write = change.write
        customer, alone = BalanceKey(write.key.feature_id), _counts_alone(change, after, "")
        balances: Balances = {write.key: after} if alone else self._all(change, after, (customer.feature_id,))
        grants = grants_at(customer, balances)
        if not grants:  # without grants there are no remaining units to compare
            return []
        state, value = own.state(grants)
        subject = AlertSubject(write.environment, write.customer_id, *customer)
        before = grants_at(customer, {write.key: change.previous}) if alone and change.previous else []
        if before:
            if own.state(before)[0] is state:
                return []
        else:
            known = self._states.state(subject, _STATE)
            if (known is None and state is State.OK) or (known is not None and _is_later(known, write)):
                return []
        if not self._states.mark(write, subject, _STATE, state, anew=bool(before)):
            return []
        level = next(((threshold, above) for one, threshold, above in own.levels if one is state), None)
        return [StateAlert(customer.feature_id, state, value, level)]

    def _all(self, change: Change, after: Balance, features: Iterable[str]) -> Balances:
        """All balances that the customer and its entities hold of these features and of the written balance's feature,
        as they are now, with `spent` applied. Resets and expiries are applied up to the time of the write, and no
        later.
        """
        write = change.write
        found: dict[BalanceKey, Balance] = {}
        now = min(write.at, instant_of(after))
        for id in dict.fromkeys((*features, write.key.feature_id)):
            held = write.environment, write.customer_id, id
            if held not in self._read:
                stored = self._balances.of_feature(CustomerRef(*held[:2]), id)
                self._read[held] = {key: item.balance for key, item in stored.items() if not item.balance.flag}
            for key, balance in self._read[held].items():
                found[key] = as_written(balance) if balance.has_test_clock else as_written(as_of(balance, now))
        return found


def _of_balance(change: Change, after: Balance) -> Iterator[RaisedAlert]:
    """The usage limits that a use reached on the written balance, and the thresholds that it passed on an entity's."""
    if not change.uses:
        return
    key = change.write.key
    for window in windows_reached(change.before, after):
        yield LimitAlert(key.feature_id, change.uses[-1].entity_id, window)
    if key.entity_id:
        for passed in crossed(key, {key: change.before}, {key: after}):
            yield ThresholdAlert(key.feature_id, key.entity_id, passed)


def _counts_alone(change: Change, after: Balance, entity_id: str) -> bool:
    """Whether only the written balance counts: it is the customer's own, and no entity has a balance of the feature."""
    return not change.write.key.entity_id and not entity_id and ENTITIES not in after.paid_first


def _cause(write: BalanceWrite) -> str:
    """The text that identifies the write: its version and the balance key."""
    return f"{write.version}#{write.key.feature_id}#{write.key.entity_id}"


def _is_later(known: Standing, write: BalanceWrite) -> bool:
    """Whether a later write of the same balance recorded this state, so the stream has delivered this write again."""
    version, _, item = known.cause.partition("#")
    return item == _cause(write).partition("#")[2] and int(version) > write.version


def _key_of(alert: Alert) -> str:
    return f"{alert.type}#{alert.threshold}#{alert.basis}#{alert.name or ''}"
