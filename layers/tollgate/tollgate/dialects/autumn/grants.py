"""`balances.create`, `.list`, `.update` and `.delete` (autumn.md 1.2, 3.8): requests in, answers out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from tollgate.dialects.autumn.balances import line_json, rollovers_json
from tollgate.dialects.autumn.catalog import ResetParams, RolloverParams
from tollgate.dialects.autumn.cursors import PageRequest, each_customer
from tollgate.dialects.autumn.customers import page_json
from tollgate.dialects.autumn.fields import Cursor, Id, IntervalName, Number, Params, Start, Time, Whole
from tollgate.dialects.autumn.versions import PLANS, version_of
from tollgate.dialects.fields import as_sent
from tollgate.dialects.http import Answer, Request
from tollgate.domain.balances import apply_spent
from tollgate.domain.customers import Customer, Holdings
from tollgate.domain.errors import InvalidInput
from tollgate.domain.features import Catalog
from tollgate.domain.grants import renewed
from tollgate.domain.manual_balances import BalanceFilter, BalanceUpdate, NewBalance
from tollgate.domain.periods import Interval
from tollgate.domain.places import within
from tollgate.domain.views import Line, Shown
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers


class CreateBalanceParams(Params):
    """The body of `balances.create`: units granted by hand. Times are epoch ms."""

    customer_id: Id
    feature_id: Id
    entity_id: Id | None = None
    included_grant: Number | None = Field(
        default=None, validation_alias=AliasChoices("included_grant", "granted_balance")
    )
    unlimited: bool | None = None
    reset: ResetParams | None = None
    rollover: RolloverParams | None = None
    expires_at: Time | None = None
    next_reset_at: Start | None = None
    balance_id: Id | None = None


class UpdateBalanceParams(Params):
    """The body of `balances.update`. Amounts are in units of the feature, times in epoch ms."""

    customer_id: Id
    feature_id: Id
    entity_id: Id | None = None
    remaining: Number | None = Field(default=None, validation_alias=AliasChoices("remaining", "current_balance"))
    add_to_balance: Number | None = None
    usage: Number | None = None
    included_grant: Number | None = None
    interval: IntervalName | None = None
    balance_id: Id | None = Field(default=None, validation_alias=AliasChoices("balance_id", "customer_entitlement_id"))
    next_reset_at: Start | None = None
    expires_at: Time | None = None


class DeleteBalanceParams(Params):
    """The body of `balances.delete`."""

    customer_id: Id
    feature_id: Id | None = None
    entity_id: Id | None = None
    balance_id: Id | None = None
    interval: IntervalName | None = None
    recalculate_balances: bool | None = None


class ListBalancesParams(Params):
    """The body of `balances.list`."""

    customer_id: Id | None = None
    entity_id: Id | None = None
    plan_id: Id | None = None
    feature_id: Id | None = None
    statuses: list[Literal["active", "expired"]] | None = None
    limit: Annotated[Whole, Field(ge=1, le=200)] | None = None
    start_cursor: Cursor | None = None


def create_balance(customers: Customers, request: Request) -> Answer:
    """`balances.create`: grants units by hand (autumn.md 3.8). Raises InvalidInput, NotFound or AlreadyExists."""
    params = CreateBalanceParams.of(request.body)
    with as_sent(CreateBalanceParams, request.body):
        with within("reset"):
            reset = params.reset.reset() if params.reset else None
        with within("rollover"):
            rollover = params.rollover.rule() if params.rollover else None
        new = NewBalance(
            params.balance_id or f"bal_{uuid.uuid4().hex}",
            params.feature_id,
            params.entity_id or "",
            params.included_grant,
            bool(params.unlimited),
            reset,
            rollover,
            params.expires_at,
            params.next_reset_at,
        )
        if new.included is not None and new.included < 0:
            raise InvalidInput("included_grant", "must not be negative")
        customers.get_or_create(request.caller.environment, Customer(params.customer_id), None, request.now)
        customers.create_balance(request.customer(params.customer_id), new, request.now)
    older = version_of(request.headers.get("x-api-version")) < PLANS
    return Answer({"success": True, **({"message": "success"} if older else {})})


def update_balance(customers: Customers, request: Request) -> Answer:
    """`balances.update`: sets what remains or was used, or changes the grant (autumn.md 3.8).

    Raises InvalidInput for changes that contradict each other or for none, and NotFound.
    """
    params = UpdateBalanceParams.of(request.body)
    with as_sent(UpdateBalanceParams, request.body):
        if params.remaining is not None and (params.usage is not None or params.add_to_balance is not None):
            raise InvalidInput("remaining", "cannot be combined with usage or add_to_balance")
        if params.usage is not None and params.add_to_balance is not None:
            raise InvalidInput("usage", "cannot be combined with add_to_balance")
        if params.included_grant is not None and params.included_grant < 0:
            raise InvalidInput("included_grant", "must not be negative")
        change = BalanceUpdate(
            params.remaining,
            params.usage,
            params.add_to_balance,
            params.included_grant,
            params.next_reset_at,
            params.expires_at,
        )
        if change == BalanceUpdate():
            raise InvalidInput(
                "",
                "One of remaining, usage, add_to_balance, included_grant, next_reset_at and expires_at must be given",
            )
        which = BalanceFilter(params.feature_id, params.entity_id or "", params.balance_id, _interval(params.interval))
        customers.update_balance(request.customer(params.customer_id), which, change, request.now)
        return Answer({"success": True})


def delete_balance(customers: Customers, request: Request) -> Answer:
    """`balances.delete`: removes grants. With `recalculate_balances` their usage is charged to the grants that stay.

    Raises InvalidInput where no grant is named, Conflict for a paid grant, and NotFound.
    """
    params = DeleteBalanceParams.of(request.body)
    if params.feature_id is None and params.balance_id is None and not params.recalculate_balances:
        raise InvalidInput("", "Either feature_id or balance_id must be provided")
    which = BalanceFilter(params.feature_id, params.entity_id or "", params.balance_id, _interval(params.interval))
    customers.delete_balance(
        request.customer(params.customer_id),
        which,
        request.now,
        recalculate=bool(params.recalculate_balances),
    )
    return Answer({"success": True})


def list_balances(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`balances.list`: a page of grants, of one customer or of all; active ones unless told. What a plan's item grants
    to each entity is one, unless an entity is named."""
    params = ListBalancesParams.of(request.body)
    statuses = params.statuses or ["active"]
    standalone = "plan_id" in params.model_fields_set and params.plan_id is None

    def found(holdings: Holdings) -> Iterator[tuple[str, tuple[Holdings, str, Line]]]:
        lines: dict[str, tuple[str, list[Shown]]] = {}
        for sort_key, status, shown in _grants(holdings, request.now, each=params.entity_id is not None):
            grant, key = shown
            if status not in statuses or params.feature_id not in (None, key.feature_id):
                continue
            if params.entity_id is not None and key.entity_id != params.entity_id:
                continue
            if (standalone and grant.plan_id is not None) or params.plan_id not in (None, grant.plan_id):
                continue
            lines.setdefault(sort_key, (status, []))[1].append(shown)
        for sort_key, (status, group) in sorted(lines.items()):
            yield sort_key, (holdings, status, Line(tuple(group)))

    env = request.caller.environment
    catalog = catalogs.catalog(env)
    page = each_customer(
        customers, env, PageRequest(params.customer_id, params.start_cursor, params.limit or 50), found
    )
    return Answer(page_json(page, lambda item: _listed_json(*item, catalog, params.entity_id or "")))


def _listed_json(holdings: Holdings, status: str, line: Line, catalog: Catalog, entity_id: str) -> dict[str, Any]:
    feature_id = line.grants[0].key.feature_id
    return {
        **line_json(line, catalog.features.get(feature_id), entity_id),
        "feature_id": feature_id,
        "status": status,
        "rollovers": rollovers_json(line.rollovers),
        "customer_id": holdings.customer.id,
        "created_at": min(shown.grant.created_at for shown in line.grants),
    }


def _grants(holdings: Holdings, now: int, *, each: bool) -> Iterator[tuple[str, str, Shown]]:
    """Every grant, with a key that sorts it and its status; an expired one is listed as it last stood, until its item is
    next written: when its end is told, at the latest. The shares of a plan's item have one key, but for where `each` is
    listed."""
    at = holdings.time(now)
    for balance_key, balance in holdings.balances.items():
        for stored in apply_spent(balance):
            grant = renewed(stored, at)
            together = stored.entity_share and not each
            order = (0, Shown(stored, balance_key).id) if together else (stored.created_at, stored.id)
            owner = "" if together else balance_key.entity_id
            key = f"{balance_key.feature_id}#{owner}#{order[0]:014d}#{order[1]}"
            if grant is None:
                yield key, "expired", Shown(stored, balance_key)
            elif grant.starts_at is None:
                yield key, "active", Shown(grant, balance_key)


def _interval(name: str | None) -> Interval | None:
    return Interval(name) if name else None
