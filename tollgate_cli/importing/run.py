"""Brings customer after customer over, and compares both sides; begins where an earlier run was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import Holdings
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import NotFound, TollgateError
from tollgate.exact_json import dumps
from tollgate.store.customers import MAX_WRITES, CustomerStore
from tollgate.store.table import Refused, Table
from tollgate_cli.importing import journal as states
from tollgate_cli.importing.build import Unfit, built
from tollgate_cli.importing.catalog import CatalogWriter, Wanted, wanted
from tollgate_cli.importing.client import Refusal, SourceError
from tollgate_cli.importing.compare import Difference, differences
from tollgate_cli.importing.journal import Journal, Told
from tollgate_cli.importing.records import CustomerRecord, Note
from tollgate_cli.importing.source import Entries, Misread, Page, Question, Source

T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]
"""Is told of a step, how much of it is done, and of how much (None: not known)."""
_MOST_ITEMS = MAX_WRITES - 2
_READINGS = 3
"""Of a customer that differs, on both sides, before the difference is told: something may have happened between them."""


class WrongEnvironment(RuntimeError):
    """A key opens another environment than the one that is meant."""


@dataclass(frozen=True)
class Options:
    """How an import is made. `only`: these customers and no others."""

    env: Environment
    only: tuple[str, ...] = ()
    dry_run: bool = False
    without_emails: bool = False
    checks: bool = True
    at_once: int = 8


@dataclass
class Sides:
    """Where it comes from, and where it goes: the table, and the API over it under the same vendor's words."""

    source: Source
    target: Source
    table: Table


class Import:
    """One import. `clock` gives epoch ms."""

    def __init__(
        self, sides: Sides, journal: Journal, options: Options, progress: Progress, clock: Callable[[], int]
    ) -> None:
        self._source, self._target = sides.source, sides.target
        self._store, self._writer = CustomerStore(sides.table), CatalogWriter(sides.table, options.env)
        self._journal, self._options, self._progress, self._clock = journal, options, progress, clock
        self._wanted = Wanted({}, {}, [])

    def run(self) -> None:
        """Everything that is not done yet. Raises WrongEnvironment, CatalogConflict, SourceError, and what the table
        raises; the journal keeps what was done."""
        if self._journal.get("done"):
            self._journal.begin_again()
            self._journal.set("done", "")
        self._check_environments()
        self._read_catalog()
        self._read(self._source, "source")
        self._write_catalog()
        self._bring_over()
        if not self._options.dry_run:
            self._read(self._target, "target")
            self._compare_all()
            self._journal.forget("source", "target")
            self._journal.set("done", "yes")

    def sizes(self) -> dict[str, int]:
        """How many features and versions of plans there are."""
        return {"features": len(self._wanted.features), "plans": len(self._wanted.plans)}

    def _check_environments(self) -> None:
        wanted_env = self._options.env
        for side, what in ((self._source, self._source.vendor.capitalize()), (self._target, "Tollgate")):
            opened = side.environment()
            if opened is not None and opened is not wanted_env:
                raise WrongEnvironment(
                    f"the key of {what} is one of {opened.value}, not of {wanted_env.value}: nothing was changed"
                )

    def _read_catalog(self) -> None:
        self._progress("Reading features and plans", 0, None)
        self._wanted = wanted(self._source.catalog(), self._clock())
        self._journal.tell([_told("", note) for note in self._wanted.notes])
        if not self._journal.get("catalog"):
            self._writer.check(self._wanted)

    def _write_catalog(self) -> None:
        if not self._journal.get("catalog") and not self._options.dry_run:
            self._writer.write(self._wanted)
            self._journal.set("catalog", "yes")
        self._target.catalog()  # it remembers versions

    # ------------------------------------------------------------------ reading

    def _read(self, side: Source, name: str) -> None:
        if self._options.only:
            missing = [id for id in self._options.only if not self._journal.entries(name, id)]
            for number, (id, entries) in enumerate(self._each(missing, side.entries), 1):
                if entries is not None:
                    self._journal.keep_entries(name, id, self._without_personal(entries), self._clock())
                elif name == "source":
                    raise SourceError(f"there is no customer {id} at {side.vendor.capitalize()}")
                self._progress(f"Reading customers: {_SIDES[name]}", number, len(missing))
            return
        done = 0
        for kind in side.kinds:
            while (cursor := self._journal.cursor(name, kind)) is not None:
                page = side.page(kind, cursor)
                if page.next is not None and page.next == cursor:
                    raise SourceError(f"{side.vendor}: the page of {kind} after {cursor} leads to itself")
                self._journal.keep(name, kind, self._page_without_personal(page), self._clock())
                done += len(page.entries)
                self._progress(f"Reading {kind}: {_SIDES[name]}", done, None)

    def _page_without_personal(self, page: Page) -> Page:
        if not self._options.without_emails:
            return page
        return page._replace(entries=[(id, _without_emails(entry)) for id, entry in page.entries])

    def _without_personal(self, entries: Entries) -> Entries:
        if not self._options.without_emails:
            return entries
        return {kind: [_without_emails(entry) for entry in shown] for kind, shown in entries.items()}

    # ------------------------------------------------------------------ writing

    def _bring_over(self) -> None:
        counts = self._journal.counts()
        total = sum(number for state, number in counts.items() if state != "compared")
        done = total - counts[states.READ]
        for id, (state, told) in self._each(self._journal.customers(states.READ), self._brought_over):
            self._journal.note(id, state, told)
            done += 1
            self._progress("Bringing customers over" if not self._options.dry_run else "Trying customers", done, total)

    def _brought_over(self, id: str) -> tuple[str, list[Told]]:
        _, read_at = self._journal.state(id)
        try:
            record = self._record(self._source, id, self._journal.entries("source", id), read_at)
            made = built(record, self._wanted.by_version, self._wanted.catalog)
        except Unfit as unfit:
            return states.UNFIT, [Told(id, "", "", "customer", "there", None, f"cannot be carried: {unfit}")]
        except (ValidationError, TollgateError, Misread, Refusal) as error:
            if isinstance(error, Refusal) and error.status not in (400, 404):
                raise
            return states.FAILED, [Told(id, "", "", "customer", "there", None, f"cannot be carried: {_words(error)}")]
        told = [_told(id, note) for note in (*record.notes, *made.notes)]
        if self._options.dry_run:
            return states.READ, told
        for plan in {(plan.id, plan.version): plan for plan in made.plans}.values():
            self._writer.mark_used(plan)
        if self._written(made.holdings):
            return states.WRITTEN, told
        return states.THERE, told

    def _record(self, side: Source, id: str, entries: Entries, read_at: int) -> CustomerRecord:
        return side.record(id, entries, read_at)

    def _written(self, holdings: Holdings) -> bool:
        """Whether the customer is here as it is to be; False where another customer of this id was here before.

        One that holds more than a transaction takes is written in several: an interrupted one is gone on with.
        """
        env = self._options.env
        ref = CustomerRef(env, holdings.customer.id)
        steps = list(_steps(holdings))
        for number, step in enumerate(steps):
            for _ in range(2):
                try:
                    there = self._store.get(ref)
                except NotFound:
                    if number:
                        return False
                    try:
                        self._store.add(env, step)
                    except Refused:
                        continue  # another run writes it just now
                    break
                if _is_part(step, there.holdings):
                    break  # this step and maybe later ones were made
                if not _is_part(there.holdings, step):
                    return False
                try:
                    self._store.change(env, there, step)
                except Refused:
                    continue
                break
        return True

    # ------------------------------------------------------------------ comparing

    def _compare_all(self) -> None:
        counts = self._journal.counts()
        total = sum(number for state, number in counts.items() if state != "compared")
        done = counts["compared"]
        for id, told in self._each(self._journal.customers(compared=False), self._compared):
            self._journal.note_compared(id, told)
            done += 1
            self._progress("Comparing customers", done, total)

    def _compared(self, id: str) -> list[Told]:
        state, read_at = self._journal.state(id)
        if state in (states.UNFIT, states.FAILED):
            return []
        source = self._record(self._source, id, self._journal.entries("source", id), read_at)
        first = source
        entries = self._journal.entries("target", id)
        here = self._record(self._target, id, entries, self._clock()) if entries.get("customers") else None
        found = self._all_differences(source, here)
        for attempt in range(_READINGS):
            if not found:
                return []
            time.sleep(0.2 * attempt)
            fresh, ours = self._source.entries(id), self._target.entries(id)
            if fresh is None and not _has_own_id(first):
                fresh = self._journal.entries("source", id)  # it cannot be asked for by an id that is made here
            if fresh is None:
                return [Told(id, "", "", "customer", None, "there", "was deleted at the source after it was read")]
            source = self._record(self._source, id, self._without_personal(fresh), self._clock())
            here = None if ours is None else self._record(self._target, id, ours, self._clock())
            found = self._all_differences(source, here)
        return [self._explained(id, state, each, first, here) for each in found]

    def _all_differences(self, source: CustomerRecord, here: CustomerRecord | None) -> list[Difference]:
        found = list(differences(source, here))
        if here is None or not self._options.checks or not self._source.counts_checks:
            return found
        for feature_id, entity_id in sorted({(grant.feature_id, grant.entity_id) for grant in source.grants}):
            question = Question(source.id, feature_id, entity_id)
            one, other = self._source.check(question), self._target.check(question)
            names = [name for name in one if name in other and one[name] != other[name]]
            found += [Difference(feature_id, entity_id, f"check.{n}", dumps(one[n]), dumps(other[n])) for n in names]
        return found

    def _explained(
        self, id: str, state: str, found: Difference, first: CustomerRecord, here: CustomerRecord | None
    ) -> Told:
        feature_id, entity_id, what, source, ours = found
        known = [
            told.reason
            for told in self._journal.told_of(id)
            if (told.feature, told.entity) == (feature_id, entity_id)
            and told.source is None
            and told.here is None
            and (feature_id or told.what.split(" ")[0] == what.partition(".")[0].split(" ")[0])
        ]
        if state == states.THERE:
            reason = "a customer of this id was here before the import, and was left as it was"
        elif known:
            reason = known[0]
        elif what.startswith("check."):
            reason = "what it has is told beside this where that differs; else the two answer the same check otherwise"
        elif not list(differences(first, here)):
            reason = "it changed at the source after it was read"
        else:
            reason = "it is used here or at the source meanwhile; else it is a defect of the import"
        return Told(id, feature_id, entity_id, what, source, ours, reason)

    def _each(self, items: Iterable[str], work: Callable[[str], T]) -> Iterator[tuple[str, T]]:
        """What the work makes of each item, a few at a time, as they are done."""
        waiting: dict[Future[T], str] = {}
        source = iter(items)
        threads = ThreadPoolExecutor(self._options.at_once)
        try:
            while True:
                for item in islice(source, 4 * self._options.at_once - len(waiting)):
                    waiting[threads.submit(work, item)] = item
                if not waiting:
                    return
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield waiting.pop(future), future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _has_own_id(record: CustomerRecord) -> bool:
    return not any(note.what == "id" for note in record.notes)


_SIDES = {"source": "the source", "target": "Tollgate"}


def _told(customer: str, note: Note) -> Told:
    return Told(customer, note.feature_id, note.entity_id, note.what, None, None, note.reason)


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def _without_emails(entry: Any) -> Any:
    """The entry without e-mail addresses."""
    kept = dict(entry)
    for name in ("email", "customer_email"):
        if kept.get(name):
            kept[name] = None
    if isinstance(kept.get("customer"), dict):
        kept["customer"] = _without_emails(kept["customer"])
    return kept


def _steps(holdings: Holdings) -> Iterator[Holdings]:
    """The holdings, a part more in each step: each takes one transaction, and the last is whole."""
    balances = sorted(holdings.balances, key=lambda key: (key.entity_id, key.feature_id))
    things: Sequence[tuple[str, Any]] = [
        *(("subscriptions", id) for id in holdings.subscriptions),
        *(("entities", id) for id in holdings.entities),
        *(("balances", key) for key in balances),
    ]
    for end in range(_MOST_ITEMS, len(things) + _MOST_ITEMS, _MOST_ITEMS):
        part = set(things[:end])
        yield replace(
            holdings,
            subscriptions={id: s for id, s in holdings.subscriptions.items() if ("subscriptions", id) in part},
            entities={id: e for id, e in holdings.entities.items() if ("entities", id) in part},
            balances={key: b for key, b in holdings.balances.items() if ("balances", key) in part},
        )
    if not things:
        yield holdings


def _is_part(part: Holdings, whole: Holdings) -> bool:
    """Whether all that the one holds, the other holds just so."""
    keys: Iterable[BalanceKey] = part.balances
    return (
        part.customer == whole.customer
        and all(whole.subscriptions.get(id) == s for id, s in part.subscriptions.items())
        and all(whole.entities.get(id) == entity for id, entity in part.entities.items())
        and all(whole.balances.get(key) == part.balances[key] for key in keys)
    )
