"""`balances.track_tokens` (autumn.md 3.14): tokens of an AI model become a use of an AI credit system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from tollgate.dialects.autumn.fields import Id, Params, Properties, Text, Time, Whole
from tollgate.dialects.autumn.track import TrackParams, TrackUseCases, tracked
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.balances import as_of
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.token_prices import ModelPrices, Tokens, cost
from tollgate.usecases.commands import IN_FUTURE

Count = Annotated[Whole, Field(ge=0, le=10**12)]
_KINDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "reasoning_tokens",
)


class TrackTokensParams(Params):
    """The body of `balances.track_tokens`. Each token is counted in one field only."""

    customer_id: Id
    model_id: Annotated[Text, Field(min_length=1, max_length=300)]
    input_tokens: Count
    output_tokens: Count
    cache_read_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_input_tokens: Count | None = None
    audio_output_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    entity_id: Id | None = None
    feature_id: Id | None = None
    properties: Properties | None = None
    timestamp: Time | None = None
    overage_behavior: Literal["cap", "reject", "overflow"] | None = None
    async_: bool | None = Field(default=None, alias="async")
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = None

    def tokens(self) -> Tokens:
        """The same in the domain's words."""
        return Tokens(*(getattr(self, kind) or 0 for kind in _KINDS))

    def told(self) -> dict[str, Any]:
        """The properties that the use is recorded with: what was used of which model, and what the caller says."""
        used = {kind: many for kind in _KINDS if (many := getattr(self, kind))}
        return {"model_id": self.model_id, **used, **(self.properties or {})}


def track_tokens(use_cases: TrackUseCases, prices: Callable[[], ModelPrices], request: Request) -> Answer:
    """Counts tokens as credits, at the prices as of the event's time: within seconds, or at once with `async: false`.

    Raises InvalidInput for a model whose price is not known or a feature that is no AI credit system, NotFound, and what
    `track` raises.
    """
    version = version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("track usage")
    params = TrackTokensParams.of(request.body)
    if (
        params.timestamp is not None
        and request.caller.environment is Environment.LIVE
        and params.timestamp > request.now
    ):
        raise InvalidInput("timestamp", IN_FUTURE)
    feature = _feature(use_cases, request, params)
    at = request.now if params.timestamp is None else params.timestamp
    value = cost(feature, prices(), params.model_id, params.tokens(), at)
    use = TrackParams.of(
        {
            "customer_id": params.customer_id,
            "feature_id": feature.id,
            "entity_id": params.entity_id,
            "value": value,
            "properties": params.told(),
            "timestamp": params.timestamp,
            "overage_behavior": params.overage_behavior,
            "async": params.async_ is not False,
            "idempotency_key": params.idempotency_key,
        }
    )
    return tracked(use_cases, request, version, use)


def _feature(use_cases: TrackUseCases, request: Request, params: TrackTokensParams) -> Feature:
    """The AI credit system that is named, or the only one there is, or the only one that the customer holds."""
    features = use_cases.features.catalog(request.caller.environment, params.feature_id or "").features
    if params.feature_id is not None:
        named = use_cases.features.catalog(request.caller.environment, params.feature_id).feature(params.feature_id)
        if named.type is not FeatureType.AI_CREDIT_SYSTEM:
            raise InvalidInput("feature_id", "must be an AI credit system")
        return named
    found = [one for one in features.values() if one.type is FeatureType.AI_CREDIT_SYSTEM and not one.archived]
    if len(found) > 1:
        customer = use_cases.customers().get_or_nothing(request.customer(params.customer_id))
        held = {
            key.feature_id
            for key, balance in customer.balances.items()
            if key.entity_id in ("", params.entity_id or "") and as_of(balance, customer.time(request.now)).grants
        }
        found = [one for one in found if one.id in held]
    if len(found) != 1:
        several = "must be given, as there are several AI credit systems" if found else "names no AI credit system"
        raise InvalidInput("feature_id", several)
    return found[0]
