"""`balances.track` and `batch_track` (autumn.md 1.2, 3): request in, answer out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError
from pydantic_core import PydanticCustomError

from tollgate.dialects.autumn.balances import deductions_json
from tollgate.dialects.autumn.errors import invalid_input
from tollgate.dialects.autumn.fields import CustomerData, EntityData, Id, Number, Params, Properties, Text, Time
from tollgate.dialects.autumn.requests import (
    NamedCustomer,
    checked_key,
    expanded,
    header_key,
    shown_balances,
    waiting_shown,
    with_customer,
)
from tollgate.dialects.autumn.versions import NEWEST, Version, translated, version_of
from tollgate.dialects.field_rules import number_rule
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.queue import messages
from tollgate.domain.decisions import Overage, Reason
from tollgate.domain.environments import Environment
from tollgate.domain.errors import (
    WAS_COUNTED,
    InsufficientBalance,
    InvalidInput,
    InvalidRequest,
    OutcomeUnknown,
    Unavailable,
    UsageLimitExceeded,
)
from tollgate.domain.idempotency import KEPT_MS, IdempotencyKey
from tollgate.usecases.commands import IN_FUTURE, Outcome, UseCommand
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.idempotency import Idempotency
from tollgate.usecases.track import Tracking

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from tollgate.usecases.customers import Customers

_ONE = Decimal(1)
MAX_BATCH = 1000

Send = Callable[[list[str]], None]
"""Puts messages on the usage queue; raises Unavailable where it could not."""


class TrackUseCases(NamedTuple):
    """What tracking may need. `customers` is called only where a customer is made on the way."""

    tracking: Tracking
    features: FeatureCache
    idempotency: Idempotency
    customers: Callable[[], Customers]
    send: Send
    denied: Callable[[Environment, str, str], None] = lambda *_: None  # is told of each use that was rejected


class TrackParams(Params):
    """The body of a track, and one entry of a batch. `timestamp` is the use's own time, in epoch ms."""

    later = ("lock",)

    customer_id: Id
    feature_id: Id | None = None
    event_name: Id | None = None
    entity_id: Id | None = None
    value: Number | None = None
    properties: Properties | None = None
    timestamp: Time | None = None
    overage_behavior: Literal["cap", "reject", "overflow"] | None = None
    async_: bool | None = Field(default=None, alias="async")
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    customer_data: CustomerData | None = None
    entity_data: EntityData | None = None
    skip_event: bool | None = None
    expand: list[Text] | None = None

    def checked(self, request: Request) -> TrackParams:
        """The same; raises InvalidInput or InvalidRequest for what no single field shows.

        In the sandbox a `timestamp` is not compared with the clock here, as its customer may have a test clock: a use
        that is counted at once is refused there, one that is queued is dated now at the latest (autumn.md 3.12).
        """
        if (self.feature_id is None) == (self.event_name is None):
            raise InvalidInput("", "Either feature_id or event_name must be provided")
        if self.event_name is not None and self.overage_behavior == "reject":
            raise InvalidRequest("overage_behavior reject cannot be used with event_name")
        live = request.caller.environment is Environment.LIVE
        if live and self.timestamp is not None and self.timestamp > request.now:
            raise InvalidInput("timestamp", IN_FUTURE)
        return self


@cache
def _batch() -> TypeAdapter[list[TrackParams]]:
    """What reads the body of a batch, made when the first one comes: no other track waits for it at a cold start."""
    from pydantic import TypeAdapter

    return TypeAdapter(Annotated[list[TrackParams], Field(min_length=1, max_length=MAX_BATCH)])


def track(use_cases: TrackUseCases, request: Request) -> Answer:
    """Counts a use at once, or takes it to be counted within seconds.

    The body's `async` decides; where it is absent, versions from 2.5 on take it and older ones count it at once. Raises
    InvalidInput, InvalidRequest, NotFound, and with `overage_behavior: reject` InsufficientBalance or
    UsageLimitExceeded.
    """
    version = version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("track usage")
    params = TrackParams.of(_lifted(version, request.body)).checked(request)
    return tracked(use_cases, request, version, params)


def tracked(use_cases: TrackUseCases, request: Request, version: Version, params: TrackParams) -> Answer:
    """The answer to a track that was checked. Raises as `track` does."""
    value = _ONE if params.value is None else params.value
    answer: dict[str, Any] = {
        "customer_id": params.customer_id,
        **{name: given for name in ("entity_id", "event_name") if (given := getattr(params, name)) is not None},
        "value": value,
        "_feature_id": params.feature_id,
    }
    if params.async_ if params.async_ is not None else version >= NEWEST:
        _known(use_cases, request, params)
        keys = [key._replace(kept_ms=KEPT_MS) for key in _keys(request, params)]
        accepted = translated(version, "track", {**answer, "balance": None})
        return use_cases.idempotency.guarded(
            request.caller.environment,
            keys,
            request.now,
            lambda: _accepted(use_cases, request, keys, params, accepted),
        )

    def call() -> list[Outcome]:
        use = UseCommand(
            params.customer_id,
            params.feature_id or "",
            value,
            Overage(params.overage_behavior or Overage.CAP),
            params.properties or {},
            params.entity_id or "",
            params.timestamp,
            _keys(request, params),
        )
        if params.event_name is not None:
            return use_cases.tracking.track_event(request.caller, params.event_name, use, request.now)
        try:
            return [use_cases.tracking.track(request.caller, use, request.now)]
        except (InsufficientBalance, UsageLimitExceeded) as refused:
            reason = Reason.USAGE_LIMIT if isinstance(refused, UsageLimitExceeded) else Reason.BALANCE_EXHAUSTED
            use_cases.denied(request.caller.environment, use.feature_id, reason.value)
            raise

    named = NamedCustomer(
        params.customer_id,
        params.entity_id,
        params.customer_data.model_dump() if params.customer_data else None,
        params.entity_data.model_dump() if params.entity_data else None,
    )
    outcomes = with_customer(version, request, use_cases.customers, named, call)
    try:
        shown = _balances(use_cases, request, params, outcomes)
    except Unavailable as error:  # of a read: the use is counted
        raise OutcomeUnknown(WAS_COUNTED) from error
    return Answer(translated(version, "track", answer | shown))


def batch_track(use_cases: TrackUseCases, request: Request) -> Answer:
    """`balances.batch_track`: takes 1 to 1000 uses, to be counted within seconds, each once.

    Where some could not be enqueued the answer is an error, and the others are counted all the same. Only a call with
    an idempotency key may be repeated without counting those again. Raises InvalidInput, NotFound or Forbidden.
    """
    version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("track usage")
    try:
        items = _batch().validate_python(request.body)
    except ValidationError as error:
        raise invalid_input(error, request.body) from error
    for index, params in enumerate(items):
        try:
            params.checked(request)
        except InvalidInput as error:
            raise InvalidInput(f"{index}.{error.field}".rstrip("."), error.rule) from error
        _known(use_cases, request, params)
    keys = header_key(request)

    def accept() -> Answer:
        _send(use_cases, request, keys, [_item(params) for params in items])
        return Answer({"success": True}, 202)

    return use_cases.idempotency.guarded(request.caller.environment, keys, request.now, accept)


def _lifted(version: Version, body: Any) -> Any:
    """In 1.2 `properties.value` is the amount: it becomes `value` (autumn.md 1.3)."""
    if version > (1, 2) or not isinstance(body, dict) or not isinstance(body.get("properties"), dict):
        return body
    if "value" not in body["properties"]:
        return body
    try:
        value = number_rule(body["properties"]["value"])
    except PydanticCustomError as error:
        raise InvalidInput("properties.value", error.message()) from error
    properties = {name: value for name, value in body["properties"].items() if name != "value"}
    return {**body, "value": value, "properties": properties}


def _keys(request: Request, params: TrackParams) -> tuple[IdempotencyKey, ...]:
    own = params.idempotency_key
    body = (IdempotencyKey("track", checked_key(own, "idempotency_key")),) if own is not None else ()
    return (*header_key(request), *body)


def _known(use_cases: TrackUseCases, request: Request, params: TrackParams) -> None:
    """Refuses an unknown feature or event name at once; the customer is not looked up (autumn.md 3.12)."""
    env = request.caller.environment
    if params.event_name is not None:
        use_cases.features.listening(env, params.event_name)
    else:
        use_cases.features.catalog(env, str(params.feature_id)).feature(str(params.feature_id))


def _accepted(
    use_cases: TrackUseCases,
    request: Request,
    keys: Sequence[IdempotencyKey],
    params: TrackParams,
    body: dict[str, Any],
) -> Answer:
    item = {name: value for name, value in _item(params).items() if name != "idempotency_key"}
    _send(use_cases, request, keys, [item])
    return Answer(body, status=202)


def _send(
    use_cases: TrackUseCases, request: Request, keys: Sequence[IdempotencyKey], items: Sequence[dict[str, Any]]
) -> None:
    """Puts uses on the queue. A failure may leave some of them there. With an idempotency key a repeat of the call
    sends them under the same ids, and they are counted once."""
    seed = use_cases.idempotency.seed(request.caller.environment, keys[0], request.now) if keys else None
    use_cases.send(list(messages(request.caller, request.now, items, seed)))


def _item(params: TrackParams) -> dict[str, Any]:
    """A use as the queue carries it."""
    full = {
        "customer_id": params.customer_id,
        "feature_id": params.feature_id,
        "event_name": params.event_name,
        "entity_id": params.entity_id,
        "value": _ONE if params.value is None else params.value,
        "properties": params.properties or None,
        "timestamp": params.timestamp,
        "overage_behavior": params.overage_behavior,
        "idempotency_key": params.idempotency_key,
    }
    return {name: value for name, value in full.items() if value is not None}


def _balances(
    use_cases: TrackUseCases, request: Request, params: TrackParams, outcomes: list[Outcome]
) -> dict[str, Any]:
    expand = expanded(request, params.expand)
    catalog = use_cases.features.catalog(request.caller.environment)
    customer, value = request.customer(params.customer_id), _ONE if params.value is None else params.value
    outcomes = [waiting_shown(outcome, value, catalog, customer, use_cases.customers) for outcome in outcomes]
    shown: dict[str, Any] = {}
    for outcome in outcomes:
        shown |= shown_balances(outcome, catalog.features, expanded="balance.feature" in expand)
    held = [outcome for outcome in outcomes if shown.get(outcome.answering) is not None]
    answer: dict[str, Any] = {"balance": shown[held[0].answering] if len(held) == 1 else None}
    if len(shown) > 1:
        answer["balances"] = shown
    answer["deductions"] = [
        moved
        for outcome in outcomes
        for moved in deductions_json(outcome.deductions, outcome.entity_id, outcome.balances, catalog.features)
    ]
    return answer
