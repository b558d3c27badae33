"""Which writes raise an alert, by what stands already; and what a batch of the stream writes into the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.records import MESSAGES, MONTH_END, NOW, SANDBOX, held, monthly, spent, used, with_limits
from tollgate.domain.alerts import LimitAlert, RaisedAlert, State, StateAlert
from tollgate.domain.balances import ENTITIES, Balance, recomputed
from tollgate.domain.changes import BalanceWrite, Change, read_change
from tollgate.domain.environments import Environment
from tollgate.domain.features import Catalog, Feature, FeatureType
from tollgate.domain.limits import Alert, Threshold
from tollgate.domain.use_records import UseRecord
from tollgate.store.alert_states import AlertSubject, Standing, digest
from tollgate.usecases.alerts import Alerts
from tollgate.usecases.history_writes import write_history

MARCH = 1_772_323_200_000
CUSTOMER = AlertSubject(SANDBOX, "c1", *MESSAGES)
OTHER_WRITE = "3#messages#"
LEVELS = {"info": {"threshold": "50", "condition": "below"}}
WATCHED = {"alert_settings": {"alert_enabled": True, **LEVELS}}


@dataclass
class States:
    """Alert states in memory."""

    standing: dict[tuple[AlertSubject, str], Standing] = field(default_factory=dict)

    def read(self, subject: AlertSubject) -> dict[str, Standing]:
        return {key: standing for (who, key), standing in self.standing.items() if who == subject}

    def mark(self, subject: AlertSubject, key: str, standing: Standing, now: int, *, anew: bool) -> bool:
        assert now
        known = self.standing.get((subject, digest(key)))
        if known is not None and known.state == standing.state and not anew:
            return known == standing
        self.standing[subject, digest(key)] = standing
        return True

    def clear(self, subject: AlertSubject, key: str) -> None:
        self.standing.pop((subject, digest(key)), None)


def change(old: Balance, new: Balance, event: UseRecord | None = None, at: int = NOW + 1000) -> Change:
    return read_change(BalanceWrite(SANDBOX, "c1", MESSAGES, 7, old, new, event, at))


def raised(states: States, one: Change, extra: Mapping[str, Any] | None = None) -> list[RaisedAlert]:
    catalog = Catalog({"messages": Feature("messages", "", FeatureType.METERED, extra=extra or {})})
    features: Any = SimpleNamespace(catalog=lambda *_: catalog)
    stored = {MESSAGES: SimpleNamespace(balance=one.after)}
    balances: Any = SimpleNamespace(of_feature=lambda *_: stored)
    store: Any = states
    return Alerts(features, balances, store, store).raised_by(one)


def test_a_limit_that_is_no_longer_reached_is_cleared() -> None:
    states, balance = States(), held(monthly(10))
    (alert,) = raised(states, change(balance, spent(balance, 10), used("u", 10)))
    assert isinstance(alert, LimitAlert)
    assert states.standing
    assert raised(states, change(spent(balance, 10), held(monthly(20, used=Decimal(10))))) == []
    assert states.standing == {}


def test_a_balance_that_counts_alone_says_itself_that_a_state_is_new() -> None:
    states = States({(CUSTOMER, digest("state")): Standing(State.INFO, OTHER_WRITE)})  # of a time that was not told of
    balance = held(monthly(100))
    (alert,) = raised(states, change(balance, spent(balance, 60), used("u", 60)), WATCHED)
    assert isinstance(alert, StateAlert)
    assert (alert.state, alert.value, alert.level) == (State.INFO, 40, (50, False))


@pytest.mark.parametrize("reset", [True, False])
def test_where_several_count_together_a_reset_lets_what_stands_be_raised_anew(reset: bool) -> None:
    threshold = Alert(Threshold.USAGE, Decimal(5))
    passed = f"usage#5#{threshold.basis}#"
    states = States({(CUSTOMER, digest(key)): Standing("passed", OTHER_WRITE) for key in ("limit", passed)})

    def together(drawn: int, **more: Any) -> Balance:
        balance = with_limits(held(monthly(10, used=Decimal(drawn))._replace(**more)), alerts=(threshold,))
        return recomputed(balance._replace(paid_first=frozenset({ENTITIES})))

    old, new = together(10 if reset else 0), together(10, **({"next_reset_at": MARCH} if reset else {}))
    at = MONTH_END + 7 if reset else NOW + 7
    found = raised(states, change(old, new, used("u", 10, at), at))
    assert [type(alert).__name__ for alert in found] == (["LimitAlert", "ThresholdAlert"] if reset else [])


def test_each_environment_has_its_own_history() -> None:
    balance = held(monthly(10))
    changes = [
        read_change(BalanceWrite(env, "c1", MESSAGES, 7, balance, spent(balance, n), used(f"u{n}", n), NOW + n))
        for n, env in ((1, Environment.SANDBOX), (2, Environment.LIVE), (3, Environment.SANDBOX))
    ]
    written: list[Any] = []
    added: dict[Environment, tuple[set[Decimal], int]] = {}

    def add(env: Environment, sums: Mapping[Any, Any], at: int, *, overtaken: bool) -> None:
        assert overtaken
        added[env] = {one.sum for additions in sums.values() for one in additions}, at

    history: Any = SimpleNamespace(write=written.extend, add=add)
    write_history(history, changes, overtaken=True)
    assert [(env, entry.use_id, at) for env, entry, at in written] == [
        (Environment.SANDBOX, "u1", NOW + 1),
        (Environment.LIVE, "u2", NOW + 2),
        (Environment.SANDBOX, "u3", NOW + 3),
    ]
    assert added == {Environment.SANDBOX: ({4}, NOW + 3), Environment.LIVE: ({2}, NOW + 2)}
