"""`balances.check` (autumn.md 1.2, 2): request in, answer out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Required, TypedDict

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as schema

from tollgate.dialects.autumn.balances import balance_json, flag_json
from tollgate.dialects.autumn.errors import invalid_input
from tollgate.dialects.autumn.features import schema_json
from tollgate.dialects.autumn.requests import (
    NamedCustomer,
    expanded,
    header_key,
    shown_balances,
    waiting_shown,
    with_customer,
)
from tollgate.dialects.autumn.versions import Version, translated, version_of
from tollgate.dialects.field_rules import id_rule, number_rule, properties_rule, time_rule
from tollgate.dialects.http import Answer, Request
from tollgate.domain.api_keys import Scope
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, InvalidRequest
from tollgate.domain.features import Catalog
from tollgate.domain.use_records import NO_PROPERTIES
from tollgate.usecases.checks import Checks
from tollgate.usecases.commands import Outcome, UseCommand
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.track import Tracking

if TYPE_CHECKING:
    from tollgate.domain.features import Catalog
    from tollgate.usecases.catalog import Catalogs
    from tollgate.usecases.customers import Customers
    from tollgate.usecases.idempotency import Idempotency
    from tollgate.usecases.reservations import Reservations

Denied = Callable[[Environment, str, str], None]
_ONE = Decimal(1)


class LockParams(TypedDict, total=False):
    """The lock that a check asks for. `enabled` is true where it is said at all. `expires_at` is epoch ms."""

    lock_id: Required[str]
    enabled: bool | None
    expires_at: int | None
    overage_behavior: str | None


class CheckParams(NamedTuple):
    """The body of a check. `required_quantity` is another name for `required_balance`."""

    customer_id: str
    feature_id: str | None = None
    product_id: str | None = None
    entity_id: str | None = None
    required_balance: Decimal | None = None
    required_quantity: Decimal | None = None
    properties: Mapping[str, Any] | None = None
    send_event: bool | None = None
    skip_event: bool | None = None
    skip_cache: bool | None = None
    with_preview: bool | None = None
    expand: list[str] | None = None
    customer_data: Mapping[str, Any] | None = None
    entity_data: Mapping[str, Any] | None = None
    lock: LockParams | None = None

    @property
    def required(self) -> Decimal:
        """The units of the feature that are needed; 1 unless told."""
        if self.required_balance is not None:
            return self.required_balance
        return _ONE if self.required_quantity is None else self.required_quantity

    @property
    def sends(self) -> bool:
        """Whether the use is to be counted, or held by a lock."""
        return bool(self.send_event and not self.skip_event) or self.lock is not None


def _optional(of: schema.CoreSchema) -> schema.TypedDictField:
    return schema.typed_dict_field(schema.nullable_schema(of), required=False)


_ID = schema.no_info_after_validator_function(id_rule, schema.str_schema(strict=True))
_NUMBER = schema.no_info_plain_validator_function(number_rule)
_BOOL = schema.bool_schema(strict=True)
_TEXT = schema.str_schema(strict=True, max_length=1000)
_OBJECT = schema.no_info_after_validator_function(properties_rule, schema.dict_schema(schema.str_schema(), strict=True))
_CUSTOMER_DATA = schema.typed_dict_schema(
    {name: _optional(_TEXT) for name in ("name", "email", "fingerprint")}, extra_behavior="ignore"
)
_ENTITY_DATA = schema.typed_dict_schema(
    {"name": _optional(_TEXT), "feature_id": schema.typed_dict_field(_ID)}, extra_behavior="ignore"
)
_LOCK = schema.typed_dict_schema(
    {
        "lock_id": schema.typed_dict_field(schema.str_schema(strict=True, min_length=1, max_length=256)),
        "enabled": schema.typed_dict_field(schema.literal_schema([True]), required=False),
        "expires_at": _optional(schema.no_info_plain_validator_function(time_rule)),
        "overage_behavior": _optional(schema.literal_schema(["reject", "cap", "overflow"])),
    },
    extra_behavior="ignore",
)
_PARAMS = SchemaValidator(
    schema.typed_dict_schema(
        {
            "customer_id": schema.typed_dict_field(_ID),
            "feature_id": _optional(_ID),
            "product_id": _optional(_ID),
            "entity_id": _optional(_ID),
            "required_balance": schema.typed_dict_field(_NUMBER, required=False),
            "required_quantity": _optional(_NUMBER),
            "properties": _optional(_OBJECT),
            "send_event": _optional(_BOOL),
            "skip_event": _optional(_BOOL),
            "skip_cache": _optional(_BOOL),
            "with_preview": _optional(_BOOL),
            "expand": _optional(schema.list_schema(_TEXT, strict=True, max_length=20)),
            "customer_data": _optional(_CUSTOMER_DATA),
            "entity_data": _optional(_ENTITY_DATA),
            "lock": _optional(_LOCK),
        },
        extra_behavior="ignore",
    )
)


def params_of(body: Any) -> CheckParams:
    """The parsed body of a check; raises InvalidInput with all that is wrong with it."""
    try:
        return CheckParams(**_PARAMS.validate_python(body))
    except ValidationError as error:
        raise invalid_input(error, body) from error


class CheckUseCases(NamedTuple):
    """What a check may need. The use cases that most checks never need are made when they are called for:
    `idempotency` for a key without a use, `catalogs` and `customers` for a product, a preview or a customer made on
    the way, `reservations` for a lock."""

    checks: Checks
    tracking: Tracking
    features: FeatureCache
    idempotency: Callable[[], Idempotency]
    catalogs: Callable[[], Catalogs]
    customers: Callable[[], Customers]
    reservations: Callable[[], Reservations]
    denied: Denied = lambda *_: None  # is told of each denial: the environment, the feature and the reason


def check(use_cases: CheckUseCases, request: Request) -> Answer:
    """Whether the customer may use a feature (or product) now. Counts the use, or holds it by a lock, where asked to.

    A refusal is an answer. Raises InvalidInput, InvalidRequest for what cannot be combined or needs a secret key,
    NotFound, LockAlreadyExists, and DuplicateRequest for an idempotency key that was used before.
    """
    version = version_of(request.headers.get("x-api-version"))
    params = params_of(request.body)
    if (params.feature_id is None) == (params.product_id is None):
        if params.feature_id is None and version >= (2, 1):
            raise InvalidInput("feature_id", "is required")
        raise InvalidInput("", "Exactly one of feature_id and product_id must be provided")
    locks = params.lock is not None
    sends = params.sends
    if sends and request.caller.scope is not Scope.SECRET:
        named = "lock" if locks else "send_event: true"
        raise InvalidRequest(f"Can't use {named} with a publishable key: use a secret key")
    if locks and params.product_id is not None:
        raise InvalidRequest("A lock holds units of a feature, not of a product")
    if request.caller.scope is not Scope.SECRET:
        params = params._replace(customer_data=None, entity_data=None)
        version_made = (2, 1)  # a publishable key makes nothing
    else:
        version_made = version

    def run() -> Answer:
        if params.product_id is not None:
            from tollgate.dialects.autumn.products import ProductCheck, check_product

            asked = ProductCheck(params.product_id, params.customer_id, params.entity_id)
            return check_product(use_cases.catalogs(), use_cases.customers(), request, asked)
        if locks:
            outcome = _lock(use_cases.reservations(), request, params)
        else:
            outcome = _track(use_cases, request, params) if sends else _check(use_cases, request, params)
        if not outcome.allowed:
            use_cases.denied(request.caller.environment, outcome.feature.id, str(outcome.reason))
        catalog = use_cases.features.catalog(request.caller.environment)
        outcome = waiting_shown(
            outcome, params.required, catalog, request.customer(params.customer_id), use_cases.customers
        )
        offer = None
        if params.with_preview and not outcome.allowed:
            from tollgate.dialects.autumn.products import preview

            offer = preview(use_cases.catalogs(), use_cases.customers(), request, params.customer_id, outcome)
        return Answer(_answer(catalog, request, version, params, Checked(outcome, sends, offer)))

    def call() -> Answer:
        named = NamedCustomer(params.customer_id, params.entity_id, params.customer_data, params.entity_data)
        return with_customer(version_made, request, use_cases.customers, named, run)

    keys = () if sends else header_key(request)  # a use takes its keys with it
    if request.caller.scope is not Scope.SECRET:
        keys = ()  # a publishable key writes nothing, so nothing remembers its calls
    return use_cases.idempotency().guarded(request.caller.environment, keys, request.now, call) if keys else call()


def _check(use_cases: CheckUseCases, request: Request, params: CheckParams) -> Outcome:
    fresh = bool(params.skip_cache) or request.query.get("skip_cache") == ["true"]
    return use_cases.checks.check(request.caller.environment, _use(request, params), request.now, fresh=fresh)


def _track(use_cases: CheckUseCases, request: Request, params: CheckParams) -> Outcome:
    return use_cases.tracking.check_and_track(request.caller, _use(request, params), request.now)


def _use(request: Request, params: CheckParams) -> UseCommand:
    return UseCommand(
        params.customer_id,
        str(params.feature_id),
        params.required,
        Overage.REJECT,
        params.properties or NO_PROPERTIES,
        params.entity_id or "",
        idempotency_keys=header_key(request),
        itemized=False,
    )


def _lock(reservations: Reservations, request: Request, params: CheckParams) -> Outcome:
    from tollgate.usecases.reservations import LockTerms

    asked = params.lock
    assert asked is not None
    overage = Overage(asked.get("overage_behavior") or Overage.REJECT)
    terms = LockTerms(asked["lock_id"], asked.get("expires_at"), overage)
    return reservations.hold(request.caller, _use(request, params), terms, request.now)


class Checked(NamedTuple):
    """What a check found out, before it is put into words."""

    outcome: Outcome
    sends: bool  # the use was counted, or held by a lock
    offer: (
        dict[str, Any] | None
    )  # the preview of plans that would grant access; None: none was asked for, or none is needed


def _answer(
    catalog: Catalog, request: Request, version: Version, params: CheckParams, checked: Checked
) -> dict[str, Any]:
    outcome, sends, offer = checked
    expand = expanded(request, params.expand)
    features = catalog.features
    answering = features.get(outcome.answering, outcome.feature)
    answer: dict[str, Any] = {
        "allowed": outcome.allowed,
        "customer_id": params.customer_id,
        **({"entity_id": params.entity_id} if params.entity_id else {}),
        "required_balance": outcome.required,
        "balance": balance_json(
            outcome.answering, outcome.entity_id, outcome.balances, features, expanded="balance.feature" in expand
        ),
        "flag": flag_json(
            outcome.feature.id,
            outcome.entity_id,
            outcome.balances,
            features,
            expanded="flag.feature" in expand,
        ),
        "_feature_id": outcome.answering,
        "_credit_schema": schema_json(answering) if answering.credit_schema else None,
    }
    if sends and len(outcome.features) > 1:
        answer["balances"] = shown_balances(outcome, features, expanded="balance.feature" in expand)
    if not outcome.allowed:
        answer["reason"] = outcome.reason
    if params.with_preview:
        answer["preview"] = offer
    return translated(version, "check", answer)
