"""Connections to an endpoint of AWS's that are kept open, and what became of a request that failed on one.

Nothing is ever sent twice here. A request that certainly did not leave is `NotSent`; one of which as much as a byte may
have left is `NoAnswer`, unless a whole answer came.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
import zlib
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

CONNECT_SECONDS = 1.0
READ_SECONDS = 1.5
IDLE_SECONDS = 20.0  # after so long a connection is made anew: something between may have forgotten it
MOST_KEPT = 32  # idle connections; a function needs one


class NotSent(Exception):
    """The request was not sent."""


class NoAnswer(Exception):
    """The request may have been sent, and no whole answer to it came."""


class HttpAnswer(NamedTuple):
    """A whole answer. `date`: the server's time, as it wrote it."""

    status: int
    body: bytes
    date: str | None


@cache
def _default_context() -> ssl.SSLContext:
    """What certificates are verified with: the machine's authorities, which take long to load, once for all services."""
    return ssl.create_default_context()


class _Connection(NamedTuple):
    socket: socket.socket
    used_at: float  # epoch seconds: a clock that goes on while the process is frozen


class Connections:
    """Connections to one endpoint (`http://host:port` or `https://host`), as many as are used at one time."""

    def __init__(
        self, endpoint: str, *, context: ssl.SSLContext | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{endpoint!r} is no address of a service")
        secure = address.scheme == "https"
        self.host = address.netloc.rpartition("@")[2]
        self._address = (address.hostname, address.port or (443 if secure else 80))
        self._context = (context or _default_context()) if secure else None
        self._clock = clock
        self._idle: deque[_Connection] = deque(maxlen=MOST_KEPT)

    def post(self, head: bytes, body: bytes) -> HttpAnswer:
        """The answer to one request: `head` are its lines up to the empty one. Raises NotSent or NoAnswer."""
        connection = self._usable() or self._connected()
        try:
            answer, open = self._exchanged(connection, head + body)
        except BaseException:
            connection.close()
            raise
        if open:
            self._idle.append(_Connection(connection, self._clock()))
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Closes what is kept open."""
        while self._idle:
            self._idle.pop().socket.close()

    def _usable(self) -> socket.socket | None:
        """A connection that is open still: the one used last. Others than that are closed."""
        while self._idle:
            try:
                found = self._idle.pop()
            except IndexError:  # another thread took it
                return None
            fresh = 0 <= self._clock() - found.used_at < IDLE_SECONDS
            if fresh and not select.select([found.socket], [], [], 0)[0]:  # readable: it was closed, or is out of step
                return found.socket
            found.socket.close()
        return None

    def _connected(self) -> socket.socket:
        raw = None
        try:
            raw = socket.create_connection(self._address, CONNECT_SECONDS)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made = raw if self._context is None else self._context.wrap_socket(raw, server_hostname=self._address[0])
            made.settimeout(READ_SECONDS)
        except OSError as error:  # among them ssl.SSLError: a certificate that is not the host's
            if raw is not None:
                raw.close()
            raise NotSent(f"no connection to {self._address[0]}: {error}") from error
        return made

    def _exchanged(self, connection: socket.socket, request: bytes) -> tuple[HttpAnswer, bool]:
        try:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection, method="POST")
            try:
                answer.begin()
                body = answer.read()
            finally:
                answer.close()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"no answer from {self._address[0]}: {error!r}") from error
        checksum = answer.headers.get("x-amz-crc32")
        try:
            damaged = checksum is not None and int(checksum) != zlib.crc32(body)
        except ValueError as error:
            raise NoAnswer("the answer's checksum is none") from error
        if damaged:
            raise NoAnswer("the answer was damaged on its way")
        return HttpAnswer(answer.status, body, answer.headers.get("date")), not answer.will_close
