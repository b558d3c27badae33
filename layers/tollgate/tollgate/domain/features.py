"""Features: what customers may have or use, and which credit pools pay for which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.errors import InvalidInput, NotFound

MAX_SCHEMA = 100
MARKUPS = ("model_markups", "provider_markups", "default_markup")


class FeatureType(StrEnum):
    """The kinds of features; docs/glossary.md says what each means."""

    BOOLEAN = "boolean"
    METERED = "metered"
    CREDIT_SYSTEM = "credit_system"
    STATIC = "static"
    AI_CREDIT_SYSTEM = "ai_credit_system"

    @property
    def is_flag(self) -> bool:
        """Whether the feature is only held or not, with nothing to count: boolean and static features."""
        return self in (FeatureType.BOOLEAN, FeatureType.STATIC)

    @property
    def is_credits(self) -> bool:
        """Whether its units are credits: of other features, or of the tokens of AI models."""
        return self in (FeatureType.CREDIT_SYSTEM, FeatureType.AI_CREDIT_SYSTEM)


class Feature(NamedTuple):
    """Something a customer may have (boolean, static) or use (metered, credit system).

    - `consumable`: its usage resets; else it is allocated, as seats are.
    - `event_names`: the events that are a use of it.
    - `credit_schema`: of a credit system, each member feature with what it costs, in units of the credit system: one
      unit of it, or a lot of units where `lots` has the member.
    - An AI credit system has mark-ups and prices of its own in `extra` (`domain.token_prices`).
    - `display`: how its units are named. `extra`: fields that only other dialects show (management.md 2).
    - `created_at`: epoch ms.
    """

    id: str
    name: str
    type: FeatureType
    consumable: bool = True
    event_names: tuple[str, ...] = ()
    credit_schema: tuple[tuple[str, Decimal], ...] = ()
    display: Mapping[str, str | None] = {}
    extra: Mapping[str, Any] = {}
    archived: bool = False
    created_at: int = 0
    lots: Mapping[str, Decimal] = {}


class Pool(NamedTuple):
    """A credit system that pays for a feature: one unit of the feature costs `cost` units of the pool."""

    feature_id: str
    cost: Decimal


class Catalog:
    """An environment's features, with the credit systems and event names looked up by feature and name."""

    def __init__(self, features: Mapping[str, Feature]) -> None:
        self.features = features
        self._pools: dict[str, list[Pool]] = {}
        self._by_event: dict[str, list[Feature]] = {}
        for feature in sorted(features.values(), key=lambda feature: (feature.created_at, feature.id)):
            for member, cost in feature.credit_schema:
                lot = feature.lots.get(member)
                self._pools.setdefault(member, []).append(Pool(feature.id, cost / lot if lot else cost))
            for name in feature.event_names:
                self._by_event.setdefault(name, []).append(feature)

    def feature(self, feature_id: str) -> Feature:
        """The feature with this id. Raises NotFound."""
        return feature_of(self.features, feature_id)

    def pools(self, feature_id: str) -> tuple[Pool, ...]:
        """The credit systems that pay for a feature, the oldest first."""
        return tuple(self._pools.get(feature_id, ()))

    @property
    def events(self) -> Collection[str]:
        """The event names that at least one feature lists."""
        return self._by_event

    def listening(self, event_name: str) -> tuple[Feature, ...]:
        """The features that count an event of this name as a use. Raises NotFound where there is none (autumn.md
        3.6).
        """
        if event_name not in self._by_event:
            raise NotFound("event", event_name)
        return tuple(self._by_event[event_name])


def feature_of(features: Mapping[str, Feature], feature_id: str) -> Feature:
    """The feature with this id. Raises NotFound."""
    feature = features.get(feature_id)
    if feature is None:
        raise NotFound("feature", feature_id)
    return feature


def checked_feature(feature: Feature, features: Mapping[str, Feature]) -> Feature:
    """`feature`, if it is valid together with the other features. Raises InvalidInput, or NotFound for an unknown
    member.

    Source: management.md 2 (features.create). A member of a credit system is a metered feature, named once, with a cost
    above zero.
    """
    if feature.type is not FeatureType.AI_CREDIT_SYSTEM:
        for name in MARKUPS:
            if feature.extra.get(name):
                raise InvalidInput(name, "is for AI credit systems only")
    if feature.type is not FeatureType.CREDIT_SYSTEM:
        if feature.credit_schema:
            raise InvalidInput("credit_schema", "is for credit systems only")
        return feature
    if not feature.credit_schema:
        raise InvalidInput("credit_schema", "must name at least one metered feature")
    if len(feature.credit_schema) > MAX_SCHEMA:
        raise InvalidInput("credit_schema", f"must name at most {MAX_SCHEMA} features")
    members = [member for member, _ in feature.credit_schema]
    for index, (member, cost) in enumerate(feature.credit_schema):
        if feature_of(features, member).type is not FeatureType.METERED:
            raise InvalidInput(f"credit_schema.{index}.metered_feature_id", "must be a metered feature")
        if cost <= 0:
            raise InvalidInput(f"credit_schema.{index}.credit_cost", "must be greater than zero")
        if feature.lots.get(member, cost) <= 0:
            raise InvalidInput(f"credit_schema.{index}.billing_units", "must be greater than zero")
        if members.count(member) > 1:
            raise InvalidInput("credit_schema", f"names {member} more than once")
    return feature
