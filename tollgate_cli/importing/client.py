"""Calls of a service that is only read: within its rate limit, and again where an answer did not come whole."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import httpx

from tollgate.domain.errors import InvalidInput
from tollgate.exact_json import dumps, loads

TRIES = 8
"""Of one call whose answers fail; a 429 is no failure, but for MOST_WAITS of them."""
MOST_WAITS = 60
LONGEST_PAUSE = 60.0
"""Seconds, between two tries, unless the service asks for more: for an hour at most."""
_LONGEST_ASKED = 3600.0
_FIRST_PAUSE = 0.25


class SourceError(RuntimeError):
    """A service cannot be read, or answers something that cannot be understood."""


class NoSource(SourceError):
    """What names the service, or its key, is wrong; nothing was called."""


class Refusal(SourceError):
    """A service refused a call, with this status."""

    def __init__(self, call: str, status: int, words: str) -> None:
        super().__init__(f"{call}: {status} {words}".rstrip())
        self.status = status
        self.words = words


class Counts(NamedTuple):
    """How many calls were made, and how many of those because an answer had failed, or had asked to wait."""

    calls: int
    repeated: int
    told_to_wait: int


class Pace:
    """At most `rate` calls a second (None: as many as there are), whichever thread makes them."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Blocks until the next call may be made."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._gap
        if at > now:
            time.sleep(at - now)

    def pause(self, seconds: float) -> None:
        """Holds back all calls that are still to be made for so long: the service asked for it."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class Client:
    """One service under one key. Only calls that change nothing may be made: each may be sent more than once."""

    def __init__(self, url: str, headers: Mapping[str, str], secret: str, rate: float | None, connections: int) -> None:
        self._secret = secret
        self._pace, self._slow = Pace(rate), Pace(None)
        self._lock = threading.Lock()
        self._counts = Counts(0, 0, 0)
        try:
            scheme = urlsplit(url).scheme
            if scheme not in ("http", "https"):
                raise NoSource(f"{url} is no address of an API: it must begin with https:// or http://")
            limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
            self._http = httpx.Client(
                base_url=url.rstrip("/"), headers=dict(headers), limits=limits, timeout=60, trust_env=False
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise NoSource(f"{url} is no address of an API ({type(error).__name__})") from None

    @property
    def counts(self) -> Counts:
        """What was called so far."""
        return self._counts

    def slower(self, rate: float) -> None:
        """Calls that say `slow` are made at most so often a second."""
        self._slow = Pace(rate)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The answer to a GET, with exact numbers. Raises SourceError."""
        return self._read("GET", path, None, query)

    def post(self, path: str, body: Any, *, slow: bool = False) -> Any:
        """The answer to a POST that only asks, with exact numbers. Raises SourceError."""
        return self._read("POST", path, body, None, slow=slow)

    def _read(self, method: str, path: str, body: Any, query: Mapping[str, Any] | None, *, slow: bool = False) -> Any:
        call, content = f"{method} {path}", None if body is None else dumps(body)
        failed, waited, problem = 0, 0, ""
        while failed < TRIES and waited < MOST_WAITS:
            for pace in (self._slow, self._pace) if slow else (self._pace,):
                pace.wait()
            self._count(failed + waited)
            try:
                answer = self._http.request(
                    method, path, content=content, params=_params(query), headers=_JSON if content else None
                )
                if answer.is_success:
                    return loads(answer.text)
                problem = f"{answer.status_code} {self._words(answer)}"
            except (httpx.TransportError, InvalidInput) as error:  # no answer, a cut one, or one that is no JSON
                answer, problem = None, self._without_secret(str(error) or type(error).__name__)
            if answer is None or answer.status_code >= 500:
                failed += 1
                self._sleep(failed, answer)
            elif answer.status_code == 429:
                waited += 1
                self._sleep(min(waited, TRIES), answer, everybody=True)
            else:
                raise Refusal(call, answer.status_code, self._words(answer))
        raise SourceError(f"{call}: no answer after {failed + waited} tries; the last: {problem}")

    def _sleep(self, number: int, answer: httpx.Response | None, *, everybody: bool = False) -> None:
        """Waits as long as the answer asks for; else longer with each try, by chance, so that threads spread."""
        asked = None if answer is None else _retry_after(answer)
        seconds = asked
        if seconds is None:
            seconds = min(LONGEST_PAUSE, _FIRST_PAUSE * 2**number) * random.uniform(0.5, 1)
        if everybody:
            with self._lock:
                self._counts = self._counts._replace(told_to_wait=self._counts.told_to_wait + 1)
            self._pace.pause(seconds)
        else:
            time.sleep(seconds)

    def _count(self, again: int) -> None:
        with self._lock:
            calls, repeated, told = self._counts
            self._counts = Counts(calls + 1, repeated + bool(again), told)

    def _words(self, answer: httpx.Response) -> str:
        try:
            said = answer.json()
            text = next(str(said[name]) for name in ("message", "detail", "error") if name in said)
        except (ValueError, TypeError, StopIteration, UnicodeDecodeError):
            text = answer.text[:200]
        return self._without_secret(text)

    def _without_secret(self, text: str) -> str:
        return text.replace(self._secret, "…") if self._secret else text


_JSON = {"content-type": "application/json"}


def _params(query: Mapping[str, Any] | None) -> list[tuple[str, Any]] | None:
    if query is None:
        return None
    return [
        (name, str(each))
        for name, value in query.items()
        for each in (value if isinstance(value, list | tuple) else (value,))
    ]


def _retry_after(answer: httpx.Response) -> float | None:
    """The seconds that an answer asks to wait (a number, or a date); None where it says nothing."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return min(_LONGEST_ASKED, max(0.0, seconds)) if seconds == seconds else None


def if_there(read: Callable[[], Any]) -> Any:
    """What a call answers; None where the service says that there is no such thing (404). Raises SourceError."""
    try:
        return read()
    except Refusal as refusal:
        if refusal.status == 404:
            return None
        raise


def part(id: str) -> str:
    """An id as one part of a path, slashes and all."""
    return quote(id, safe="")
