"""What would make an environment hold what is wanted: a list of changes, each of one feature or plan.

Pure: it compares two catalogs. What only the environment knows (does a change make a new version, how many customers
stay on the old one) is added by `target`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from tollgate.exact_json import dumps
from tollgate_cli.catalog.file import Catalog
from tollgate_cli.catalog.shapes import Body, same

Kind = Literal["feature", "plan"]

VERSIONED = ("items", "price", "free_trial")
"""What customers have of a plan: where one of these changes, they stay on their version (management.md 3)."""

_CLEARED: dict[str, Any] = {
    "consumable": False,
    "event_names": [],
    "credit_schema": [],
    "display": {},
    "add_on": False,
    "auto_enable": False,
    "items": [],
    "billing_controls": {},
    "archived": False,
}
"""What a call says to take a field away; null, where nothing else is named here."""
_CLEARED_PLAN: dict[str, Any] = {"metadata": {}}


class ChangeError(RuntimeError):
    """What is wanted cannot be made of what is there, or what is to be removed is not said clearly."""


class Action(StrEnum):
    """What becomes of a feature or plan."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


class Difference(NamedTuple):
    """One value that changes: `old` is None where it is new, `new` where it goes."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Change:
    """What becomes of one feature or plan. `old` and `new` are what is there and what is wanted; None: nothing."""

    kind: Kind
    id: str
    old: Body | None
    new: Body | None
    new_version: int | None = None
    stay: Mapping[int, int] | None = None
    """Of a plan: how many customers stay on each version that they have."""
    archives: bool = False
    """Of what is removed: whether it is archived, as it is in use."""

    @property
    def action(self) -> Action:
        """What is done."""
        if self.new is None:
            return Action.REMOVE
        return Action.CREATE if self.old is None else Action.UPDATE

    @property
    def body(self) -> Body:
        """What the call that makes the change says: of a new one everything, else the fields that differ."""
        id_field = f"{self.kind}_id"
        if self.old is None or self.new is None:
            return dict(self.new or {id_field: self.id})
        cleared = _CLEARED | (_CLEARED_PLAN if self.kind == "plan" else {})
        pool = self.new.get("type") in ("credit_system", "ai_credit_system")
        usual = cleared | {"consumable": pool}
        changed = [name for name in (*self.new, *self.old) if not same(self.old.get(name), self.new.get(name))]
        return {id_field: self.id} | {name: self.new.get(name, usual.get(name)) for name in changed}

    @property
    def differences(self) -> list[Difference]:
        """Each value that changes."""
        old, new = ({} if body is None else body for body in (self.old, self.new))
        return [each for each in _differences(old, new, "") if each.path != f"{self.kind}_id"]


@dataclass(frozen=True)
class Changes:
    """All changes, in the order in which they are made, and what stays though the file does not name it."""

    each: list[Change]
    left_alone: list[tuple[Kind, str]]
    gone: list[str]
    """Ids that were to be removed and are not there (any more)."""

    def fingerprint(self, environment: str) -> str:
        """Names them: the same changes of the same features and plans, in one environment."""
        said = [environment, [[c.kind, c.id, c.old, c.new] for c in self.each], self.left_alone]
        return hashlib.sha256(dumps(said).encode()).hexdigest()[:12]


def changes_to(there: Catalog, wanted: Catalog, prune: Sequence[str] = ()) -> Changes:
    """What makes an environment that holds `there` hold what is `wanted`. Features and plans that are not wanted stay,
    but for those named in `prune`: `ID`, `feature:ID` or `plan:ID`.

    Raises ChangeError.
    """
    changes = [
        Change(kind, id, old.get(id), body)
        for kind, old, new in _nouns(there, wanted)
        for id, body in new.items()
        if not same(old.get(id), body)
    ]
    for change in changes:
        if change.kind == "feature" and change.old and change.new and change.old["type"] != change.new["type"]:
            raise ChangeError(
                f"feature {change.id} is {change.old['type']} there: its type cannot be changed, take another id"
            )
    named, gone = _pruned(there, wanted, prune)
    removals = [
        Change(kind, id, old[id], None) for kind, old, _ in _nouns(there, wanted) for id in old if (kind, id) in named
    ]
    left_alone = [
        (kind, id)
        for kind, old, new in _nouns(there, wanted)
        for id, body in old.items()
        if id not in new and (kind, id) not in named and not body.get("archived")
    ]
    return Changes(sorted([*changes, *removals], key=_turn), left_alone, gone)


def creating(changes: Changes) -> Changes:
    """Only those that make what is not there yet."""
    return replace(changes, each=[change for change in changes.each if change.action is Action.CREATE])


def _nouns(there: Catalog, wanted: Catalog) -> tuple[tuple[Kind, Mapping[str, Body], Mapping[str, Body]], ...]:
    return ("feature", there.features, wanted.features), ("plan", there.plans, wanted.plans)


def _turn(change: Change) -> int:
    """When a change has its turn: so that after each, what is named is there, and automatic plans do not meet."""
    if change.kind == "feature":
        if change.new is None:
            return 7 if change.old and change.old["type"] != "credit_system" else 6
        return 2 if change.new["type"] == "credit_system" else 1
    if change.new is None:
        return 4
    leaves = change.old is not None and change.new.get("archived")
    return 5 if change.new.get("auto_enable") and not leaves else 3


def _pruned(there: Catalog, wanted: Catalog, prune: Sequence[str]) -> tuple[set[tuple[Kind, str]], list[str]]:
    """What is removed, and the names of what is not there, or archived already."""
    found: set[tuple[Kind, str]] = set()
    gone = []
    for text in prune:
        known = [
            (kind, id, new)
            for kind, old, new in _nouns(there, wanted)
            for id in old
            if text == f"{kind}:{id}" or text == id
        ]
        if not known:
            gone.append(text)
        if len({kind for kind, _, _ in known}) > 1:
            raise ChangeError(f"{text} is a feature and a plan: say --prune feature:{text} or --prune plan:{text}")
        for kind, id, new in known:
            if id in new:
                raise ChangeError(f"{kind} {id} is wanted, and to be removed: take it out of the file first")
            if (there.features if kind == "feature" else there.plans)[id].get("archived"):
                gone.append(text)
            else:
                found.add((kind, id))
    return found, gone


# ------------------------------------------------------------------ differences


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for name in dict.fromkeys((*new, *old)):
        yield from _difference(old.get(name), new.get(name), f"{path}.{name}" if path else name)


def _difference(old: Any, new: Any, path: str) -> Iterator[Difference]:
    if same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _differences(old, new, path)
    elif (old is None or _entries(old)) and (new is None or _entries(new)):
        yield from _of_lists(old or [], new or [], path)
    else:
        yield Difference(path, old, new)


def _of_lists(old: list[Body], new: list[Body], path: str) -> Iterator[Difference]:
    before, after = _labeled(old), _labeled(new)
    for label in dict.fromkeys((*after, *before)):
        yield from _difference(before.get(label), after.get(label), f"{path}[{label}]")
    common = [label for label in before if label in after]
    if common != [label for label in after if label in before]:
        yield Difference(f"{path} (order)", common, [label for label in after if label in before])


def _entries(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _labeled(entries: list[Body]) -> dict[str, Body]:
    """The entries of a list by what tells them apart: the feature that they are of, and what else it takes."""
    labels = [_label(entry) for entry in entries]
    found: dict[str, Body] = {}
    for label, entry in zip(labels, entries, strict=True):
        number = sum(1 for known in found if known.split(" #")[0] == label)
        found[f"{label} #{number + 1}" if number else label] = entry
    return found


def _label(entry: Body) -> str:
    price, reset = entry.get("price") or {}, entry.get("reset") or entry
    parts = [
        entry.get("feature_id") or entry.get("metered_feature_id") or entry.get("key") or entry.get("name") or "",
        f"per {reset['interval']}" if "interval" in reset else "",
        f"of {entry['entity_feature_id']}" if "entity_feature_id" in entry else "",
        "prepaid" if price.get("billing_method") == "prepaid" else "",
    ]
    return " ".join(part for part in parts if part)
