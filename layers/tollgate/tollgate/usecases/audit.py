"""The audit log: who changed what of an environment, and what it was before (management.md 17.5).

An entry is written in the transaction that makes the change, so there is neither without the other. The edge says who
calls (`acting`); where nobody does, as when the clock ends a subscription, no entry is written: the bus tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.exact_json import dumps
from tollgate.usecases.ids import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from tollgate.domain.customers import Holdings
    from tollgate.domain.environments import Environment
    from tollgate.store.log import LogStore

MOST_BYTES = 100_000  # of the changes that one entry tells; EventBridge takes 256 KB in all

Describe = Callable[["Environment", str, Any], Any]
"""Shows a thing of an environment in JSON: takes its type, as `Changed` names it, and the thing as the domain has it."""


class Author(NamedTuple):
    """Who makes a call, and which: the API key's id (empty: whoever has the AWS account), the call's name, and when (epoch
    ms)."""

    key_id: str
    call: str
    at: int


class Changed(NamedTuple):
    """What a change made of one thing; None where there was, or is, none.

    `type`: `feature`, `plan`, `api_key`, `webhook`, `customer`, `entity`, `subscription` or `balance`.
    """

    type: str
    id: str
    before: Any
    after: Any


_author: ContextVar[Author | None] = ContextVar("author", default=None)


@contextmanager
def acting(author: Author) -> Iterator[None]:
    """Whatever is changed within is this author's."""
    token = _author.set(author)
    try:
        yield
    finally:
        _author.reset(token)


class Audit:
    """Makes the entries. `log`: where they are kept; None: nowhere."""

    def __init__(self, log: LogStore | None, describe: Describe) -> None:
        self._log = log
        self._describe = describe

    def entry(
        self, env: Environment, changes: Callable[[int], Iterable[Changed]], customer_id: str | None = None
    ) -> list[TransactWriteItemTypeDef]:
        """The write, for the transaction that makes these changes, of their entry: in the log of their customer, or in the
        environment's. Empty where nobody acts, or nothing differs. `changes` is given the call's time (epoch ms), and called
        only where somebody acts."""
        author = _author.get()
        if author is None or self._log is None:
            return []
        from tollgate.store.codecs.log import CALLED  # most calls change nothing

        changed = [change for change in changes(author.at) if change.before != change.after]
        if not changed:
            return []
        told, omitted = _told(env, self._describe, changed)
        id = new_id("call")
        detail = {
            "version": 1,
            "id": id,
            "environment": env.value,
            "customer_id": customer_id,
            "entity_id": None,
            "timestamp": author.at,
            "call": author.call,
            "key_id": author.key_id or None,
            "changes": told,
            "omitted": omitted,
        }
        return [self._log.entry_write(env, customer_id, author.at, id, (CALLED, dumps(detail)))]


NO_AUDIT = Audit(None, lambda *_: None)


def _told(env: Environment, describe: Describe, changes: Iterable[Changed]) -> tuple[list[dict[str, Any]], int]:
    """The changes as they are told, and how many are left out because all would be too many bytes."""
    told: list[dict[str, Any]] = []
    omitted = size = 0
    for type, id, *states in changes:
        if size > MOST_BYTES:
            omitted += 1
            continue
        before, after = (None if state is None else describe(env, type, state) for state in states)
        change = {"type": type, "id": id, "before": before, "after": after}
        size += len(dumps(change))
        if size > MOST_BYTES:
            omitted += 1
        elif before != after:  # else it differs in what is not told
            told.append(change)
    return told, omitted


def changes_of(before: Holdings, after: Holdings, at: int) -> Iterator[Changed]:
    """What differs of a customer's. A balance's id is its feature's, and its entity's where it has one; it is told as of
    `at` (epoch ms): what was spent since it was last written is drawn from its grants, and what was due has passed."""
    from tollgate.domain.balances import as_of

    now = before.time(at)
    if before.customer != after.customer:
        yield Changed("customer", after.customer.id, before.customer, after.customer)
    yield from _differing("entity", before.entities, after.entities)
    yield from _differing("subscription", before.subscriptions, after.subscriptions)
    balances = ({"/".join(filter(None, key)): held.balances[key] for key in held.balances} for held in (before, after))
    for type, id, old, new in _differing("balance", *balances):
        yield Changed(type, id, old and as_of(old, now), new and as_of(new, now))


def _differing(type: str, before: Any, after: Any) -> Iterator[Changed]:
    for id in dict.fromkeys((*before, *after)):
        if before.get(id) != after.get(id):
            yield Changed(type, id, before.get(id), after.get(id))
