"""Lists over customers, paged by cursor.

A cursor says where the last page ended: at which customer in the order of creation, and at which of that customer's
items. Callers see base64url of JSON and are not to read it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from tollgate.domain.customers import Holdings
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import InvalidInput
from tollgate.exact_json import dumps, loads
from tollgate.usecases.customers import Customers

T = TypeVar("T")

ItemsOf = Callable[[Holdings], Iterable[tuple[str, T]]]
"""The items that one customer adds to a list, in order. A key sorts each among the items of the same customer."""

_AT_ONCE = 50
MOST_LOOKED_AT = (
    300  # customers that one page looks through: a filter that few match gives short pages, never a timeout
)


class Page(NamedTuple, Generic[T]):
    """The items of one page, and the cursor of the next page; None where this is the last one."""

    items: list[T]
    next_cursor: str | None


class PageRequest(NamedTuple):
    """Which page of a list is asked for."""

    customer_id: str | None  # list this customer only; None: all customers
    cursor: str | None  # where the last page ended; None or empty: start at the beginning
    limit: int  # at most so many items
    newest_first: bool = False  # the order of customers, by their creation; else the oldest comes first


def each_customer(customers: Customers, env: Environment, asked: PageRequest, items_of: ItemsOf[T]) -> Page[T]:
    """One page of the items of one customer, or of all customers in order of creation.

    Raises NotFound for an unknown customer, and InvalidInput for a cursor that no list gave out.
    """
    customer_id, cursor, limit, newest_first = asked
    position, after = _decoded(cursor)
    found: list[tuple[str, str, T]] = []
    if customer_id is not None:
        holdings = customers.get(CustomerRef(env, customer_id))
        return _cut([("", key, item) for key, item in items_of(holdings) if key > after], limit)
    if position and after:  # the rest of the customer that the last page ended in
        last = CustomerRef(env, position.partition("#")[2])
        found += [(position, key, item) for key, item in _of(customers, last, items_of) if key > after]
    looked_at = 0
    while len(found) <= limit:
        if looked_at >= MOST_LOOKED_AT:
            return Page([item for _, _, item in found], _encoded(position, ""))
        page = customers.page(env, position, _AT_ONCE, newest_first=newest_first)
        if not page:
            break
        for at, customer in page:
            looked_at += 1
            position = at
            found += [(at, key, item) for key, item in _of(customers, customer, items_of)]
            if len(found) > limit:
                break
    return _cut(found, limit)


def _of(customers: Customers, customer: CustomerRef, items_of: ItemsOf[T]) -> list[tuple[str, T]]:
    """The items of one customer; none where it was deleted after it was listed."""
    return [item for holdings in customers.each([customer]) for item in items_of(holdings)]


def _cut(found: list[tuple[str, str, T]], limit: int) -> Page[T]:
    items = [item for _, _, item in found[:limit]]
    if len(found) <= limit:
        return Page(items, None)
    position, key, _ = found[limit - 1]
    return Page(items, _encoded(position, key))


def _encoded(position: str, key: str) -> str:
    return base64.urlsafe_b64encode(dumps([position, key]).encode()).decode().rstrip("=")


def _decoded(cursor: str | None) -> tuple[str, str]:
    if not cursor:
        return "", ""
    try:
        position, after = loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except (ValueError, InvalidInput) as error:
        raise InvalidInput("start_cursor", "is not a cursor of this list") from error
    if not isinstance(position, str) or not isinstance(after, str):
        raise InvalidInput("start_cursor", "is not a cursor of this list")
    return position, after
