"""Features: what customers may have or use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from tollgate.domain.errors import NotFound


class FeatureType(StrEnum):
    BOOLEAN = "boolean"
    METERED = "metered"


class Feature(NamedTuple):
    """Something a customer may have (boolean) or use (metered; `consumable` usage resets, allocated usage does not)."""

    id: str
    name: str
    type: FeatureType
    consumable: bool = True
    event_names: tuple[str, ...] = ()
    display: Mapping[str, str | None] = {}
    archived: bool = False
    created_at: int = 0


def feature_of(features: Mapping[str, Feature], feature_id: str) -> Feature:
    """The feature of that id; raises NotFound."""
    feature = features.get(feature_id)
    if feature is None:
        raise NotFound("feature", feature_id)
    return feature
