"""With lost answers a hold is never doubled, and never stranded beyond its expiry."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.contract.test_reservations import DAY, Here
from tests.service import NOW, SANDBOX, Service, item
from tollgate.domain.errors import Conflict, InvalidRequest, Unavailable
from tollgate.domain.reservations import digest_of
from tollgate_cli.servers import Server, set_rules

CUT = {"service": "dynamodb", "operation": "TransactWriteItems", "response": {"abort_frac": 0.0}}
THROTTLED = {
    "service": "dynamodb",
    "operation": "TransactWriteItems",
    "error": {"code": "ProvisionedThroughputExceededException"},
}


@pytest.fixture
def here(here: Service) -> Here:
    return Here(here)


def test_a_hold_whose_answer_is_lost_holds_once(here: Here, proxy: Server) -> None:
    here.service.customer("c1", [item(100)])
    set_rules(proxy, [{**CUT, "times": 1}])
    assert here.hold("c1", 30, "lock-1").allowed
    assert here.remaining("c1") == 70


def test_a_finalization_whose_answer_is_lost_finalizes_once(here: Here, proxy: Server) -> None:
    here.service.customer("c1", [item(100)])
    here.hold("c1", 30, "lock-1")
    set_rules(proxy, [{**CUT, "times": 1}])
    assert here.confirm("lock-1", 10) == -20
    assert here.remaining("c1") == 90


def test_a_throttled_hold_is_tried_again(here: Here, proxy: Server) -> None:
    here.service.customer("c1", [item(100)])
    set_rules(proxy, [{**THROTTLED, "times": 2}])
    assert here.hold("c1", 30, "lock-1").allowed
    assert here.remaining("c1") == 70


def test_a_storm_of_lost_answers_doubles_and_strands_nothing(here: Here, proxy: Server) -> None:
    """Whatever each caller was told, the balance holds ten units for each lock that lives and seven for each that was
    confirmed; and after their time, only those seven."""
    here.service.customer("c1", [item(1000)])
    ids = [f"lock-{number}" for number in range(20)]
    set_rules(proxy, [{**CUT, "probability": 0.4}, {**THROTTLED, "probability": 0.2}])
    for id in ids:
        with suppress(Unavailable, Conflict, InvalidRequest):
            here.hold("c1", 10, id)
            here.confirm(id, 7)
    set_rules(proxy, [])
    locks = [here.locks.get(SANDBOX, digest_of(id)) for id in ids]
    states = [lock.state for lock in locks if lock]
    confirmed = states.count("confirmed")
    assert confirmed
    assert here.remaining("c1") == 1000 - 7 * confirmed - 10 * states.count("held")
    assert here.remaining("c1", now=NOW + DAY) == 1000 - 7 * confirmed
