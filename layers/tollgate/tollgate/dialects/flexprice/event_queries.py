"""`GET /v1/events`, `POST /v1/events/query`, `/usage`, `/usage/meter` and `/analytics` (flexprice.md 2.7): what was used,
from the history.

The history has a use for each feature that counted an event. What it does not keep cannot be asked for: events that no
feature counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from itertools import dropwhile, groupby, islice, takewhile
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from tollgate.dialects.flexprice.features import feature_json, meter_id, meter_json, metered
from tollgate.dialects.flexprice.fields import Id, Number, Params, Text, Time, Whole, number_text, time_text
from tollgate.dialects.flexprice.shapes import ANALYTIC_ITEM, ANALYTIC_POINT, whole
from tollgate.dialects.flexprice.windows import Counted, Span, Windows, WindowSize, aggregated, in_windows
from tollgate.dialects.http import Answer, Request
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, NotFound
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.history import DAY_MS, HOUR_MS, Bin, Entry, SeriesOptions, text
from tollgate.domain.meters import ADDED, Aggregation, Meter, amount_of, counting, meter_of
from tollgate.domain.quantities import ZERO
from tollgate.usecases.history import Query, Usage

DEFAULT_DAYS = 7
PAGE = 50
READ = 200  # entries in one read of a list
LAST_MS = 10**14 - 1  # the last time that the history has a place for
MOST_SUMS = 9000  # in one answer; more are added up use by use

Filters = Annotated[dict[str, Annotated[list[Text], Field(max_length=100)]], Field(max_length=20)]
AggregationName = Literal["COUNT", "SUM", "AVG", "COUNT_UNIQUE", "LATEST", "SUM_WITH_MULTIPLIER", "MAX", "WEIGHTED_SUM"]


class RangeParams(Params):
    """Whose uses, and of which time: [start_time, end_time), the last seven days unless told."""

    external_customer_id: Id | Literal[""] | None = None
    customer_id: Id | Literal[""] | None = None
    start_time: Time | None = None
    end_time: Time | None = None

    @property
    def customer(self) -> str | None:
        """The customer's id; None: all customers. Raises InvalidInput where its two names differ."""
        named = {id for id in (self.customer_id, self.external_customer_id) if id}
        if len(named) > 1:
            raise InvalidInput("customer_id", "must be external_customer_id: a customer has one id")
        return next(iter(named), None)


class EventsParams(RangeParams):
    """The body of `POST /v1/events/query`."""

    event_name: Text | None = None
    event_id: Annotated[str, Field(max_length=255)] | None = None
    source: Text | None = None
    property_filters: Filters | None = None
    page_size: Annotated[Whole, Field(ge=0, le=PAGE)] | None = None
    offset: Annotated[Whole, Field(ge=0)] | None = None
    iter_first_key: Text | None = None
    iter_last_key: Text | None = None
    count_total: bool | None = None
    sort: Literal["timestamp", "event_name", ""] | None = None
    order: Literal["asc", "desc", ""] | None = None


class WindowedParams(RangeParams):
    """What both questions of usage share."""

    later: ClassVar[tuple[str, ...]] = ("group_by", "group_by_property", "external_customer_ids")

    window_size: WindowSize | Literal[""] | None = None
    bucket_size: WindowSize | Literal[""] | None = None
    billing_anchor: Time | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    filters: Filters | None = None

    def windows(self, aggregation: Aggregation) -> Windows | None:
        """The windows of the answer; None: it has none. Raises InvalidInput."""
        size = (self.bucket_size if _in_buckets(aggregation, self.bucket_size) else None) or self.window_size
        zone = _zone(self.timezone)
        if not size:
            return None
        day = datetime.fromtimestamp(self.billing_anchor // 1000, zone).day if self.billing_anchor is not None else 1
        return Windows(size, zone, day)


class UsageParams(WindowedParams):
    """The body of `POST /v1/events/usage`."""

    event_name: Id
    aggregation_type: AggregationName
    property_name: Text | None = None
    multiplier: Number | None = None

    def meter(self) -> Feature:
        """A feature whose meter counts what is asked for. Raises InvalidInput."""
        if self.aggregation_type != "COUNT" and not self.property_name:
            raise InvalidInput("property_name", f"is required for {self.aggregation_type}")
        if (self.aggregation_type == "SUM_WITH_MULTIPLIER") != (self.multiplier is not None):
            raise InvalidInput("multiplier", "goes with SUM_WITH_MULTIPLIER, and only with it")
        aggregation = {"type": self.aggregation_type, "field": self.property_name, "multiplier": self.multiplier or 1}
        filters = [{"key": key, "values": values} for key, values in (self.filters or {}).items()]
        meter = {"event_name": self.event_name, "aggregation": aggregation, "filters": filters}
        return Feature("asked", "asked", FeatureType.METERED, extra={"meter": meter})


class MeterUsageParams(WindowedParams):
    """The body of `POST /v1/events/usage/meter`."""

    meter_id: Id


class AnalyticsParams(RangeParams):
    """The body of `POST /v1/events/analytics`."""

    later = ("include_children", "breakdown_bucket", "external_customer_ids")

    feature_ids: Annotated[list[Id], Field(max_length=100)] | None = None
    group_by: Annotated[list[Text], Field(max_length=10)] | None = None
    window_size: WindowSize | Literal[""] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    expand: Annotated[list[Text], Field(max_length=10)] | None = None
    property_filters: Filters | None = None
    sources: Annotated[list[Text], Field(max_length=100)] | None = None

    @property
    def by_source(self) -> bool:
        """Whether uses are told by where they came from."""
        return "source" in (self.group_by or ())

    def properties(self) -> tuple[str, ...]:
        """The properties to group by. Raises InvalidInput for what the history does not keep."""
        names = [name for name in self.group_by or () if name not in ("feature_id", "source")]
        for name in names:
            if not name.startswith("properties.") or name == "properties.":
                raise InvalidInput("group_by", "can be feature_id, source and properties.<name>")
        return tuple(dict.fromkeys(name.removeprefix("properties.") for name in names))


class Event(NamedTuple):
    """An event as the history tells it. Its name is the one that it came with; of a use that came without, the one that
    all features which counted it listen to, and None where that is not one name. `source`: as it was said, or empty."""

    id: str
    at: int
    customer_id: str
    name: str | None
    properties: Mapping[str, Any]
    source: str = ""

    @property
    def key(self) -> str:
        """Its place in a list: nanoseconds and id, as Flexprice writes it."""
        return f"{self.at * 1_000_000}::{self.id}"


# ------------------------------------------------------------------ routes


def list_events(usage: Usage, request: Request) -> Answer:
    """`POST /v1/events/query`: events, newest first unless told. Raises InvalidInput or InvalidRequest."""
    params = EventsParams.of(request.body)
    env = request.caller.environment
    query, features = _query(usage, request, params), usage.catalog(env).features
    if params.event_name:
        query = query._replace(features=_hearing(features, params.event_name))
    descending, by_name = params.order != "asc", params.sort == "event_name"
    as_read = descending and not by_name
    wanted = _pairs(params.property_filters)

    def matching(entries: Iterable[Entry]) -> Iterator[Event]:
        for event in _events(entries, features):
            if (
                params.event_id in (None, "", event.id)
                and params.event_name in (None, "", event.name)
                and params.source in (None, "", event.source)
                and _passes(wanted, event.properties)
            ):
                yield event

    total = sum(1 for _ in matching(usage.all(env, query))) if params.count_total else None
    first, last = params.iter_first_key, params.iter_last_key
    if last and (at := _time_of(last, "iter_last_key")) is not None and as_read:
        query = query._replace(end=min(query.end, at + 1))
    entries: Iterable[Entry] = _pages(usage, env, query) if as_read else usage.all(env, query)
    found: Iterable[Event] = matching(entries)
    if by_name:
        found = sorted(found, key=lambda event: event.name or "", reverse=descending)
    elif not as_read:
        found = reversed(list(found))
    if last:
        found = islice(dropwhile(lambda event: event.key != last, found), 1, None)
    if first:
        since = _time_of(first, "iter_first_key") if as_read else 0
        found = takewhile(lambda event: event.key != first and event.at >= since, found)
    offset, size = params.offset or 0, params.page_size or PAGE
    page = list(islice(found, offset, offset + size + 1))
    shown = page[:size]
    return Answer(
        {
            "events": [_event_json(event, env) for event in shown],
            "has_more": len(page) > size,
            "iter_first_key": shown[0].key if shown else None,
            "iter_last_key": shown[-1].key if shown else None,
            "offset": offset,
            "total_count": total,
        }
    )


def list_events_by_query(usage: Usage, request: Request) -> Answer:
    """`GET /v1/events`: the same, asked for in the query, where `property_filters` is `name:value,value;name:value`.
    Raises InvalidInput."""
    asked: dict[str, Any] = {name: values[0] for name, values in request.query.items() if values and values[0]}
    for name in ("page_size", "offset"):
        if (given := asked.get(name, "")).isascii() and given.isdecimal():
            asked[name] = int(given)
    if (counted := asked.get("count_total")) in ("true", "false"):
        asked["count_total"] = counted == "true"
    if filters := asked.get("property_filters"):
        pairs = [one.partition(":") for one in filters.split(";") if one]
        if not all(name and colon for name, colon, _ in pairs):
            raise InvalidInput("property_filters", "must be name:value,value;name:value")
        asked["property_filters"] = {name: values.split(",") for name, _, values in pairs}
    return list_events(usage, request._replace(body=asked))


def usage_by_event(usage: Usage, request: Request) -> Answer:
    """`POST /v1/events/usage`: events of one name, counted as the request says. Raises InvalidInput or InvalidRequest."""
    params = UsageParams.of(request.body)
    env = request.caller.environment
    asked = params.meter()
    meter = _meter(asked)
    windows = params.windows(meter.aggregation)
    features = usage.catalog(env).features
    query = _query(usage, request, params)._replace(features=_hearing(features, params.event_name))
    uses = [
        Counted(event.at, amount, text(event.properties.get(meter.field)))
        for event in _events(usage.all(env, query), features)
        if event.name == params.event_name and (amount := amount_of(asked, event.properties)) is not None
    ]
    return _usage_answer(params, meter, query, windows, uses)


def usage_by_meter(usage: Usage, request: Request) -> Answer:
    """`POST /v1/events/usage/meter`: the uses of the meter's feature. Raises NotFound, InvalidInput or InvalidRequest."""
    params = MeterUsageParams.of(request.body)
    env = request.caller.environment
    feature = metered(usage.catalog(env).features.values(), params.meter_id)
    meter = _meter(feature)
    windows = params.windows(meter.aggregation)
    query = _query(usage, request, params)._replace(features=(feature.id,))
    wanted = _pairs(params.filters)
    size = _summed(query, windows) if meter.aggregation in ADDED and not wanted else None
    if size:
        uses = _sums(usage, env, query, feature, size)
    else:
        entries = usage.all(env, query)
        uses = [_counted(entry, meter) for entry in entries if _passes(wanted, entry.properties)]
    return _usage_answer(params, meter, query, windows, uses)


def analytics(usage: Usage, request: Request) -> Answer:
    """`POST /v1/events/analytics`: a customer's uses by feature and, where asked, by properties and in windows.

    Raises NotFound for an unknown customer or feature, InvalidInput or InvalidRequest.
    """
    params = AnalyticsParams.of(request.body)
    env = request.caller.environment
    if params.customer is None:
        raise InvalidInput("external_customer_id", "is required")
    catalog = usage.catalog(env)
    chosen = [catalog.feature(id) for id in dict.fromkeys(params.feature_ids or ())] or catalog.features.values()
    properties, wanted = params.properties(), _pairs(params.property_filters)
    windows = Windows(params.window_size, _zone(params.timezone)) if params.window_size else None
    query = _query(usage, request, params, known=True)._replace(features=[feature.id for feature in chosen])
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in usage.all(env, query):
        if _passes(wanted, entry.properties) and (not params.sources or entry.origin.source in params.sources):
            values = [_shown(entry.properties.get(name)) for name in properties]
            source = entry.origin.source if params.by_source else ""
            groups.setdefault((entry.feature_id, source, *values), []).append(entry)
    span = Span(query.start, query.end)
    items = []
    for feature in chosen:
        for key in sorted(key for key in groups if key[0] == feature.id):
            group = dict(zip(properties, key[2:], strict=True))
            items.append(_item_json(feature, env, params, _Group(groups[key], group, windows, span)))
    return Answer({"items": items, "total_cost": "0", "currency": None, "custom_analytics": None})


# ------------------------------------------------------------------ what is read


def _query(usage: Usage, request: Request, params: RangeParams, *, known: bool = False) -> Query:
    """The range that is asked for; it ends at the customer's time unless told. Raises InvalidInput, and NotFound where
    the customer is to be `known` and is not.
    """
    customer, end, now = params.customer, params.end_time, request.now
    if customer is not None and (known or end is None):
        with suppress(*(() if known else (NotFound,))):  # of nobody nothing was used
            now = usage.range_of(request.caller.environment, "24h", customer, now)[1] - 1
    until = now if end is None else end
    start = until - DEFAULT_DAYS * DAY_MS if params.start_time is None else params.start_time
    end = now + 1 if end is None else end
    if end < start:
        if params.end_time is None:
            raise InvalidInput("start_time", "must not be in the future without an end_time")
        raise InvalidInput("end_time", "must not be before start_time")
    return Query(min(max(0, start), LAST_MS), min(max(0, end), LAST_MS), request.now, customer)


def _hearing(features: Mapping[str, Feature], name: str) -> list[str]:
    """The features that count events of a name. Raises InvalidInput where there is none."""
    found = counting(features.values(), name)
    if not found:
        raise InvalidInput("event_name", "no feature counts events of this name, and such events are not kept")
    return [feature.id for feature in found]


def _names(feature: Feature | None) -> frozenset[str]:
    """The names of the events that a feature counts."""
    if feature is None:
        return frozenset()
    meter = feature.extra.get("meter")
    return frozenset((*feature.event_names, *([meter["event_name"]] if meter else ())))


def _pages(usage: Usage, env: Environment, query: Query) -> Iterator[Entry]:
    """The uses that match, newest first, read as they are needed."""
    position: str | None = ""
    while position is not None:
        entries, position = usage.page(env, query, position, READ)
        yield from entries


def _events(entries: Iterable[Entry], features: Mapping[str, Feature]) -> Iterator[Event]:
    """The events that these uses, newest first, were counted of."""
    for (at, id), run in groupby(entries, key=lambda entry: (entry.at, entry.use_id)):
        by_customer: dict[str, list[Entry]] = {}
        for entry in run:
            by_customer.setdefault(entry.customer_id, []).append(entry)
        for customer_id, own in by_customer.items():
            name: str | None = own[0].origin.name
            if not name:
                names = frozenset.intersection(*(_names(features.get(entry.feature_id)) for entry in own))
                name = next(iter(names)) if len(names) == 1 else None
            yield Event(id, at, customer_id, name, own[0].properties, own[0].origin.source)


def _time_of(key: str, field: str) -> int:
    """The time (epoch ms) in a key of a list. Raises InvalidInput."""
    at = key.partition("::")[0]
    if "::" not in key or not (at.isascii() and at.isdecimal()) or len(at) > 20:
        raise InvalidInput(field, "is no key of this list")
    return int(at) // 1_000_000


def _pairs(filters: Filters | None) -> list[tuple[str, list[str]]]:
    return [(name, values) for name, values in (filters or {}).items() if values]


def _passes(wanted: Sequence[tuple[str, list[str]]], properties: Mapping[str, Any]) -> bool:
    """Whether each of these properties has one of its values, compared as text."""
    return all(name in properties and text(properties[name]) in values for name, values in wanted)


def _summed(query: Query, windows: Windows | None) -> Bin | None:
    """The sums of UTC that the answer can be made of; None: it takes single uses."""
    length = query.end - query.start
    if windows is None:
        return Bin.MONTH if 0 < length < MOST_SUMS * 28 * DAY_MS else None
    if windows.zone != ZoneInfo("UTC") or windows.size in ("MINUTE", "15MIN", "30MIN"):
        return None
    daily = windows.size in ("DAY", "WEEK", "MONTH")
    return (Bin.DAY if daily else Bin.HOUR) if 0 < length < MOST_SUMS * (DAY_MS if daily else HOUR_MS) else None


def _sums(usage: Usage, env: Environment, query: Query, feature: Feature, size: Bin) -> list[Counted]:
    """A feature's uses summed up in bins, the newest first. A bin without any is left out."""
    found = usage.series(env, query, SeriesOptions(size, ZoneInfo("UTC")))
    sums = [Counted(at, found.values[at][feature.id]) for at in reversed(found.bins)]
    return [one for one in sums if one.amount]


# ------------------------------------------------------------------ how it adds up


def _meter(feature: Feature) -> Meter:
    """A feature's meter; of one without, what its uses state is added up."""
    return meter_of(feature) or Meter("", Aggregation.SUM)


def _counted(entry: Entry, meter: Meter) -> Counted:
    known = entry.properties.get(meter.field)
    return Counted(entry.at, entry.value, entry.use_id if known is None else text(known))


def _in_buckets(aggregation: Aggregation, bucket_size: str | None) -> bool:
    return bool(bucket_size) and aggregation in (Aggregation.MAX, Aggregation.SUM)


def _usage_answer(
    params: UsageParams | MeterUsageParams,
    meter: Meter,
    query: Query,
    windows: Windows | None,
    uses: Sequence[Counted],
) -> Answer:
    """A GetUsageResponse: what the uses add up to in the whole range, and in each window that has any. Of buckets the
    whole is their sum."""
    span = Span(query.start, query.end)
    parts = in_windows(windows, uses) if windows else {}
    results = {at: aggregated(meter.aggregation, part, span) for at, part in parts.items()}
    whole_range = aggregated(meter.aggregation, uses, span)
    in_buckets = _in_buckets(meter.aggregation, params.bucket_size)
    return Answer(
        {
            "event_name": meter.event_name,
            "type": meter.aggregation.value,
            "value": sum(results.values(), ZERO) if in_buckets else whole_range,
            "results": [{"window_size": time_text(at), "value": value} for at, value in results.items()],
        }
    )


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput("timezone", "must be an IANA time zone") from error


def _shown(value: Any) -> str:
    """A property's value as the text of its group; empty where it is absent."""
    return "" if value is None else text(value)


# ------------------------------------------------------------------ shapes


def _event_json(event: Event, env: Environment) -> dict[str, Any]:
    return {
        "id": event.id,
        "external_customer_id": event.customer_id,
        "customer_id": event.customer_id,
        "event_name": event.name,
        "timestamp": time_text(event.at),
        "source": event.source or None,
        "properties": dict(event.properties),
        "environment_id": env.value,
    }


class _Group(NamedTuple):
    """Uses of a feature whose properties have these values."""

    entries: Sequence[Entry]
    properties: Mapping[str, str]
    windows: Windows | None
    span: Span


def _item_json(feature: Feature, env: Environment, params: AnalyticsParams, group: _Group) -> dict[str, Any]:
    """A UsageAnalyticItem. Nothing has a cost here."""
    meter, expand, has_meter = _meter(feature), params.expand or (), bool(feature.extra.get("meter"))
    uses = [_counted(entry, meter) for entry in group.entries]
    names = {entry.origin.name for entry in group.entries if entry.origin.name} or _names(feature)
    sources = sorted({entry.origin.source for entry in group.entries} - {""})
    points = in_windows(group.windows, uses) if group.windows else {}
    shown = feature_json(feature, env)
    return whole(
        ANALYTIC_ITEM,
        {
            "feature_id": feature.id,
            "name": feature.name,
            "event_name": next(iter(names)) if len(names) == 1 else None,
            "aggregation_type": meter.aggregation.value,
            "meter_id": meter_id(feature) if has_meter else None,
            "unit": shown["unit_singular"],
            "unit_plural": shown["unit_plural"],
            "total_usage": number_text(aggregated(meter.aggregation, uses, group.span)),
            "total_cost": "0",
            "event_count": len(uses),
            "window_size": params.window_size or None,
            "points": [_point_json(at, meter, part, group.span) for at, part in points.items()],
            "source": sources[0] if params.by_source and sources else None,
            "sources": None if params.by_source else sources or None,
            "properties": dict(group.properties) if group.properties else None,
            "feature": {key: shown[key] for key in shown if key != "meter"} if "feature" in expand else None,
            "meter": _expanded_meter(feature, env) if "meter" in expand else None,
        },
    )


def _point_json(at: int, meter: Meter, uses: Sequence[Counted], span: Span) -> dict[str, Any]:
    usage: Decimal = aggregated(meter.aggregation, uses, span)
    return whole(
        ANALYTIC_POINT,
        {"timestamp": time_text(at), "usage": number_text(usage), "cost": "0", "event_count": len(uses)},
    )


def _expanded_meter(feature: Feature, env: Environment) -> dict[str, Any] | None:
    shown = meter_json(feature)
    return shown and whole(("created_by", "updated_by"), {**shown, "environment_id": env.value})
