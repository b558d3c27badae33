"""Features: `GET` and `POST /v1/features`, `GET`, `PUT` and `DELETE /v1/features/{id}`, `POST /v1/features/search`, and
their shape, with the meter that a metered one may have (`GET /v1/meters` and `/v1/meters/{id}`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tollgate.dialects.flexprice.fields import (
    Id,
    Key,
    Metadata,
    Name,
    Number,
    Params,
    Text,
    filled,
    number_text,
    time_text,
)
from tollgate.dialects.flexprice.lists import SearchParams, among
from tollgate.dialects.flexprice.shapes import AGGREGATION, ALERT_SETTINGS, FEATURE, METER, whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, InvalidInput, NotFound
from tollgate.domain.features import Feature, FeatureType
from tollgate.exact_json import dumps
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.ids import new_id

LEVELS = ("critical", "warning", "info")


class ThresholdParams(Params):
    """A threshold on what remains, in units of the feature, and the side of it on which it warns."""

    threshold: Number
    condition: Literal["above", "below"]


class AlertSettingsParams(Params):
    """A feature's own thresholds, by how severe they are."""

    alert_enabled: bool | None = None
    critical: ThresholdParams | None = None
    warning: ThresholdParams | None = None
    info: ThresholdParams | None = None

    def checked(self) -> AlertSettingsParams:
        """Raises InvalidInput where the thresholds contradict each other (flexprice.md 3)."""
        given = [level for name in LEVELS if (level := getattr(self, name))]
        if self.alert_enabled and not given:
            raise InvalidInput("alert_settings", "needs at least one threshold when alert_enabled is true")
        if self.warning and not self.critical:
            raise InvalidInput("alert_settings.warning", "needs a critical threshold")
        if len({level.condition for level in given}) > 1:
            raise InvalidInput("alert_settings", "must have one condition in all thresholds")
        order = [level.threshold for level in given]  # the most severe first
        if given and order != sorted(order, reverse=given[0].condition == "above"):
            order_rule = (
                "info <= warning <= critical" if given[0].condition == "above" else "critical <= warning <= info"
            )
            raise InvalidInput("alert_settings", f"must have {order_rule}")
        return self


class ReportingUnitParams(Params):
    """The unit in which usage is shown, and the rate at which units are converted into it."""

    unit_singular: Text
    unit_plural: Text
    conversion_rate: Annotated[Number, Field(gt=0)]


class AggregationParams(Params):
    """How a meter turns events into an amount: which function, of which property."""

    later = ("expression", "bucket_size", "group_by")

    type: Literal["COUNT", "SUM", "AVG", "COUNT_UNIQUE", "LATEST", "SUM_WITH_MULTIPLIER", "MAX", "WEIGHTED_SUM"]
    field: Text | None = None
    multiplier: Number | None = None

    def checked(self) -> AggregationParams:
        """Raises InvalidInput where the function lacks what it needs, or has what only another one needs."""
        if self.type != "COUNT" and not self.field:
            raise InvalidInput("meter.aggregation.field", f"is required for {self.type}")
        if (self.type == "SUM_WITH_MULTIPLIER") != (self.multiplier is not None):
            raise InvalidInput("meter.aggregation.multiplier", "goes with SUM_WITH_MULTIPLIER, and only with it")
        return self


class MeterFilterParams(Params):
    """A property that an event must have, and the values that count."""

    key: Name
    values: Annotated[list[Text], Field(max_length=100)]


MeterFilters = Annotated[list[MeterFilterParams], Field(max_length=20)]


class MeterParams(Params):
    """Which events a metered feature counts, and how they become an amount."""

    name: Text
    event_name: Id
    aggregation: AggregationParams
    reset_usage: Literal["BILLING_PERIOD", "NEVER"]
    filters: MeterFilters | None = None


class FeatureFields(Params):
    """The fields that creating and changing a feature share."""

    name: Name | None = None
    description: Text | None = None
    metadata: Metadata | None = None
    unit_singular: Text | None = None
    unit_plural: Text | None = None
    reporting_unit: ReportingUnitParams | None = None
    group_id: Id | None = None
    alert_settings: AlertSettingsParams | None = None

    def extra(self) -> dict[str, Any]:
        """The fields that are kept only to be shown again. Raises InvalidInput for fields that do not go together."""
        if bool(self.unit_singular) != bool(self.unit_plural):
            raise InvalidInput("unit_singular", "goes with unit_plural")
        if self.alert_settings:
            self.alert_settings.checked()
        kept = {"description", "metadata", "unit_singular", "unit_plural", "reporting_unit", "alert_settings"}
        group = {"group": {"id": self.group_id}} if self.group_id else {}
        return self.model_dump(include=kept, exclude_none=True) | group


class CreateFeatureParams(FeatureFields):
    """The body of `POST /v1/features`."""

    later: ClassVar[tuple[str, ...]] = ("meter_id",)

    name: Name
    type: Literal["metered", "boolean", "static"]
    lookup_key: Key | None = None
    meter: MeterParams | None = None


class UpdateFeatureParams(FeatureFields):
    """The body of `PUT /v1/features/{id}`: fields that are absent stay. `filters` are the meter's."""

    filters: MeterFilters | None = None


class SearchFeaturesParams(SearchParams):
    """What a list of features may ask for."""

    fields = (
        *SearchParams.fields,
        "name",
        "lookup_key",
        "description",
        "type",
        "meter_id",
        "unit_singular",
        "unit_plural",
        "group_id",
    )

    meter_ids: list[Text] | None = None
    feature_ids: list[Text] | None = None
    lookup_key: Text | None = None
    lookup_keys: list[Text] | None = None
    name_contains: Text | None = None


class SearchMetersParams(SearchParams):
    """What a list of meters may ask for."""

    fields = (*SearchParams.fields, "name", "event_name", "reset_usage")

    meter_ids: list[Text] | None = None
    event_name: Text | None = None


def create_feature(catalogs: Catalogs, request: Request) -> Answer:
    """`POST /v1/features`. The id is made of the lookup key, and a missing lookup key is made of the name.

    Raises AlreadyExists where another feature has the key, and InvalidInput.
    """
    params = CreateFeatureParams.of(request.body)
    kind = FeatureType(params.type)
    key = params.lookup_key or lookup_key_of(params.name)
    extra = params.extra() | {"lookup_key": key}
    if params.meter:
        if kind is not FeatureType.METERED:
            raise InvalidInput("meter", "is for a metered feature")
        params.meter.aggregation.checked()
        extra["meter"] = params.meter.model_dump(exclude_none=True)
    env = request.caller.environment
    if any(lookup_key(feature) == key for feature in catalogs.features(env)):
        raise AlreadyExists("feature", key)
    id = f"feat_{key}"
    feature = Feature(id, params.name, kind, not kind.is_flag, extra=extra, created_at=request.now)
    return Answer(feature_json(catalogs.create_feature(env, feature), env), 201)


def get_feature(catalogs: Catalogs, request: Request, feature_id: str) -> Answer:
    """`GET /v1/features/{id}`. Raises NotFound."""
    env = request.caller.environment
    return Answer(feature_json(catalogs.catalog(env).feature(feature_id), env))


def update_feature(catalogs: Catalogs, request: Request, feature_id: str) -> Answer:
    """`PUT /v1/features/{id}`. Raises NotFound, or InvalidInput for filters of a feature without a meter."""
    params = UpdateFeatureParams.of(request.body)
    extra = params.extra()

    def change(old: Feature) -> Feature:
        changed = {**old.extra, **extra}
        if params.filters is not None:
            if "meter" not in old.extra:
                raise InvalidInput("filters", "are a meter's, and this feature has none")
            changed["meter"] = {**old.extra["meter"], "filters": [f.model_dump() for f in params.filters]}
        return old._replace(name=params.name or old.name, extra=changed)

    env = request.caller.environment
    return Answer(feature_json(catalogs.update_feature(env, feature_id, change), env))


def delete_feature(catalogs: Catalogs, request: Request, feature_id: str) -> Answer:
    """`DELETE /v1/features/{id}`. Raises NotFound, or Conflict where a plan or a credit system names it."""
    catalogs.delete_feature(request.caller.environment, feature_id)
    return Answer({"message": "feature deleted successfully"})


def search_features(catalogs: Catalogs, request: Request) -> Answer:
    """`GET /v1/features`, `POST …/search`: the features that match all filters."""
    params = SearchFeaturesParams.asked(request)
    env = request.caller.environment
    keys = {*(params.lookup_keys or ()), *([params.lookup_key] if params.lookup_key else ())}
    found = [
        (feature.created_at, feature)
        for feature in catalogs.features(env)
        if among(feature.id, params.feature_ids)
        and among(meter_id(feature) if feature.extra.get("meter") else "", params.meter_ids)
        and among(lookup_key(feature), keys)
        and (params.name_contains or "").lower() in feature.name.lower()
        and params.has_status(feature.archived)
    ]
    return params.page(found, lambda feature: feature_json(feature, env))


def list_meters(catalogs: Catalogs, request: Request) -> Answer:
    """`GET /v1/meters`: those of the features that have one."""
    params = SearchMetersParams.asked(request)
    found = [
        (feature.created_at, shown)
        for feature in catalogs.features(request.caller.environment)
        if (shown := meter_json(feature))
        and among(shown["id"], params.meter_ids)
        and among(shown["event_name"], [params.event_name] if params.event_name else None)
        and params.has_status(feature.archived)
    ]
    return params.page(found, lambda shown: shown)


def get_meter(catalogs: Catalogs, request: Request, id: str) -> Answer:
    """`GET /v1/meters/{id}`. Raises NotFound."""
    return Answer(meter_json(metered(catalogs.features(request.caller.environment), id)))


# ------------------------------------------------------------------ shapes


def lookup_key_of(name: str) -> str:
    """Flexprice's default: lower case, and each run of other characters than letters and digits becomes one `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:200] or new_id("key")


def lookup_key(feature: Feature) -> str:
    """A feature's lookup key; its id where it was made without one."""
    return str(feature.extra.get("lookup_key") or feature.id)


def feature_type(feature: Feature) -> str:
    """Flexprice's word for the type: a credit system is metered too (management.md 10)."""
    return "metered" if feature.type.is_credits else feature.type.value


def feature_json(feature: Feature, env: Environment) -> dict[str, Any]:
    """A FeatureResponse: all of its fields that the domain has (flexprice.md 1.1)."""
    extra, created = feature.extra, time_text(feature.created_at or None)
    meter = extra.get("meter")
    group = extra.get("group")
    return whole(
        FEATURE,
        {
            "id": feature.id,
            "name": feature.name,
            "lookup_key": lookup_key(feature),
            "description": extra.get("description"),
            "type": feature_type(feature),
            "meter_id": meter_id(feature) if meter else None,
            "meter": meter_json(feature),
            "metadata": texts(extra.get("metadata")),
            "unit_singular": extra.get("unit_singular") or feature.display.get("singular"),
            "unit_plural": extra.get("unit_plural") or feature.display.get("plural"),
            "reporting_unit": extra.get("reporting_unit"),
            "alert_settings": _alert_settings_json(extra.get("alert_settings")),
            "group_id": group and group.get("id"),
            "group": group and filled({**group, "entity_type": "feature", "status": "published"}),
            "environment_id": env.value,
            "status": "archived" if feature.archived else "published",
            "created_at": created,
            "updated_at": created,
        },
    )


def texts(metadata: dict[str, Any] | None) -> dict[str, str] | None:
    """Metadata with text values only, as Flexprice has it: any other value is shown as JSON. None where there is
    none."""
    if not metadata:
        return None
    return {name: value if isinstance(value, str) else dumps(value) for name, value in metadata.items()}


def meter_json(feature: Feature) -> dict[str, Any] | None:
    """A MeterResponse, of a feature's own meter; None where it has none."""
    meter = feature.extra.get("meter")
    if not meter:
        return None
    created, aggregation = time_text(feature.created_at or None), dict(meter["aggregation"])
    if aggregation.get("multiplier") is not None:
        aggregation["multiplier"] = number_text(Decimal(aggregation["multiplier"]))
    return whole(
        METER,
        {
            "id": meter_id(feature),
            "name": meter.get("name") or feature.name,
            "event_name": meter["event_name"],
            "aggregation": whole(AGGREGATION, aggregation),
            "filters": meter.get("filters") or [],
            "reset_usage": meter.get("reset_usage") or "BILLING_PERIOD",
            "status": "archived" if feature.archived else "published",
            "created_at": created,
            "updated_at": created,
        },
    )


def meter_id(feature: Feature) -> str:
    """The id of a feature's meter."""
    return f"meter_{feature.id}"


def metered(features: Iterable[Feature], id: str) -> Feature:
    """The feature whose meter has this id. Raises NotFound."""
    for feature in features:
        if feature.extra.get("meter") and meter_id(feature) == id:
            return feature
    raise NotFound("meter", id)


def _alert_settings_json(settings: dict[str, Any] | None) -> dict[str, Any] | None:
    """Thresholds as text: the SDK takes no number (docs/flexprice.md). Without critical and info there is nothing to
    show."""
    if not settings or not (settings.get("critical") or settings.get("info")):
        return None
    shown: dict[str, Any] = {"alert_enabled": bool(settings.get("alert_enabled"))}
    for level in LEVELS:
        if threshold := settings.get(level):
            shown[level] = {
                "threshold": number_text(Decimal(threshold["threshold"])),
                "condition": threshold["condition"],
            }
    return whole(ALERT_SETTINGS, shown)
