"""What a reader of a vendor's API offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from tollgate.dialects.fields import iso_ms
from tollgate.domain.environments import Environment
from tollgate_cli.catalog.shapes import Body
from tollgate_cli.importing.client import Client, SourceError
from tollgate_cli.importing.records import CustomerRecord, Note

Shown = Mapping[str, Any]
"""A thing as a vendor answers it."""
Entries = Mapping[str, Sequence[Shown]]
"""What lists say of one customer, by the kind of list."""


class Page(NamedTuple):
    """A page of a list: each entry with the customer that it is of, and the cursor of the next page (None: the last)."""

    entries: list[tuple[str, Shown]]
    next: str | None


class PlanVersion(NamedTuple):
    """One version of a plan: its body as a catalog file says it, and when it was made (epoch ms; 0: not said)."""

    body: Body
    version: int = 1
    created_at: int = 0


@dataclass
class SourceCatalog:
    """Features and plans as a vendor has them, in the words of a catalog file, and what of them cannot be said so."""

    features: list[Body] = field(default_factory=list)
    plans: list[PlanVersion] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class Question(NamedTuple):
    """A check: may this customer (or its entity) use so much of a feature now?"""

    customer_id: str
    feature_id: str
    entity_id: str = ""
    required: Any = None
    properties: Mapping[str, Any] | None = None


class Source(Protocol):
    """A service that is read under one key. `read_at` is epoch ms. Every method raises SourceError."""

    vendor: str
    client: Client
    kinds: tuple[str, ...]
    """The lists that are read page by page, those of customers last."""
    counts_checks: bool
    """Whether what a check answers is more than the records say already."""

    def environment(self) -> Environment | None:
        """The environment that the key opens; None where the service does not say."""
        ...

    def catalog(self) -> SourceCatalog:
        """All features and plans."""
        ...

    def page(self, kind: str, cursor: str) -> Page:
        """A page of a list; the first has no cursor."""
        ...

    def entries(self, customer_id: str) -> Entries | None:
        """The same of one customer alone; None where there is none."""
        ...

    def record(self, customer_id: str, entries: Entries, read_at: int) -> CustomerRecord:
        """What these entries, and what else is asked for, say of a customer."""
        ...

    def check(self, question: Question) -> dict[str, Any]:
        """What a check answers, as far as both services can say it. It counts nothing."""
        ...


class Misread(SourceError):
    """An answer is not as the vendor's documents say."""


def time_of(text: Any) -> int | None:
    """A time that an answer holds as text, in epoch ms; None for none, which Go's zero time is too. Raises Misread."""
    if not text or str(text).startswith("0001-"):
        return None
    try:
        return iso_ms(str(text))
    except ValueError:
        raise Misread(f"{text} is no time") from None


def field_of(shown: Any, name: str, where: str) -> Any:
    """A field that an answer must have. Raises Misread, which names it."""
    try:
        return shown[name]
    except (KeyError, TypeError, IndexError):
        raise Misread(f"{where}: {name} is missing in the answer") from None


def instant_of(shown: Any, name: str, where: str) -> int:
    """A time that an answer must have, in epoch ms. Raises Misread, which names it."""
    found = time_of(field_of(shown, name, where))
    if found is None:
        raise Misread(f"{where}: {name} is no time")
    return found
