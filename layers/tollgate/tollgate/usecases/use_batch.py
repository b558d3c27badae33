"""What balances record of several uses that one write counts together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Decision, UseRequest, sources_of
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.quantities import ZERO
from tollgate.domain.use_records import CountedUse, UseRecord
from tollgate.exact_json import dumps

MOST_BYTES = 250_000  # of uses in one item, which holds grants, limits and holds too: DynamoDB allows 400 KB
_USE_BYTES = 150  # of the JSON of a use, without its ids, properties and deductions
_GRANT_BYTES = 40  # of the JSON of one deduction, without the grant's id


class UseBatch:
    """Uses in the order in which they were decided, by the balance that is to record them."""

    def __init__(self) -> None:
        self._uses: dict[BalanceKey, list[CountedUse]] = {}
        self._keys: dict[BalanceKey, str] = {}
        self._ungranted: dict[BalanceKey, list[CountedUse]] = {}
        self._sizes: dict[BalanceKey, int] = {}

    def __contains__(self, key: BalanceKey) -> bool:
        return key in self._uses

    @property
    def empty(self) -> bool:
        """Whether no balance has a use to record."""
        return not self._uses

    def add(self, use: CountedUse, key_id: str, request: UseRequest, decision: Decision) -> None:
        """Adds an allowed use: a part of it to each balance that it drew from, or whose usage limits counted it. Where
        it drew from none, the first balance that could have paid records it.
        """
        moved = {
            key: [(deduction.grant.id, deduction.value) for deduction in deductions]
            for key, deductions in decision.moved().items()
        }
        if not moved:
            sources = sources_of(request.feature.id, request.pools, request.entity_id, decision.balances)
            moved = {sources[0].key: []}
        for key in decision.counted:
            moved.setdefault(key, [])
        for number, (key, grants) in enumerate(moved.items()):
            part = use._replace(
                moved=tuple(grants),
                feature_id=request.feature.id if request.feature.id != key.feature_id else None,
                entity_id=request.entity_id if request.entity_id != key.entity_id else None,
                part=number > 0,
                key_id=None if self._keys.setdefault(key, key_id) == key_id else key_id,
            )
            self._uses.setdefault(key, []).append(part)
            self._sizes[key] = self._sizes.get(key, 0) + _size(part)

    def add_ungranted(self, use: CountedUse, key_id: str, key: BalanceKey) -> None:
        """Adds a use of a feature that nothing grants."""
        self._ungranted.setdefault(key, []).append(use._replace(key_id=key_id))

    def check_size(self) -> None:
        """Raises InvalidRequest where an item is too small for the uses that it is to record. Repeating the call cannot
        change that.
        """
        for key, size in self._sizes.items():
            if size > MOST_BYTES:
                raise InvalidRequest(
                    f"The balance of {key.feature_id} cannot remember this use: with its properties for each feature that"
                    f" it is a use of, and what each grant gave, it takes {size} bytes (at most {MOST_BYTES})"
                )

    def record_of(self, key: BalanceKey) -> UseRecord | None:
        """What a balance is to record; None where no use is to be recorded on it. The write sets its id."""
        uses = self._uses.get(key)
        return _record(tuple(uses), self._keys[key]) if uses else None

    def ungranted(self, new_id: Callable[[], str]) -> Iterator[tuple[BalanceKey, UseRecord]]:
        """The ungranted uses to record, by balance key, each record with a new id."""
        for key, uses in self._ungranted.items():
            yield key, _record(tuple(uses), uses[0].key_id or "").with_id(new_id())


def _size(use: CountedUse) -> int:
    """About how many bytes a use takes in the item."""
    said = (use.feature_id, use.entity_id, use.key_id, *use.origin)
    ids = len(dumps(use.id)) + sum(len(dumps(text)) + 12 for text in said if text)
    properties = len(dumps(dict(use.properties))) if use.properties else 0
    return _USE_BYTES + ids + properties + sum(len(grant_id) + _GRANT_BYTES for grant_id, _ in use.moved)


def _record(uses: tuple[CountedUse, ...], key_id: str) -> UseRecord:
    value: Decimal = sum((use.value for use in uses), ZERO)
    drawn: Decimal = sum((use.drawn for use in uses), ZERO)
    return UseRecord("", value, drawn, uses[-1].at, key_id, uses=uses)
