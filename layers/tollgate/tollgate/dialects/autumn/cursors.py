"""Lists over customers, paged by cursor, or by offset where a client knows no cursors.

A cursor says where the last page ended: at which customer in the order of creation, and at which of that customer's
items. Callers see base64url of JSON and are not to read it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from tollgate.domain.customers import Holdings
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import InvalidInput
from tollgate.exact_json import dumps, loads
from tollgate.usecases.customers import Customers, Facts, ListedCustomer

T = TypeVar("T")

ItemsOf = Callable[[Holdings], Iterable[tuple[str, T]]]
"""The items that one customer adds to a list, in order. A key sorts each among the items of the same customer."""

May = Callable[[ListedCustomer, Facts], bool]
"""Whether a customer of the list, with these facts, may add items; where it may not, it is not read."""

MOST_LOOKED_AT = 300  # customers that are read for one page
MOST_PAGES = 4  # of the list of customers that are read for one page: a filter that few match gives short pages
MOST_PLANS = 10  # of a filter that asks the index of plans, once for each
_FIRST = 400  # customers of the list in the first request of a filter


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
    plan_ids: Collection[str] = ()  # only customers that have one of these, or had; none: whatever they have


class OffsetRequest(NamedTuple):
    """Which page of a list is asked for, by the number of items that come before it."""

    offset: int
    limit: int
    newest_first: bool


def each_customer(
    customers: Customers, env: Environment, asked: PageRequest, items_of: ItemsOf[T], may: May | None = None
) -> Page[T]:
    """One page of the items of one customer, or of all customers in order of creation.

    `may`: leaves customers out by what the list itself says of them. A page takes one Query of the list (with a filter,
    up to MOST_PAGES; of plans that few have, two requests to their index instead), and one request for each 100 items of
    the customers that it shows. Raises NotFound for an unknown customer, and InvalidInput for a cursor that no list gave
    out.
    """
    customer_id, cursor, limit, newest_first, plan_ids = asked
    position, after = _decoded(cursor)
    found: list[tuple[str, str, T]] = []
    if customer_id is not None:
        holdings = customers.get(CustomerRef(env, customer_id))
        return _cut([("", key, item) for key, item in items_of(holdings) if key > after], limit)
    if position and after:  # the rest of the customer that the last page ended in
        last = CustomerRef(env, position.partition("#")[2])
        rest = (one for holdings in customers.each([last]) for one in items_of(holdings))
        found += [(position, key, item) for key, item in rest if key > after]
    read, more = 0, True
    for number in range(MOST_PAGES):
        if not more or len(found) > limit:
            break
        if number == 0 and 0 < len(plan_ids) <= MOST_PLANS:  # where few have them; those that follow are not so few
            listed, more = customers.page_with_plans(env, plan_ids, position, newest_first=newest_first)
        else:
            size = limit + 1 if may is None else _FIRST if number == 0 else None
            listed, more = customers.page(env, position, size, newest_first=newest_first)
        wanted = [one for one in listed if may is None or one.facts is None or may(one, one.facts)]
        while wanted and len(found) <= limit:
            if read >= MOST_LOOKED_AT:
                return Page([item for _, _, item in found], _encoded(position, ""))
            chunk, wanted = wanted[: limit + 1 - len(found)], wanted[limit + 1 - len(found) :]
            read += len(chunk)
            position = chunk[-1].position
            at = {one.customer_id: one.position for one in chunk}
            for holdings in customers.read(env, chunk):
                found += [(at[holdings.customer.id], key, item) for key, item in items_of(holdings)]
        if not wanted and listed:
            position = listed[-1].position
    if more and len(found) <= limit:
        return Page([item for _, _, item in found], _encoded(position, ""))
    return _cut(found, limit)


def by_offset(
    customers: Customers, env: Environment, asked: OffsetRequest, items_of: ItemsOf[T], may: May | None = None
) -> tuple[list[T], bool]:
    """One page of a list that has one item for each customer, and whether more follow: the same, found by how many come
    before. It takes one Query for each 1 MB of the list up to there."""
    offset, limit, newest_first = asked
    listed = customers.listed(env, newest_first=newest_first)
    wanted = (one for one in listed if may is None or one.facts is None or may(one, one.facts))
    page = list(islice(wanted, offset, offset + limit + 1))
    found = [item for holdings in customers.read(env, page[:limit]) for _, item in items_of(holdings)]
    return found, len(page) > limit


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
