"""What check and track share: idempotency keys, customers made on the way, expansion, and the answering balances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tollgate.dialects.autumn.balances import Features, balance_json
from tollgate.dialects.autumn.versions import FLAGS, Version
from tollgate.dialects.http import Request
from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import InvalidInput, NotFound
from tollgate.domain.features import Catalog, FeatureType
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.quantities import converted
from tollgate.usecases.commands import Outcome

if TYPE_CHECKING:
    from tollgate.usecases.customers import Customers

T = TypeVar("T")

MAX_KEY = 255  # characters of an idempotency key


def header_key(request: Request) -> tuple[IdempotencyKey, ...]:
    """The `Idempotency-Key` header, where there is one (autumn.md 3.10)."""
    text = request.headers.get("idempotency-key")
    if text is None:
        return ()
    return (IdempotencyKey("header", checked_key(text, "Idempotency-Key")),)


def checked_key(text: str, field: str) -> str:
    """The idempotency key. Raises InvalidInput where it is empty or longer than MAX_KEY."""
    if not 1 <= len(text) <= MAX_KEY:
        raise InvalidInput(field, f"must be 1 to {MAX_KEY} characters")
    return text


class NamedCustomer(NamedTuple):
    """The customer and entity of a check or track, with what is needed to make them where they are unknown."""

    customer_id: str
    entity_id: str | None
    customer_data: Mapping[str, Any] | None  # name, e-mail and fingerprint
    entity_data: Mapping[str, Any] | None  # feature id and name; None: an unknown entity is not made


def with_customer(
    version: Version,
    request: Request,
    customers: Callable[[], Customers],
    named: NamedCustomer,
    call: Callable[[], T],
) -> T:
    """Runs `call` and returns what it returns. Below 2.1 an unknown customer or entity is made, and `call` runs again.

    The empty name and e-mail of a known customer are filled from `customer_data` (autumn.md 1.4). Raises NotFound
    where nothing may be made, and InvalidInput for `entity_data` without a feature.
    """
    customer_id, entity_id, customer_data, entity_data = named
    if version >= FLAGS:
        return call()
    if customer_data:
        _make_customer(request, customers(), customer_id, customer_data)
    for kind in ("customer", "entity", ""):
        try:
            return call()
        except NotFound as missing:
            if missing.kind == "customer" and kind == "customer":
                _make_customer(request, customers(), customer_id, customer_data or {})
            elif missing.kind == "entity" and entity_data and kind:
                _make_entity(request, customers(), customer_id, str(entity_id), entity_data)
            else:
                raise
    raise AssertionError("unreachable: the last turn returns or raises")


def _make_customer(request: Request, customers: Customers, customer_id: str, data: Mapping[str, Any]) -> None:
    from tollgate.domain.customers import Customer

    customer = Customer(customer_id, data.get("name"), data.get("email"), data.get("fingerprint"))
    customers.ensure(request.caller.environment, customer, request.now)


def _make_entity(
    request: Request, customers: Customers, customer_id: str, entity_id: str, data: Mapping[str, Any]
) -> None:
    from tollgate.domain.customers import Entity
    from tollgate.domain.errors import AlreadyExists

    if "feature_id" not in data:
        raise InvalidInput("entity_data.feature_id", "is required")
    entity = Entity(entity_id, data["feature_id"], data.get("name"))
    with suppress(AlreadyExists):  # another first call made it
        customers.create_entity(request.customer(customer_id), entity, request.now)


def expanded(request: Request, expand: list[str] | None) -> frozenset[str]:
    """The names of what to show in full: from the body, and from the query (repeated, or with commas)."""
    named = [part for value in request.query.get("expand", ()) for part in value.split(",")]
    return frozenset([*(expand or ()), *named])


def shown_balances(outcome: Outcome, features: Features, *, expanded: bool = False) -> dict[str, dict[str, Any] | None]:
    """The balances of all features that the use may draw from; None for one that is not held."""
    return {
        id: balance_json(id, outcome.entity_id, outcome.balances, features, expanded=expanded)
        for id in dict.fromkeys(outcome.features)
    }


def waiting_shown(
    outcome: Outcome, required: Decimal, catalog: Catalog, customer: CustomerRef, customers: Callable[[], Customers]
) -> Outcome:
    """The outcome, where nothing is granted, with what a plan grants to entities that there are not yet (autumn.md
    1.5.4). Only then, and only where the catalog has a feature that entities may be of, is the customer read for it.
    """
    feature = outcome.feature
    if outcome.entity_id or feature.type.is_flag:
        return outcome
    if any(balance.live_grants for balance in outcome.balances.values()):
        return outcome
    if not any(each.type is FeatureType.METERED and not each.consumable for each in catalog.features.values()):
        return outcome
    from tollgate.domain.waiting_shares import with_waiting_shares

    try:
        holdings = customers().get(customer)
    except NotFound:  # deleted meanwhile
        return outcome
    waiting = with_waiting_shares(holdings, {}, catalog, holdings.time(outcome.now))
    found = {key: balance for key, balance in waiting.items() if key.feature_id in outcome.features}
    if not found:
        return outcome
    answering = next(id for id in outcome.features if BalanceKey(id) in found)
    costs = {pool.feature_id: pool.cost for pool in catalog.pools(feature.id)}
    return outcome._replace(
        answering=answering, required=converted(required, costs.get(answering, Decimal(1))), balances=found
    )
