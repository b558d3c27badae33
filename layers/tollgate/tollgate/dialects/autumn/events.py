"""`events.list`, `events.aggregate` and autumn-py's `/v1/query` (autumn.md 1.2, 7.2): the history of usage."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from tollgate.dialects.autumn.balances import Features, taken_json
from tollgate.dialects.autumn.deductions import deductions_json
from tollgate.dialects.autumn.fields import Cursor, Id, Params, RangeTime, Whole
from tollgate.dialects.autumn.versions import CURSORS, PLANS, translated, version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput
from tollgate.domain.history import Bin, Entry, GroupOf, SeriesOptions, Sum, text
from tollgate.usecases.history import Query, Usage

MAX_FILTERS = 5
MAX_PAGE = 5000
MAX_KEY_BYTES = 1024  # DynamoDB's, of a sort key
RangeName = Literal["24h", "7d", "30d", "90d", "last_cycle", "1bc", "3bc"]
Ids = Annotated[list[Id], Field(min_length=1, max_length=100)]
Filters = Annotated[dict[str, str], Field(max_length=MAX_FILTERS)]
_POSITION = re.compile("[0-9]{14}(#[^#]*){3}").fullmatch


class SomeTime(Params):
    """A range of time in epoch ms, without its end. It ends now, and starts with the oldest use kept, unless told."""

    start: RangeTime | None = None
    end: RangeTime | None = None


class ListParams(Params):
    """The body of `events.list`."""

    start_cursor: Cursor | None = None
    limit: Whole | None = None
    offset: Whole | None = None
    customer_id: Id | None = None
    entity_id: Id | None = None
    feature_id: Id | Ids | None = None
    custom_range: SomeTime | None = None
    range: RangeName | None = None
    filter_by: Filters | None = None


class AggregateParams(Params):
    """The body of `events.aggregate`."""

    feature_id: Id | Ids
    customer_id: Id | None = None
    entity_id: Id | None = None
    group_by: Annotated[str, Field(max_length=300)] | None = None
    range: RangeName | None = None
    custom_range: SomeTime | None = None
    bin_size: Literal["hour", "day", "week", "month"] | None = None
    filter_by: Filters | None = None
    max_groups: Whole | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    measure: Literal["sum", "count"] | None = None
    aggregate_on: Literal["deducted"] | None = None


class QueryParams(AggregateParams):
    """The body of `/v1/query`: of one customer, thirty days unless told."""

    customer_id: Id


def list_events(usage: Usage, request: Request) -> Answer:
    """`events.list`: uses, newest first. Versions without cursors page by offset.

    Raises InvalidInput, NotFound, or InvalidRequest where an offset would have to read too many.
    """
    version = version_of(request.headers.get("x-api-version"))
    params = ListParams.of(request.body)
    query = _query(usage, request, params, None)
    if version < CURSORS:
        limit, offset = bounded(params.limit, 100, 1, 1000, "limit"), bounded(params.offset, 0, 0, 10**9, "offset")
        every = usage.all(request.caller.environment, query)
        shown = entries_json(usage, request, every[offset : offset + limit])
        more = offset + limit < len(every)
        return Answer({"list": shown, "total": len(every), "has_more": more, "offset": offset, "limit": limit})
    limit = bounded(params.limit, 50, 1, MAX_PAGE, "limit")
    found = usage.page(request.caller.environment, query, _position(params.start_cursor), limit)
    cursor = None if found.position is None else base64.urlsafe_b64encode(found.position.encode()).decode()
    return Answer({"list": entries_json(usage, request, found.entries), "next_cursor": cursor})


def entries_json(usage: Usage, request: Request, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The uses of a page. The catalog is read only where it tells why something does not reset."""
    asks = any(taken.reset is None for entry in entries for taken in entry.deductions)
    features = usage.catalog(request.caller.environment).features if asks else {}
    return [entry_json(entry, features) for entry in entries]


def aggregate_events(usage: Usage, request: Request) -> Answer:
    """`events.aggregate`: uses summed up in bins and, where it is asked for, in groups (autumn.md 7.2).

    Raises InvalidInput, NotFound, or InvalidRequest where it would read too much.
    """
    version = version_of(request.headers.get("x-api-version"))
    return Answer(
        translated(version, "aggregate", _aggregated(usage, request, AggregateParams.of(request.body), "1bc"))
    )


def query(usage: Usage, request: Request) -> Answer:
    """`/v1/query` of autumn-py and autumn-js 0.1: the same of one customer, in the bins of 1.2 alone.

    Raises InvalidInput, NotFound, or InvalidRequest where it would read too much.
    """
    found = _aggregated(usage, request, QueryParams.of(request.body), "30d")
    return Answer({"list": translated(PLANS, "aggregate", found)["list"]})


def _aggregated(usage: Usage, request: Request, params: AggregateParams, default: RangeName) -> dict[str, Any]:
    query = _query(usage, request, params, default)
    size = Bin(params.bin_size or ("hour" if params.range == "24h" else "day"))
    zone = _zone(params.timezone)
    group_of, by_entry = _grouping(params)
    most = bounded(params.max_groups, 9, 1, 250, "max_groups")
    env = request.caller.environment
    found = usage.series(env, query, SeriesOptions(size, zone, params.measure == "count", group_of, by_entry, most))
    entries: list[Entry] = []
    known: Features = {}
    if params.aggregate_on:
        if params.customer_id is None:
            raise InvalidInput("customer_id", "is required with aggregate_on")
        known = usage.catalog(env).features
        entries = usage.all(env, query)
    answer: dict[str, Any] = {
        "list": [
            {"period": at, "values": found.values[at], **({"grouped_values": found.groups[at]} if group_of else {})}
            for at in found.bins
        ],
        "total": {id: {"count": count, "sum": total} for id, (count, total) in found.totals.items()},
    }
    if params.aggregate_on:
        group = _group_by_name(params.group_by) if params.group_by else None
        answer["deductions"] = deductions_json(entries, found.bins, size, zone, known, group)
    return answer


def entry_json(entry: Entry, features: Features) -> dict[str, Any]:
    """One use with what it moved on each line of a balance: values in units of the feature, times in ms."""
    return {
        "id": entry.use_id,
        "timestamp": entry.at,
        "feature_id": entry.feature_id,
        "customer_id": entry.customer_id,
        "entity_id": entry.entity_id,
        "value": entry.value,
        "properties": entry.properties,
        "deductions": taken_json(entry.deductions, features),
    }


def _query(usage: Usage, request: Request, params: ListParams | AggregateParams, default: RangeName | None) -> Query:
    """Which uses are asked for. `default` is the range where the request names none.

    Raises InvalidInput for two ranges, and NotFound for an unknown customer or feature.
    """
    env, features, name = request.caller.environment, _ids(params.feature_id), params.range
    custom = params.custom_range
    if name is not None and custom is not None:
        raise InvalidInput("range", "cannot be combined with custom_range")
    _known(usage, env, features)
    if custom is not None:
        kept = usage.retention_ms
        end = request.now + 1 if custom.end is None else custom.end
        start = max(0, end - kept) if custom.start is None else custom.start
        if start >= end:
            raise InvalidInput("custom_range", "must start before it ends")
    elif (named := name or default) is not None:
        start, end = usage.range_of(env, named, params.customer_id, request.now)
    else:  # a customer's list goes on whatever its test clock says
        start = 0 if params.customer_id else request.now - usage.retention_ms
        end = 10**14 - 1 if params.customer_id else request.now + 1
    return Query(start, end, request.now, params.customer_id, params.entity_id, features, params.filter_by or {})


def _known(usage: Usage, env: Environment, features: Sequence[str]) -> None:
    if features:
        catalog = usage.catalog(env)
        for id in features:
            catalog.feature(id)


def _grouping(params: AggregateParams) -> tuple[GroupOf | None, bool]:
    """How an entry or a sum is grouped, and whether that needs what only entries tell. Raises InvalidInput."""
    name = params.group_by
    if name is None:
        return None, False
    if name == "$feature_id" and not params.aggregate_on:
        raise InvalidInput("group_by", "can be $feature_id only with aggregate_on")
    group = _group_by_name(name)
    return group, name not in ("$customer_id", "$entity_id", "$feature_id")


def _group_by_name(name: str) -> GroupOf:
    if name == "$customer_id":
        return lambda one: one.customer_id
    if name == "$entity_id":
        return lambda one: text(one.entity_id)
    if name == "$feature_id":
        return lambda one: one.feature_id
    if name == "$plan_id":
        return _plan
    if name.startswith("properties."):
        property = name.removeprefix("properties.")
        return lambda one: text(one.properties.get(property)) if isinstance(one, Entry) else text(None)
    raise InvalidInput("group_by", "must be properties.<name>, $customer_id, $entity_id, $plan_id or $feature_id")


def _plan(one: Entry | Sum) -> str:
    return text(one.plan_id if isinstance(one, Entry) else None)


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput("timezone", "must be an IANA time zone") from error


def _ids(given: str | list[str] | None) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(dict.fromkeys(given))


def bounded(value: int | None, default: int, least: int, most: int, field: str) -> int:
    """The value, or the default where there is none. Raises InvalidInput where it is out of bounds."""
    if value is None:
        return default
    if not least <= value <= most:
        raise InvalidInput(field, f"must be between {least} and {most}")
    return value


def _position(cursor: str | None) -> str:
    if not cursor:
        return ""
    try:
        position = base64.urlsafe_b64decode(cursor.encode()).decode()
        if _POSITION(position) and len(position.encode()) <= MAX_KEY_BYTES:
            return position
    except (ValueError, UnicodeError):
        pass
    raise InvalidInput("start_cursor", "is no cursor of this list")
