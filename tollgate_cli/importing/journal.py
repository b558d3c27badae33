"""How far an import is: a SQLite file, so that it can be interrupted at any instant and gone on with.

| table | holds |
|---|---|
| `about` | what is imported from where to where, how far the lists are read, when the reading began |
| `entries` | what the lists say, by customer, until the customer was compared |
| `customers` | what became of each customer |
| `told` | what cannot be carried over, and what differs |

It holds what a service says of customers, e-mail addresses among it (unless they are left out), and no key.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tollgate.exact_json import dumps, loads
from tollgate_cli.importing.source import Entries, Page

FORMAT = "tollgate-import/1"
READ, WRITTEN, THERE, UNFIT, FAILED = "read", "written", "there", "unfit", "failed"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
  side TEXT NOT NULL, customer TEXT NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, said TEXT NOT NULL,
  PRIMARY KEY (side, customer, kind, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS customers (
  id TEXT PRIMARY KEY, state TEXT NOT NULL, compared INTEGER NOT NULL DEFAULT 0, read_at INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
  customer TEXT NOT NULL, feature TEXT NOT NULL, entity TEXT NOT NULL, what TEXT NOT NULL, here TEXT, there TEXT,
  reason TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS told_of ON told (customer);
CREATE INDEX IF NOT EXISTS in_state ON customers (state, compared);
"""


class JournalError(RuntimeError):
    """The journal cannot be used: it is none, or one of another import."""


class Told(NamedTuple):
    """Something that is not as it was: at the vendor's, and here."""

    customer: str
    feature: str
    entity: str
    what: str
    source: str | None
    here: str | None
    reason: str


class Journal:
    """One import's. Threads may share it. Every method is one transaction."""

    def __init__(self, path: Path | None, about: dict[str, str]) -> None:
        """Opens or begins a journal (None: one that is kept nowhere). Raises JournalError."""
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
            known = dict(self._db.execute("SELECT name, value FROM about"))
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{path}: is no journal of an import ({error})") from error
        if path is not None:
            path.chmod(0o600)
        for name, value in {"format": FORMAT, **about}.items():
            if known.get(name, value) != value:
                raise JournalError(
                    f"{path}: is the journal of another import: {name} is {known[name]} there, and {value} here. "
                    "Take another --journal, or remove it to begin anew"
                )
            self.set(name, value)

    def close(self) -> None:
        """Leaves it as it is."""
        with self._lock:
            self._db.close()

    def get(self, name: str) -> str | None:
        """A word that was set."""
        with self._lock:
            entry = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if entry is None else str(entry[0])

    def set(self, name: str, value: str) -> None:
        """Keeps a word."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def keep(self, side: str, kind: str, page: Page, now: int) -> None:
        """Keeps a page of a list, read now (epoch ms), and where the next one begins. What was kept already is kept once."""
        with self._writing():
            for customer, said in page.entries:
                text = dumps(said)
                entries = self._db.execute(
                    "SELECT number, said FROM entries WHERE side = ? AND customer = ? AND kind = ?",
                    (side, customer, kind),
                ).fetchall()
                if any(known == text for _, known in entries):
                    continue
                number = 0 if kind == "customers" else len(entries)
                self._db.execute(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", (side, customer, kind, number, text)
                )
                if kind == "customers" and side == "source":
                    self._known(customer, now)
            self.set(f"{side} {kind}", "" if page.next is None else page.next)
            if page.next is None:
                self.set(f"{side} {kind} is whole", "yes")

    def keep_entries(self, side: str, customer: str, entries: Entries, now: int) -> None:
        """Keeps what all lists say of one customer, read now (epoch ms)."""
        with self._writing():
            self._db.execute("DELETE FROM entries WHERE side = ? AND customer = ?", (side, customer))
            for kind, shown in entries.items():
                for number, said in enumerate(shown):
                    self._db.execute(
                        "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (side, customer, kind, number, dumps(said))
                    )
            if side == "source":
                self._known(customer, now)

    def _known(self, customer: str, now: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO customers (id, state) VALUES (?, ?)", (customer, READ))
        self._db.execute("UPDATE customers SET read_at = ? WHERE id = ?", (now, customer))

    def state(self, customer: str) -> tuple[str, int]:
        """A customer's state, and when it was read (epoch ms)."""
        with self._lock:
            found = self._db.execute("SELECT state, read_at FROM customers WHERE id = ?", (customer,)).fetchone()
        return str(found[0]), int(found[1])

    def cursor(self, side: str, kind: str) -> str | None:
        """Where reading a list goes on; None: it is read to its end."""
        return None if self.get(f"{side} {kind} is whole") else self.get(f"{side} {kind}") or ""

    def entries(self, side: str, customer: str) -> Entries:
        """What the lists said of a customer."""
        with self._lock:
            found = self._db.execute(
                "SELECT kind, said FROM entries WHERE side = ? AND customer = ? ORDER BY kind, number", (side, customer)
            ).fetchall()
        entries: dict[str, list[object]] = {}
        for kind, said in found:
            entries.setdefault(kind, []).append(loads(said))
        return entries  # type: ignore[return-value]

    def forget(self, *sides: str) -> None:
        """Forgets what the lists of these sides said, and that they were read: they are read anew."""
        with self._writing():
            for side in sides:
                self._db.execute("DELETE FROM entries WHERE side = ?", (side,))
                self._db.execute("DELETE FROM about WHERE name LIKE ?", (f"{side} %",))

    def begin_again(self) -> None:
        """What was told is found anew, and every customer is compared anew."""
        self.forget("source", "target")
        with self._writing():
            self._db.execute("DELETE FROM told")
            self._db.execute("UPDATE customers SET compared = 0")
            self._db.execute("UPDATE customers SET state = ? WHERE state IN (?, ?)", (READ, UNFIT, FAILED))

    def customers(self, state: str | None = None, *, compared: bool | None = None) -> Iterator[str]:
        """The ids of the customers that are in a state, in order, a few at a time."""
        after = ""
        asked = "SELECT id FROM customers WHERE id > ?" + ("" if state is None else " AND state = ?")
        asked += ("" if compared is None else f" AND compared = {int(compared)}") + " ORDER BY id LIMIT 500"
        while True:
            with self._lock:
                found = self._db.execute(asked, (after,) if state is None else (after, state)).fetchall()
            if not found:
                return
            yield from (id for (id,) in found)
            after = found[-1][0]

    def note(self, customer: str, state: str, told: Sequence[Told]) -> None:
        """What became of a customer that was to be written."""
        with self._writing():
            self._db.execute("UPDATE customers SET state = ? WHERE id = ?", (state, customer))
            self._tell(told)

    def note_compared(self, customer: str, told: Sequence[Told]) -> None:
        """What differs of a customer; what the lists said of it is needed no more."""
        with self._writing():
            self._db.execute("UPDATE customers SET compared = 1 WHERE id = ?", (customer,))
            self._tell(told)

    def tell(self, told: Sequence[Told]) -> None:
        """Keeps what is told of the catalog."""
        with self._writing():
            self._tell(told)

    def _tell(self, told: Sequence[Told]) -> None:
        for each in told:
            known = self._db.execute(
                "SELECT 1 FROM told WHERE customer = ? AND feature = ? AND entity = ? AND what = ? AND reason = ?",
                (each.customer, each.feature, each.entity, each.what, each.reason),
            ).fetchone()
            if known is None:
                self._db.execute("INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?)", each)

    def told(self) -> Iterator[Told]:
        """All that was told, ordered by customer, a few at a time."""
        last = ("", 0)
        asked = "SELECT rowid, * FROM told WHERE (customer, rowid) > (?, ?) ORDER BY customer, rowid LIMIT 500"
        while True:
            with self._lock:
                found = self._db.execute(asked, last).fetchall()
            if not found:
                return
            for entry in found:
                yield Told(*entry[1:])
            last = (found[-1][1], found[-1][0])

    def told_of(self, customer: str) -> list[Told]:
        """What was told of one customer."""
        with self._lock:
            found = self._db.execute("SELECT * FROM told WHERE customer = ? ORDER BY rowid", (customer,)).fetchall()
        return [Told(*entry) for entry in found]

    def counts(self) -> Counter[str]:
        """How many customers are in each state, and how many are `compared`."""
        with self._lock:
            found = self._db.execute("SELECT state, count(*), sum(compared) FROM customers GROUP BY state").fetchall()
        counted = Counter({state: number for state, number, _ in found})
        counted["compared"] = sum(compared for _, _, compared in found)
        return counted

    def differences(self) -> int:
        """How much was told."""
        with self._lock:
            (number,) = self._db.execute("SELECT count(*) FROM told").fetchone()
        return int(number)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
