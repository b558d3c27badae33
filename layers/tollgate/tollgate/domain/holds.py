"""Holds: what one balance records of the reservations that have drawn from it.

A hold draws its units at once, so nobody else can use them, and the balance records what was drawn and until when. From
`expires_at` on the units count as returned whenever the balance is computed: no write is needed.

A grant's reset restores all its units, the held ones too. What was drawn from that grant is then no longer part of the
hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.grants import Grant, HeldRollovers
from tollgate.domain.limits import Limits, Window
from tollgate.domain.quantities import ZERO

MAX_HOLDS = 200  # of one balance at a time: they make its item about 20 KB
DAY_MS = 86_400_000
LONGEST_MS = DAY_MS  # the longest a hold lasts, and how long it lasts where the call sets no expiry (autumn.md 3.11)


class Part(NamedTuple):
    """What a hold drew from one grant. `seq` orders the parts over all balances that the hold touched.

    - `amount`: units of the balance; below zero, they were given back.
    - `rollover`: the expiry (epoch ms) of the rollover that they were drawn from, -1 for one that never expires; None:
      they were drawn from the grant itself.
    """

    seq: int
    grant_id: str
    amount: Decimal
    rollover: int | None = None


class CountedInWindow(NamedTuple):
    """The units that a hold counted in one usage limit. `window` is the limit's key (`window_key`), `ends_at` the end
    of the window that counted them (epoch ms).
    """

    window: tuple[str, bool, tuple[tuple[str, str], ...]]
    ends_at: int
    amount: Decimal


class Hold(NamedTuple):
    """What one reservation holds of one balance.

    - `id`: the digest of its lock id. `expires_at`: when its units are returned (epoch ms).
    - `parts`: what it drew from grants. `counted`: what it counted in usage limits.
    - `used_elsewhere`: by grant id, the units of it that the grant counts although others paid
      (`Grant.used_elsewhere`).
    """

    id: str
    expires_at: int
    parts: tuple[Part, ...] = ()
    counted: tuple[CountedInWindow, ...] = ()
    used_elsewhere: tuple[tuple[str, Decimal], ...] = ()

    @property
    def counting(self) -> frozenset[str]:
        """The ids of the grants that still count what was held: they have not reset since."""
        drawn = (part.grant_id for part in self.parts if part.rollover is None)
        return frozenset((*drawn, *(grant_id for grant_id, _ in self.used_elsewhere)))

    def reserved(self, grants: Iterable[Grant]) -> Decimal:
        """The units that it keeps of these grants from other uses."""
        ids = {grant.id for grant in grants}
        return sum((part.amount for part in self.parts if part.amount > 0 and part.grant_id in ids), ZERO)


def window_key(window: Window) -> tuple[str, bool, tuple[tuple[str, str], ...]]:
    """What identifies a usage limit: its interval, whether its windows are calendar windows (UTC), and its filter."""
    return window.interval.value, window.anchor is None, window.filter


def forgotten(holds: Iterable[Hold], grant_ids: set[str]) -> tuple[Hold, ...]:
    """The holds without what they drew from these grants themselves, because those have reset. What came from rollovers
    remains.
    """
    return tuple(
        hold._replace(
            parts=tuple(p for p in hold.parts if p.rollover is not None or p.grant_id not in grant_ids),
            used_elsewhere=tuple(entry for entry in hold.used_elsewhere if entry[0] not in grant_ids),
        )
        for hold in holds
    )


def held_rollovers(holds: Iterable[Hold], grant_id: str) -> HeldRollovers:
    """The expiries (epoch ms; None: never) of a grant's rollovers that these holds have drawn from."""
    drawn = (part.rollover for hold in holds for part in hold.parts if part.grant_id == grant_id)
    return frozenset(None if expiry == -1 else expiry for expiry in drawn if expiry is not None)


def held_of(holds: Iterable[Hold]) -> dict[str, Decimal]:
    """What is held of each grant itself, without its rollovers, by its id."""
    held: dict[str, Decimal] = {}
    for part in (part for hold in holds for part in hold.parts if part.rollover is None):
        held[part.grant_id] = held.get(part.grant_id, ZERO) + part.amount
    return held


def kept_of(holds: Iterable[Hold]) -> dict[str, Decimal]:
    """What nobody else may give back of each grant itself, by its id: what these holds drew from it."""
    kept: dict[str, Decimal] = {}
    for part in (part for hold in holds for part in hold.parts if part.rollover is None and part.amount > 0):
        kept[part.grant_id] = kept.get(part.grant_id, ZERO) + part.amount
    return kept


Heir = tuple[str | None, str | None]
"""The grant that counts from now on what a hold drew from another grant itself (None: none does), and from its
rollovers."""


def inherited(holds: Iterable[Hold], heirs: Mapping[str, Heir]) -> tuple[Hold, ...]:
    """The holds, with what they drew from grants that are gone as a part of each one's heir; where there is none, it is
    gone with the grant."""

    def moved(part: Part) -> Part | None:
        if part.grant_id not in heirs:
            return part
        heir = heirs[part.grant_id][0 if part.rollover is None else 1]
        return None if heir is None else part._replace(grant_id=heir)

    def counted(entry: tuple[str, Decimal]) -> tuple[str, Decimal] | None:
        heir = heirs[entry[0]][0] if entry[0] in heirs else entry[0]
        return None if heir is None else (heir, entry[1])

    return tuple(
        hold._replace(
            parts=tuple(new for part in hold.parts if (new := moved(part))),
            used_elsewhere=tuple(kept for entry in hold.used_elsewhere if (kept := counted(entry))),
        )
        for hold in holds
    )


def parts_of(before: Sequence[Grant], after: Sequence[Grant], seq: int) -> tuple[list[Part], list[Part]]:
    """What was drawn between two states of a balance's grants: first the parts that the grants covered (rollovers
    first), then the parts that are overage. Both are numbered on from `seq`.
    """
    old = {grant.id: grant for grant in before}
    rolled: list[tuple[int, Part]] = []
    held: list[Part] = []
    over: list[Part] = []
    for grant in after:
        was = old[grant.id]
        used = {rollover.expires_at: rollover.used for rollover in was.rollovers}
        for rollover in grant.rollovers:
            moved = rollover.used - used.get(rollover.expires_at, ZERO)
            if moved:
                mark = -1 if rollover.expires_at is None else rollover.expires_at
                rolled.append((mark if mark >= 0 else 2**62, Part(0, grant.id, moved, mark)))
        moved = grant.used - was.used
        if grant.unlimited or moved <= 0:
            held += [Part(0, grant.id, moved)] if moved else []
            continue
        covered = min(moved, max(ZERO, was.remaining))
        held += [Part(0, grant.id, covered)] if covered else []
        over += [Part(0, grant.id, moved - covered)] if moved > covered else []
    first = [part for _, part in sorted(rolled, key=lambda entry: entry[0])] + held
    numbered = [part._replace(seq=seq + number) for number, part in enumerate([*first, *over])]
    return numbered[: len(first)], numbered[len(first) :]


def used_elsewhere_of(before: Sequence[Grant], after: Sequence[Grant]) -> tuple[tuple[str, Decimal], ...]:
    """By grant id, how many units more the grant counts in `after` than in `before` that other grants paid for."""
    old = {grant.id: grant.used_elsewhere for grant in before}
    return tuple(
        (grant.id, grant.used_elsewhere - old[grant.id]) for grant in after if grant.used_elsewhere != old[grant.id]
    )


def undo(grants: tuple[Grant, ...], parts: Sequence[Part]) -> tuple[tuple[Grant, ...], Decimal]:
    """The grants with these parts returned, the last drawn first, and the units that could not be returned to their own
    grant: above zero they are still to be returned, below zero still to be drawn.

    A grant gets all of it back: nobody else can give back what is held. Where units were added to it by hand
    meanwhile, it may then hold more than was granted.
    """
    changed = {grant.id: grant for grant in grants}
    rest = ZERO
    for part in sorted(parts, key=lambda part: -part.seq):
        grant = changed.get(part.grant_id)
        if grant is None:
            rest += part.amount
        elif part.rollover is not None:
            changed[grant.id], left = _into_rollover(grant, part)
            rest += left
        else:
            changed[grant.id] = grant._replace(used=grant.used - part.amount)
    return tuple(changed[grant.id] for grant in grants), rest


def _into_rollover(grant: Grant, part: Part) -> tuple[Grant, Decimal]:
    """Returns a part to the rollover that it was drawn from. Where that has expired, the units are lost with it."""
    expires_at = None if part.rollover == -1 else part.rollover
    rollovers = []
    for rollover in grant.rollovers:
        if rollover.expires_at == expires_at:
            back = min(part.amount, rollover.used)
            rollover = rollover._replace(used=rollover.used - back)
        rollovers.append(rollover)
    return grant._replace(rollovers=tuple(rollovers)), ZERO


def uncounted(limits: Limits, counted: Sequence[CountedInWindow]) -> Limits:
    """The limits without what was counted in their windows, where the window it was counted in still runs."""

    def less(window: Window) -> Window:
        back = sum((c.amount for c in counted if c.window == window_key(window) and c.ends_at == window.ends_at), ZERO)
        return window._replace(used=max(ZERO, window.used - back)) if back else window

    if not counted:
        return limits
    return limits._replace(windows=tuple(map(less, limits.windows)), paused=tuple(map(less, limits.paused)))
