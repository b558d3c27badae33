"""Everything of an environment as files, and back into an empty one: `tollgate export` and `tollgate restore`.

A folder holds `items.jsonl`, the items of the table as DynamoDB's own exports write them (a line `{"Item": …}` each, in
DynamoDB's JSON), and `manifest.json`, which is written last: how many items of each kind, what they add up to, and the
digest of the lines.

A customer's items are taken as of one instant: they are read until two readings agree. Items that the stream writes
after them (history, sums, alert states) are read at the end.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import simplejson

from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.reservations import HELD, Lock
from tollgate.store import keys
from tollgate.store.codecs.api_keys import decode_api_key
from tollgate.store.codecs.balances import decode_balance
from tollgate.store.large_changes import LargeChanges
from tollgate.store.listing import Listing
from tollgate.store.locks import decode_lock
from tollgate.store.table import Item, Refused, Table
from tollgate_cli import moving_webhooks as webhooks

ITEMS, MANIFEST = "items.jsonl", "manifest.json"
FORMAT = "tollgate-export/1"
READINGS = 30
"""Of a customer that is being written to, until two agree."""
AT_ONCE = 8
_CHUNK = 400
_PAGE = 100
_LONGEST_LINE = 2_000_000  # an item is at most 400 KB

Told = Callable[[int], None]
"""Is told how many items are done."""


class MovingError(RuntimeError):
    """What cannot be exported, is no export, or cannot be restored here."""


class NoExport(MovingError):
    """What is to be restored is no export of that environment; nothing was done."""


@dataclass
class Manifest:
    """What the lines of an export hold."""

    environment: str
    items: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Items of each kind (docs/table.md)."""
    remaining: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """By feature, what may be used of all balances without overage."""
    uses: Counter[str] = field(default_factory=Counter)
    used: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """By feature, how many uses the history has, and their units."""
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, line: bytes, item: Item) -> None:
        """Counts one line."""
        self.items += 1
        self.digest.update(line)
        kind = kind_of(item)
        self.kinds[kind] += 1
        if kind == "balance":
            self.remaining[item["sk"]["S"].split("#")[1]] += Decimal(item["headroom"]["N"])
        elif kind == "days":
            feature = item["sk"]["S"].split("#")[1]
            self.uses[feature] += int(item["count"]["N"])
            self.used[feature] += Decimal(item["sum"]["N"])

    def text(self) -> str:
        """The manifest as JSON."""
        said = {
            "format": FORMAT,
            "environment": self.environment,
            "items": self.items,
            "sha256": self.digest.hexdigest(),
            "kinds": dict(sorted(self.kinds.items())),
            "remaining": dict(sorted(self.remaining.items())),
            "uses": dict(sorted(self.uses.items())),
            "used": dict(sorted(self.used.items())),
        }
        text: str = simplejson.dumps(said, use_decimal=True, indent=2)
        return text + "\n"


_OUTSIDE = {
    "KEY": "api key",
    "KEYS": "api key",
    "USED": "use of an api key",
    "WEBHOOKS": "webhook",
    "WEBHOOK": "delivery",
}
"""Kinds whose partitions do not begin with the environment, by what they begin with."""


def kind_of(item: Item) -> str:
    """What an item is, by its key: `balance`, `history`, `days` and so on."""
    pk, sk = item["pk"]["S"], item["sk"]["S"]
    first, word = pk.split("#")[:2]
    if first in _OUTSIDE:
        return _OUTSIDE[first]
    return sk.split("#")[0].lower() if word in ("customer", "catalog") else word


# ------------------------------------------------------------------ out


def export(
    table: Table, env: Environment, folder: Path, told: Told = lambda _: None, *, with_secrets: bool = False
) -> Manifest:
    """Writes everything of the environment to a folder that has no export yet; the secrets of webhooks only
    `with_secrets`. Raises MovingError, and Unavailable where the table does not answer."""
    if (folder / MANIFEST).exists():
        raise MovingError(f"{folder} holds an export already: take another folder")
    manifest = Manifest(env.value)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / ITEMS).open("wb") as lines:
            for item in _everything(table, env, with_secrets=with_secrets):
                line = line_of(item)
                lines.write(line)
                manifest.add(line, item)
                told(manifest.items)
        (folder / MANIFEST).write_text(manifest.text())
    except OSError as error:
        raise MovingError(f"{folder}: {error.strerror}") from error
    return manifest


def _everything(table: Table, env: Environment, *, with_secrets: bool) -> Iterator[Item]:
    yield from table.query(keys.catalog_partition(env))
    for listed in table.query(keys.api_key_partition(env)):
        yield listed
        found = table.get(keys.api_key(decode_api_key(listed).digest))
        if found is not None:
            yield found
    yield from table.query(keys.key_uses(env))
    yield from webhooks.exported(table, env, with_secrets=with_secrets)
    locks = set()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for customers in _customers(table, env):
            for item in chain.from_iterable(threads.map(partial(_of_customer, table), customers)):
                if item["sk"]["S"] == keys.LOCK:
                    locks.add(item["pk"]["S"])
                yield item
    for item in _scanned(table):
        pk = item["pk"]["S"]
        environment, _, rest = pk.partition("#")
        if environment != env.value or rest == "catalog" or rest.startswith("customer#") or pk in locks:
            continue
        if item["sk"]["S"] == keys.LOCK and item["state"]["S"] == HELD and _is_held(table, env, decode_lock(item)):
            continue  # made after its customer was read
        yield item


def _customers(table: Table, env: Environment) -> Iterator[list[CustomerRef]]:
    """All customers, a page at a time."""
    listing, position, more = Listing(table), "", True
    while more:
        page, more = listing.page(env, position, _PAGE)
        yield [CustomerRef(env, one.customer_id) for one in page]
        position = page[-1].position if page else position


def _of_customer(table: Table, customer: CustomerRef) -> list[Item]:
    """A customer's items and the reservations that they hold, as of one instant."""
    before = None
    for _ in table.tries(READINGS):
        found = _standing(table, table.query(keys.customer_partition(customer)))
        found += table.get_all([keys.lock(customer.environment, digest) for digest in sorted(_holds(found))])
        lines = sorted(map(line_of, found))
        if lines == before:
            return found
        before = lines
    raise MovingError(
        f"customer {customer.id} is written to all the time: stop what uses it, or export a copy of the table "
        "(restored to a point in time)"
    )


def _standing(table: Table, items: list[Item]) -> list[Item]:
    """The items without what large changes have staged on them."""
    items = [item for item in items if not item["sk"]["S"].startswith(keys.LARGE_CHANGE)]
    return [
        {name: value for name, value in item.items() if name != "change"}
        for item in LargeChanges(table).standing(items)
    ]


def _holds(items: Iterable[Item]) -> set[str]:
    """The reservations that balances hold something of, by the digests of their lock ids."""
    balances = (decode_balance(item).balance for item in items if item["sk"]["S"].startswith(keys.BALANCE))
    return {hold.id for balance in balances for hold in balance.holds}


def _is_held(table: Table, env: Environment, lock: Lock) -> bool:
    """Whether a balance holds something of a reservation now: of one that has lapsed, none does."""
    reservation = lock.reservation
    own = keys.customer_partition(CustomerRef(env, reservation.customer_id))
    items = _standing(table, table.query(own, keys.BALANCE))
    return reservation.id in _holds(items)


def _scanned(table: Table) -> Iterator[Item]:
    request: dict[str, Any] = {"TableName": table.name, "ConsistentRead": True}
    while True:
        page = table.repeated(table.client.scan, **request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def line_of(item: Item) -> bytes:
    """An item as DynamoDB's exports write it. Equal items have equal lines."""
    return json.dumps({"Item": _written(item)}, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: sorted(map(_written, each)) if name in ("SS", "NS", "BS") else _written(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_written(each) for each in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


# ------------------------------------------------------------------ and back


def restore(
    table: Table, env: Environment, folder: Path, *, resume: bool = False, told: Told = lambda _: None
) -> Manifest:
    """Writes an export into an environment that has nothing yet, and returns what it holds.

    Nothing is written before the whole export was read and found right. An item that is there already is never written
    over. `resume`: goes on with a restore that was interrupted. Raises MovingError and Unavailable.
    """
    manifest = checked(folder, env)
    if not resume and _holds_something(table, env):
        raise MovingError(
            f"{env.value} holds features, plans or customers already: restore into an empty one "
            "(--resume goes on with a restore that was interrupted)"
        )
    done = 0
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for waiting in (False, True):  # an event that waits is counted as soon as there is a balance: these come last
            items = (item for _, item in _items(folder) if (kind_of(item) == "waiting") is waiting)
            while chunk := list(islice(items, _CHUNK)):
                list(threads.map(partial(_place, table, env), chunk))
                done += len(chunk)
                told(done)
    return manifest


def expected(folder: Path) -> int | None:
    """How many items an export says that it holds, for a bar that shows how far a restore is; None where it does not say."""
    try:
        return int(json.loads((folder / MANIFEST).read_text())["items"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def checked(folder: Path, env: Environment) -> Manifest:
    """What the export holds, after all of it was read. Raises MovingError with the line where something is wrong."""
    path = folder / MANIFEST
    try:
        said = json.loads(path.read_text())
    except OSError as error:
        raise NoExport(f"{path}: {error.strerror}: no export, or one that did not end") from error
    except ValueError as error:
        raise NoExport(f"{path}: is no JSON: {error}") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise NoExport(f"{path}: format must be {FORMAT}")
    if said.get("environment") != env.value:
        raise NoExport(f"{path}: environment is {said.get('environment')}, not {env.value}")
    manifest = Manifest(env.value)
    for line, item in _items(folder):
        if not _is_of(env, item):
            raise NoExport(f"{folder / ITEMS}:{manifest.items + 1}: Item.pk is not of {env.value}")
        manifest.add(line, item)
    if json.loads(manifest.text()) != said:
        raise NoExport(f"{folder / ITEMS}: is not what {MANIFEST} says: it was changed, or is not whole")
    return manifest


def _is_of(env: Environment, item: Item) -> bool:
    pk = item["pk"]["S"]
    return (
        pk.startswith((f"{env.value}#", "KEY#"))
        or pk in (keys.api_key_partition(env), keys.key_uses(env), keys.webhooks(env))
        or webhooks.is_delivery(env, item)
    )


def _items(folder: Path) -> Iterator[tuple[bytes, Item]]:
    path = folder / ITEMS
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_LONGEST_LINE), b""), 1):
                try:
                    item = _read(json.loads(line)["Item"])
                    if not all(isinstance(item[name]["S"], str) for name in ("pk", "sk")):
                        raise TypeError("pk and sk must be text")
                    kind_of(item)
                except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                    raise MovingError(f"{path}:{number}: Item is none of the table's ({error!r})") from error
                yield line, item
    except OSError as error:
        raise MovingError(f"{path}: {error.strerror}") from error


def _read(attributes: Any) -> Item:
    return {name: _value(value) for name, value in attributes.items()}


def _value(value: Any) -> Any:
    """A value of DynamoDB's JSON as its clients take it."""
    ((kind, content),) = value.items()
    if kind == "B":
        content = base64.b64decode(content, validate=True)
    elif kind == "BS":
        content = [base64.b64decode(each, validate=True) for each in content]
    elif kind == "L":
        content = [_value(each) for each in content]
    elif kind == "M":
        content = _read(content)
    return {kind: content}


def _holds_something(table: Table, env: Environment) -> bool:
    return any(table.page(partition, "", 1) for partition in (keys.catalog_partition(env), keys.customer_list(env)))


def _place(table: Table, env: Environment, item: Item) -> None:
    """Writes one item, unless it is there already. Raises MovingError where another is."""
    if webhooks.is_webhook(env, item) or webhooks.is_delivery(env, item):
        item = webhooks.restored(env, item)
    if not item["sk"]["S"].startswith(keys.BALANCE):
        return _put(table, item, _ABSENT)
    # The stream takes no notice of a write that keeps a balance's version. So its first write, of which the stream does
    # tell, is one that grants nothing.
    empty = _without_grants(item)
    if not _is_there(table, item):
        _put(table, empty, _ABSENT)
        _put(table, item, _EMPTY)
    return None


_ABSENT = {"ConditionExpression": "attribute_not_exists(pk)"}
_EMPTY = {
    "ConditionExpression": "#rows = :rows AND headroom = :nothing AND attribute_not_exists(#event)",
    "ExpressionAttributeNames": {"#rows": "rows", "#event": "event"},
    "ExpressionAttributeValues": {":rows": {"S": "[]"}, ":nothing": {"N": "0"}},
}


def _without_grants(item: Item) -> Item:
    kept = {name: value for name, value in item.items() if name not in ("event", "holds", "limits", "before")}
    return kept | {"rows": {"S": "[]"}} | {name: {"N": "0"} for name in ("headroom", "ceiling", "spent")}


def _put(table: Table, item: Item, condition: dict[str, Any]) -> None:
    try:
        table.repeated(table.client.put_item, writes=True, TableName=table.name, Item=item, **condition)
    except Refused as refused:
        if not _is_there(table, item):
            key = f"{item['pk']['S']} {item['sk']['S']}"
            raise MovingError(f"{key} is there already, and is another: it was left as it is") from refused


def _is_there(table: Table, item: Item) -> bool:
    found = table.get({"pk": item["pk"], "sk": item["sk"]})
    if found is None or kind_of(item) == "use of an api key":  # a key that is used meanwhile was used later
        return found is not None
    if kind_of(item) == "webhook":
        return webhooks.is_the_same(found, item)
    return line_of(found) == line_of(item)
