"""What balance items remember of uses that one write counts together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial

from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Decision, sources_of
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.features import Feature, Pool
from tollgate.domain.quantities import ZERO
from tollgate.domain.use_records import CountedUse, UseRecord
from tollgate.exact_json import dumps

MOST_BYTES = 250_000  # of uses in one item: DynamoDB takes 400 KB, and its grants, limits and holds are in it too
_USE_BYTES = 150  # of the JSON of a use, without what is of any length
_GRANT_BYTES = 40  # of what a grant gave, without its id


class UseBatch:
    """Uses in the order in which they were decided, by the item that is to tell of them."""

    def __init__(self) -> None:
        self._uses: dict[BalanceKey, list[CountedUse]] = {}
        self._keys: dict[BalanceKey, str] = {}
        self._ungranted: dict[BalanceKey, list[CountedUse]] = {}
        self._sizes: dict[BalanceKey, int] = {}

    def __contains__(self, key: BalanceKey) -> bool:
        return key in self._uses

    @property
    def empty(self) -> bool:
        return not self._uses

    def count(
        self, use: CountedUse, key_id: str, feature: Feature, pools: Sequence[Pool], entity_id: str, decision: Decision
    ) -> None:
        """Notes an allowed use: a part of it in each item that it moved, or whose usage limits counted it; where it moved
        none, in the first that could have paid."""
        moved = _by_key(decision) or {sources_of(feature.id, pools, entity_id, decision.balances)[0].key: []}
        for key in decision.counted:
            moved.setdefault(key, [])
        for number, (key, grants) in enumerate(moved.items()):
            part = use._replace(
                moved=tuple(grants),
                feature_id=feature.id if feature.id != key.feature_id else None,
                entity_id=entity_id if entity_id != key.entity_id else None,
                part=number > 0,
                key_id=None if self._keys.setdefault(key, key_id) == key_id else key_id,
            )
            self._uses.setdefault(key, []).append(part)
            self._sizes[key] = self._sizes.get(key, 0) + _size(part)

    def count_ungranted(self, use: CountedUse, key_id: str, key: BalanceKey) -> None:
        """Notes a use of what nothing grants."""
        self._ungranted.setdefault(key, []).append(use._replace(key_id=key_id))

    def check_size(self) -> None:
        """Raises InvalidRequest where an item could not hold what it is to remember: no later try could change that."""
        for key, size in self._sizes.items():
            if size > MOST_BYTES:
                raise InvalidRequest(
                    f"The balance of {key.feature_id} cannot remember this use: with its properties for each feature that"
                    f" it is a use of, and what each grant gave, it takes {size} bytes (at most {MOST_BYTES})"
                )

    def event_of(self, key: BalanceKey) -> Callable[[str], UseRecord] | None:
        """What an item is to remember, by the id of its write; None where nothing of it was used. A use without an id has
        the write's."""
        uses = self._uses.get(key)
        return partial(_event, tuple(uses), self._keys[key]) if uses else None

    def ungranted_use(self, new_id: Callable[[], str]) -> Iterator[tuple[BalanceKey, UseRecord]]:
        for key, uses in self._ungranted.items():
            yield key, _event(tuple(uses), uses[0].key_id or "", new_id())


def _size(use: CountedUse) -> int:
    """About what the item holds of a use, in bytes."""
    ids = len(dumps(use.id)) + sum(len(id) for id in (use.feature_id, use.entity_id, use.key_id) if id)
    properties = len(dumps(dict(use.properties))) if use.properties else 0
    return _USE_BYTES + ids + properties + sum(len(grant_id) + _GRANT_BYTES for grant_id, _ in use.moved)


def _event(uses: tuple[CountedUse, ...], key_id: str, id: str) -> UseRecord:
    value, drawn = sum((u.value for u in uses), ZERO), sum((u.drawn for u in uses), ZERO)
    named = tuple(use if use.id else use._replace(id=id) for use in uses)
    return UseRecord(id, value, drawn, uses[-1].at, key_id, uses=named)


def _by_key(decision: Decision) -> dict[BalanceKey, list[tuple[str, Decimal]]]:
    """What each item's grants gave, in deduction order."""
    owners = {(grant.id, key.feature_id): key for key, balance in decision.balances.items() for grant in balance.grants}
    moved: dict[BalanceKey, list[tuple[str, Decimal]]] = {}
    for deduction in decision.deductions:
        key = owners[deduction.grant.id, deduction.feature_id]
        moved.setdefault(key, []).append((deduction.grant.id, deduction.value))
    return moved
