"""Exact amounts: what a number on a balance may be.

A quantity is a finite decimal of magnitude below 10^15 with at most ten decimals (Autumn rounds to ten). With both
bounds every sum a balance can reach fits the 38 digits that a DynamoDB number holds, so no write ever rounds.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, DefaultContext, InvalidOperation, getcontext

from tollgate.domain.errors import InvalidInput

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch
LIMIT = Decimal(10) ** 15
MAX_DIGITS = 38
_LONGEST_TEXT = 1000  # of a number: no quantity needs as many digits
ZERO = Decimal(0)

_STEP = Decimal("1e-10")

# Python's decimals get the precision of DynamoDB's: in this thread, and in every thread started later.
for _context in (DefaultContext, getcontext()):
    _context.prec = MAX_DIGITS


def quantity(value: int | Decimal, field: str) -> Decimal:
    """`value` as a quantity, rounded half-even to ten decimals.

    Raises InvalidInput naming `field` where the number is not finite, has over 38 digits or is out of range.
    """
    number = Decimal(value)
    if not number.is_finite():
        raise InvalidInput(field, "must be a finite number")
    if number and number.adjusted() >= LIMIT.adjusted():  # before any arithmetic, which a huge exponent would overflow
        raise InvalidInput(field, "must be a number between -10^15 and 10^15")
    if isinstance(value, int):
        return number
    if len(number.as_tuple().digits) > MAX_DIGITS:
        raise InvalidInput(field, f"must have at most {MAX_DIGITS} digits")
    rounded = number.quantize(_STEP, rounding=ROUND_HALF_EVEN)
    return _plain(rounded)


def number_of(text: str) -> Decimal | None:
    """The number that a text holds, in JSON's grammar, with blanks around it; None for any other text.

    `1_000`, `+1`, `Infinity` and digits of other scripts are no numbers, though Python reads them (management.md 2
    (meter)).
    """
    text = text.strip(" \t\r\n")
    if len(text) > _LONGEST_TEXT or not _NUMBER(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return None


def converted(value: Decimal, factor: Decimal) -> Decimal:
    """`value` multiplied by `factor`, rounded half-even to ten decimals: from units of a feature to units of a credit
    pool.
    """
    return value if factor == 1 else _plain((value * factor).quantize(_STEP, rounding=ROUND_HALF_EVEN))


def unconverted(value: Decimal, factor: Decimal) -> Decimal:
    """`value` divided by `factor`, rounded half-even to ten decimals: from units of a credit pool to units of a
    feature.
    """
    return value if factor == 1 else _plain((value / factor).quantize(_STEP, rounding=ROUND_HALF_EVEN))


def _plain(rounded: Decimal) -> Decimal:
    whole = rounded.to_integral_value()
    return whole if whole == rounded else rounded.normalize()
