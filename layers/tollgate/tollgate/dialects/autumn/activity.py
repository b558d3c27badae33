"""What happens in an environment (management.md 17, Tollgate's own): `activity.get`, `alerts.list`,
`audit.list`, `balances.list_near_limit` and `customers.list_log`."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Any

from tollgate.dialects.autumn.events import bounded, entry_json
from tollgate.dialects.autumn.fields import Cursor, Id, Params, Whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.errors import InvalidInput
from tollgate.domain.history import Entry
from tollgate.domain.near_limits import LEVELS
from tollgate.exact_json import loads
from tollgate.usecases.activity import Activity, LogEntry, Minute, NearBalance
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers

MOST = 100  # in one page
_MINUTES = 60
_MOST_MINUTES = 1440


class ActivityParams(Params):
    """The body of `activity.get`."""

    minutes: Whole | None = None


class PageParams(Params):
    """The body of a list that is paged by cursor."""

    limit: Whole | None = None
    start_cursor: Cursor | None = None


class LogParams(PageParams):
    """The body of `customers.list_log`."""

    customer_id: Id


def get(activity: Activity, request: Request) -> Answer:
    """`activity.get`: uses and denials by minute, and what waits. Raises InvalidInput, Unavailable."""
    params = ActivityParams.of(request.body)
    many = bounded(params.minutes, _MINUTES, 1, _MOST_MINUTES, "minutes")
    minutes = activity.minutes(request.caller.environment, many, request.now)
    queues = activity.queues()
    lag = next((minute.lag for minute in reversed(minutes) if minute.lag is not None), None)
    uses, denials = Counter[str](), Counter[tuple[str, str]]()
    for minute in minutes:
        uses.update(minute.uses)
        denials.update(minute.denials)
    return Answer(
        {
            "list": [_minute_json(minute) for minute in minutes],
            "total": {"uses": dict(sorted(uses.items())), "denials": _by_feature(denials)},
            "stream": None if lag is None else {"behind_ms": lag.behind_ms, "read_at": lag.read_at},
            "waiting": {
                "reported_uses": queues.usage,
                "dead_letters": queues.dead_letters,
                "webhook_dead_letters": queues.webhook_dead_letters,
            },
        }
    )


def _minute_json(minute: Minute) -> dict[str, Any]:
    return {
        "period": minute.at,
        "uses": dict(sorted(minute.uses.items())),
        "denials": _by_feature(minute.denials),
    }


def _by_feature(denials: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (feature_id, reason), count in sorted(denials.items()):
        found.setdefault(feature_id, {})[reason] = count
    return found


def list_alerts(activity: Activity, request: Request) -> Answer:
    """`alerts.list`: the alerts of the last 30 days, the newest first. Raises InvalidInput, Unavailable."""
    params = PageParams.of(request.body)
    limit = bounded(params.limit, 20, 1, MOST, "limit")
    found = activity.alerts(request.caller.environment, _position(params.start_cursor), limit)
    shown = [{"type": entry.type, **loads(entry.detail)} for _, entry in found]
    return Answer({"list": shown, "next_cursor": _cursor(found[-1][0]) if len(found) == limit else None})


def list_log(activity: Activity, catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`customers.list_log`: what happened to a customer, the newest first. Raises InvalidInput, NotFound, Unavailable."""
    params = LogParams.of(request.body)
    limit = bounded(params.limit, 50, 1, MOST, "limit")
    customer = request.customer(params.customer_id)
    found = activity.log(customer, _position(params.start_cursor), limit)
    if not found and not params.start_cursor:
        customers.get(customer)
    uses = [entry for _, entry in found if isinstance(entry, Entry)]
    asks = any(taken.reset is None for use in uses for taken in use.deductions)
    features = catalogs.catalog(request.caller.environment).features if asks else {}

    def shown(entry: Entry | LogEntry) -> dict[str, Any]:
        if isinstance(entry, Entry):
            return {"type": "usage.recorded", **entry_json(entry, features), "key_id": entry.key_id or None}
        detail = loads(entry.detail)
        key_id = detail.pop("key_id", None) or (detail.get("cause") or {}).get("key_id")
        return {"type": entry.type, **detail, "key_id": key_id}

    return Answer(
        {
            "list": [shown(entry) for _, entry in found],
            "next_cursor": _cursor(found[-1][0]) if len(found) == limit else None,
        }
    )


def list_audit(activity: Activity, request: Request) -> Answer:
    """`audit.list`: who changed features, plans, keys and webhooks, and how, the newest first. Raises InvalidInput,
    Unavailable."""
    params = PageParams.of(request.body)
    limit = bounded(params.limit, 50, 1, MOST, "limit")
    found = activity.audit(request.caller.environment, _position(params.start_cursor), limit)
    shown = [{"type": entry.type, **loads(entry.detail)} for _, entry in found]
    return Answer({"list": shown, "next_cursor": _cursor(found[-1][0]) if len(found) == limit else None})


def list_near_limit(activity: Activity, request: Request) -> Answer:
    """`balances.list_near_limit`: of which at least 80 percent are used, those that are used up first. Raises
    InvalidInput, Unavailable."""
    params = PageParams.of(request.body)
    limit = bounded(params.limit, 20, 1, MOST, "limit")
    level, _, after = _decoded(params.start_cursor).partition("|") if params.start_cursor else (str(LEVELS[0]), "", "")
    if level not in map(str, LEVELS):
        raise InvalidInput("start_cursor", "is not a cursor of this list")
    found, more = activity.near_limits(request.caller.environment, (int(level), after), limit, request.now)
    cursor = None if more is None else _cursor(f"{more[0]}|{more[1]}")
    return Answer({"list": [_near_json(one) for one in found], "next_cursor": cursor})


def _near_json(one: NearBalance) -> dict[str, Any]:
    return {
        "customer_id": one.customer_id,
        "feature_id": one.balance.key.feature_id,
        "entity_id": one.balance.key.entity_id or None,
        "limited_by": one.near.by,
        "limit": one.near.most,
        "usage": one.near.used,
        "remaining": one.near.left,
        "percent_used": round(one.near.percent, 2),
        "changes_at": one.changes_at,
    }


def _cursor(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _position(cursor: str | None) -> str:
    """The position in a list by time. Raises InvalidInput where it is none."""
    if not cursor:
        return ""
    position = _decoded(cursor)
    at, separator, rest = position.partition("#")
    if not (len(at) == 14 and at.isascii() and at.isdecimal() and separator and rest):
        raise InvalidInput("start_cursor", "is not a cursor of this list")
    return position


def _decoded(cursor: str) -> str:
    try:
        position = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError as error:
        raise InvalidInput("start_cursor", "is not a cursor of this list") from error
    if len(position) > 1000 or not position.isprintable():
        raise InvalidInput("start_cursor", "is not a cursor of this list")
    return position
