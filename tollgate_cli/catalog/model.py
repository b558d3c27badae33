"""What a catalog file may hold: the bodies of `features.create` and `plans.create`, field by field, and `archived`.

`schema()` is the JSON Schema of it, for editors. What fields must be together, and that an item fits its feature, is the
domain's to say (`file`).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError

from tollgate.dialects.autumn.catalog import AGGREGATIONS
from tollgate.dialects.autumn.controls import MAX_ALERTS, MAX_CONTROLS, MAX_NAME
from tollgate.dialects.autumn.fields import IntervalName, Properties, Text
from tollgate.dialects.field_rules import id_rule, number_rule, whole
from tollgate.domain.features import MAX_SCHEMA
from tollgate.domain.plans import MAX_ITEMS


def _exact(value: Any) -> Decimal:
    """A number as it stands: the API would round what is finer than ten decimals."""
    number = number_rule(value)
    if number != value:
        raise PydanticCustomError("number", "must have at most ten decimals")
    return number


def _above_zero(number: Decimal) -> Decimal:
    if number <= 0:
        raise PydanticCustomError("number", "must be greater than zero")
    return number


def _not_negative(number: Decimal) -> Decimal:
    if number < 0:
        raise PydanticCustomError("number", "must not be negative")
    return number


def _at_least_one(number: Decimal) -> Decimal:
    if number < 1:
        raise PydanticCustomError("number", "must be at least 1")
    return number


def _tier_end(value: Any) -> Decimal | str:
    return value if value == "inf" else _exact(value)


def _choice(value: Any) -> Any:
    if not isinstance(value, str | int):
        raise PydanticCustomError("choice", "must be text, a whole number, true or false")
    return value


def _count(number: Decimal) -> int:
    if number < 1:
        raise PydanticCustomError("number", "must be at least 1")
    return whole(number)


_ANY_ID = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": '^[!"$-~]+$'}

Id = Annotated[str, AfterValidator(id_rule), WithJsonSchema(_ANY_ID)]
Number = Annotated[Decimal, PlainValidator(_exact), WithJsonSchema({"type": "number"})]
Positive = Annotated[Number, AfterValidator(_above_zero), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Amount = Annotated[Number, AfterValidator(_not_negative), WithJsonSchema({"type": "number", "minimum": 0})]
FromOne = Annotated[Number, AfterValidator(_at_least_one), WithJsonSchema({"type": "number", "minimum": 1})]
Count = Annotated[
    int, PlainValidator(lambda value: _count(_exact(value))), WithJsonSchema({"type": "integer", "minimum": 1})
]
TierEnd = Annotated[Any, PlainValidator(_tier_end), WithJsonSchema({"anyOf": [{"type": "number"}, {"const": "inf"}]})]
Choice = Annotated[Any, PlainValidator(_choice), WithJsonSchema({"type": ["string", "integer", "boolean"]})]


class Model(BaseModel):
    """A part of the file. A field that is null is one that is not there; one that is not known is a mistake."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Display(Model):
    """What one unit is called, and what several are."""

    singular: Text | None = None
    plural: Text | None = None


class Credit(Model):
    """What a metered feature costs in units of the credit system."""

    metered_feature_id: Id = Field(description="The feature that is paid for.")
    credit_cost: Positive = Field(description="What `billing_units` of it cost.")
    billing_units: Positive | None = Field(None, description="1 unless told.")


class ReportingUnit(Model):
    """The unit in which usage is shown."""

    unit_singular: Text
    unit_plural: Text
    conversion_rate: Positive = Field(description="How many of these one unit of the feature is.")


class Group(Model):
    """The group under which a feature is shown."""

    id: Id
    name: Text | None = None
    lookup_key: Text | None = None


class Threshold(Model):
    """A threshold on what remains, in units, and the side of it on which it warns."""

    threshold: Number
    condition: Literal["above", "below"]


class AlertSettings(Model):
    """A feature's own thresholds, by how severe they are."""

    alert_enabled: bool | None = None
    critical: Threshold | None = None
    warning: Threshold | None = None
    info: Threshold | None = None


class Aggregation(Model):
    """How the events of a period become an amount."""

    type: AGGREGATIONS
    field: Text | None = Field(None, description="The property that holds the amount, or the value that is told apart.")
    multiplier: Number | None = Field(None, description="For SUM_WITH_MULTIPLIER.")


class MeterFilter(Model):
    """A property that an event must have, and the values that count (none named: any)."""

    key: Text
    values: Annotated[list[Text], Field(max_length=100)]


class Meter(Model):
    """Which events are counted, and how they become an amount."""

    name: Text | None = None
    event_name: Id
    aggregation: Aggregation
    filters: Annotated[list[MeterFilter], Field(max_length=20)] | None = None
    reset_usage: Literal["BILLING_PERIOD", "NEVER"] | None = None


class ModelMarkup(Model):
    """What an AI credit system takes for one model."""

    markup: Number | None = Field(None, description="In percent; -100 is free.")
    input_cost: Number | None = Field(None, description="Dollars for a million input tokens, of whatever kind.")
    output_cost: Number | None = Field(None, description="Dollars for a million output tokens, of whatever kind.")


class ProviderMarkup(Model):
    """What an AI credit system adds to the models of one provider."""

    markup: Number = Field(description="In percent; -100 is free.")


class Feature(Model):
    """Something that a customer may have or use."""

    feature_id: Id = Field(description="Its id, by which checks and plans name it.")
    name: Text = Field(description="What people call it.")
    type: Literal["boolean", "metered", "credit_system", "static", "ai_credit_system"] = Field(
        description="boolean: held or not. static: held with a value. metered: used in units. "
        "credit_system: its units pay for other features. ai_credit_system: its units are dollars that pay for tokens of "
        "AI models. It cannot be changed later."
    )
    consumable: bool | None = Field(
        None, description="Of a metered feature. true: usage resets; false (unless told): allocated, such as seats."
    )
    event_names: Annotated[list[Id], Field(max_length=50)] | None = Field(
        None, description="Events that are a use of it."
    )
    credit_schema: Annotated[list[Credit], Field(max_length=MAX_SCHEMA)] | None = Field(
        None, description="Of a credit system: what it pays for, and at what cost."
    )
    model_markups: Annotated[dict[str, ModelMarkup], Field(max_length=200)] | None = Field(
        None,
        description="Of an AI credit system, by `provider/model`: its mark-up, and prices in place of the published.",
    )
    provider_markups: Annotated[dict[str, ProviderMarkup], Field(max_length=100)] | None = Field(
        None, description="Of an AI credit system: the mark-up of all models of a provider that have none of their own."
    )
    default_markup: Number | None = Field(
        None, description="Of an AI credit system, in percent: the mark-up of the others."
    )
    display: Display | None = None
    description: Text | None = None
    lookup_key: Id | None = Field(None, description="Another name that Flexprice's API looks it up by.")
    metadata: Properties | None = Field(None, description="Kept and shown, at most 4,096 bytes as JSON.")
    unit_singular: Text | None = None
    unit_plural: Text | None = None
    reporting_unit: ReportingUnit | None = None
    group: Group | None = None
    alert_settings: AlertSettings | None = None
    meter: Meter | None = Field(None, description="How an event that has properties becomes an amount of it.")
    archived: bool | None = Field(None, description="true: it is kept, and listed no more.")


class Reset(Model):
    """How often units come back."""

    interval: IntervalName
    interval_count: Count | None = Field(None, description="Every so many intervals; 1 unless told.")


class Tier(Model):
    """One tier of a price: up to `to` units, each costs `amount`."""

    to: TierEnd = Field(description="The last unit of the tier, or inf.")
    amount: Number
    flat_amount: Number | None = None


class ItemPrice(Model):
    """What units beyond the included ones cost."""

    amount: Number | None = Field(None, description="What `billing_units` units cost; or there are `tiers`.")
    tiers: Annotated[list[Tier], Field(max_length=50)] | None = None
    tier_behavior: Literal["graduated", "volume"] | None = None
    interval: IntervalName = Field(description="How often it is paid.")
    interval_count: Count | None = None
    billing_units: Positive | None = Field(None, description="1 unless told.")
    billing_method: Literal["usage_based", "prepaid"] = Field(
        description="usage_based: may be used beyond what is included. prepaid: a quantity is bought."
    )
    max_purchase: Amount | None = Field(None, description="At most so many units beyond the included ones.")


class Rollover(Model):
    """How units that are left at a reset live on."""

    max: Amount | None = Field(None, description="At most so many units.")
    max_percentage: Amount | None = Field(None, description="At most so many percent of what is included.")
    expiry_duration_type: Literal["month", "forever"] | None = Field(None, description="month unless told.")
    expiry_duration_length: Count | None = Field(None, description="So many months; 1 unless told.")


class Item(Model):
    """What a plan grants of one feature."""

    feature_id: Id
    included: Amount | None = Field(None, description="Units of each period; 0 unless told.")
    unlimited: bool | None = None
    reset: Reset | None = Field(None, description="Without one: the price's interval, else the units do not come back.")
    price: ItemPrice | None = None
    rollover: Rollover | None = None
    entity_feature_id: Id | None = Field(
        None, description="Every entity of that feature gets the grant as its own share."
    )
    static_value: Text | None = Field(None, description="Of a static feature.")
    is_soft_limit: bool | None = Field(None, description="true: over the limit is counted, not denied.")
    is_enabled: bool | None = Field(None, description="false: it grants nothing, and hides what grants the same.")
    usage_limit: Amount | None = Field(None, description="Another name of `included`.")


class BasePrice(Model):
    """What a plan costs by itself."""

    amount: Number
    interval: IntervalName
    interval_count: Count | None = None


class FreeTrial(Model):
    """How long a plan is free at first."""

    duration_length: Annotated[
        Count, Field(le=1000), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1000})
    ]
    duration_type: Literal["day", "week", "month", "year"] | None = Field(None, description="day unless told.")
    card_required: bool | None = None


class SpendLimit(Model):
    """At most so much overage, of one feature, or of each that has no limit of its own."""

    feature_id: Id | None = None
    enabled: bool | None = Field(None, description="true unless told.")
    limit_type: Literal["absolute", "usage_percentage"] | None = Field(None, description="absolute unless told.")
    overage_limit: Amount | None = Field(None, description="Units, or percent.")


class UsageFilter(Model):
    """The properties that a use must have to count."""

    properties: dict[str, Choice]


class UsageLimit(Model):
    """At most `limit` units of a feature in each interval."""

    feature_id: Id
    limit: Amount
    interval: Literal["day", "week", "month", "year"]
    enabled: bool | None = Field(None, description="true unless told.")
    anchor: Literal["billing_cycle", "utc"] | None = Field(None, description="billing_cycle unless told.")
    filter: UsageFilter | None = Field(None, description="Only uses with these properties count.")


class OverageAllowed(Model):
    """Whether a feature may be used beyond what was granted."""

    feature_id: Id
    enabled: bool | None = Field(None, description="true unless told.")


class UsageAlert(Model):
    """A threshold to tell of when usage, or what remains, crosses it."""

    threshold: Number
    threshold_type: Literal["usage", "usage_percentage", "remaining", "remaining_percentage"]
    feature_id: Id | None = None
    enabled: bool | None = Field(None, description="true unless told.")
    name: Annotated[Text, Field(max_length=MAX_NAME)] | None = None
    basis: Literal["balance", "included", "recurring", "usage_limit"] | None = None


class PurchaseLimit(Model):
    """At most `limit` top-ups in each window of so many intervals."""

    interval: Literal["hour", "day", "week", "month"]
    limit: Count
    interval_count: Count | None = Field(None, description="1 unless told.")


class AutoTopUp(Model):
    """When what remains falls to the threshold, so many units are asked for."""

    feature_id: Id
    threshold: Number
    quantity: FromOne
    enabled: bool | None = Field(None, description="false unless told.")
    purchase_limit: PurchaseLimit | None = None
    invoice_mode: bool | None = Field(None, description="Told to whoever tops up: send an invoice.")


class Controls(Model):
    """Limits and alerts that hold for whoever has the plan and says nothing else."""

    spend_limits: Annotated[list[SpendLimit], Field(max_length=MAX_CONTROLS)] | None = None
    usage_limits: Annotated[list[UsageLimit], Field(max_length=MAX_CONTROLS)] | None = None
    usage_alerts: Annotated[list[UsageAlert], Field(max_length=MAX_ALERTS)] | None = None
    overage_allowed: Annotated[list[OverageAllowed], Field(max_length=MAX_CONTROLS)] | None = None
    auto_topups: Annotated[list[AutoTopUp], Field(max_length=MAX_CONTROLS)] | None = None


class Plan(Model):
    """A set of items that customers subscribe to."""

    plan_id: Id = Field(description="Its id, by which it is attached.")
    name: Text = Field(description="What people call it.")
    description: Text | None = None
    group: Id | None = Field(None, description="Main plans of one group replace each other; no group is one group.")
    add_on: bool | None = Field(None, description="true: it stands beside the main plan.")
    auto_enable: bool | None = Field(None, description="true: every new customer gets it.")
    lookup_key: Id | None = Field(None, description="Another name that Flexprice's API looks it up by.")
    price: BasePrice | None = None
    free_trial: FreeTrial | None = None
    items: Annotated[list[Item], Field(max_length=MAX_ITEMS)] | None = None
    billing_controls: Controls | None = None
    metadata: Properties | None = Field(None, description="Kept and shown, at most 4,096 bytes as JSON.")
    archived: bool | None = Field(None, description="true: it is kept, listed no more, and cannot be attached.")


class Catalog(Model):
    """Features and plans of an environment. What a file does not name is left alone."""

    features: list[Feature] | None = None
    plans: list[Plan] | None = None


class _Schema(GenerateJsonSchema):
    """Says neither that a field is null unless told, nor its name again as a title."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def default_schema(self, schema: Any) -> dict[str, Any]:
        return {
            key: value for key, value in super().default_schema(schema).items() if (key, value) != ("default", None)
        }


def schema() -> bytes:
    """The JSON Schema of a catalog file, as its content."""
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "tollgate/catalog/1",
        **Catalog.model_json_schema(schema_generator=_Schema),
        "title": "Tollgate's catalog",
    }
    return json.dumps(found, indent=2).encode() + b"\n"
