"""How a check is decided, and what a use does to a balance.

Read from the top: `allows` is the answer of a read-only check, `use` is a use thought through row by row (the slow
path), and `hot` is the same decision as the store makes it in one conditional write. Where `hot` decides, it decides
exactly as `use` does.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tollgate.domain.balances import Balance, balance_of, draw, fold, give_back, overdraw
from tollgate.domain.quantities import ZERO


class Overage(StrEnum):
    """What becomes of the part of a use that the balance does not cover (autumn.md 3.4)."""

    CAP = "cap"  # it is dropped
    REJECT = "reject"  # the whole use is refused
    OVERFLOW = "overflow"  # it goes through, past zero


class Decision(NamedTuple):
    """`balance` is the state after an allowed use, or as it stood at the time of a refused one.

    `drawn` is what moved: above zero consumed, below zero given back.
    """

    allowed: bool
    drawn: Decimal
    balance: Balance


def allows(balance: Balance | None, required: Decimal, now: int) -> bool:
    """Whether the customer may use `required` units now (autumn.md 2, decision order). Nothing is counted."""
    if balance is None:
        return False
    balance = fold(balance, now)
    if balance.flag:
        return bool(balance.rows)
    if not balance.rows:
        return False
    return required < 0 or required <= balance.headroom


def use(balance: Balance, amount: Decimal, overage: Overage, now: int) -> Decision:
    """Uses `amount` (below zero: gives it back) of a metered balance, row by row."""
    folded = fold(balance, now)
    if not folded.rows:
        return Decision(False, ZERO, folded)
    if amount < 0:
        rows, dropped = give_back(folded.rows, -amount)
        if dropped and overage is Overage.OVERFLOW:
            rows, dropped = overdraw(rows, -dropped), ZERO
        return Decision(True, amount + dropped, balance_of(folded.feature_id, rows))
    rows, left = draw(folded.rows, amount)
    if left and overage is Overage.REJECT:
        return Decision(False, ZERO, folded)
    if left and overage is Overage.OVERFLOW:
        rows, left = overdraw(rows, left), ZERO
    return Decision(True, amount - left, balance_of(folded.feature_id, rows))


def hot(balance: Balance, amount: Decimal, overage: Overage, now: int) -> Decision | None:
    """What one conditional write on three numbers can decide; None where it cannot and the slow path must.

    The conditions are the store's (`store.balances.Balances.spend`): the whole amount where the headroom covers it; where
    a capped use finds less, all that there is.
    """
    if amount < 0 or now >= balance.fresh_until:
        return None
    drawn = amount
    if amount > balance.headroom:
        if overage is not Overage.CAP:
            return None
        drawn = balance.headroom
    after = balance._replace(headroom=balance.headroom - drawn, spent=balance.spent + drawn)
    return Decision(True, drawn, after)
