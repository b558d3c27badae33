"""Connections to an endpoint of AWS's that are kept open, and what became of a request that failed on one.

Nothing is ever sent twice here. A request that certainly did not leave is `NotSent`; one of which as much as a byte may
have left is `NoAnswer`, unless a whole answer came.
"""

from __future__ import annotations

import http.client
import re
import select
import socket
import ssl
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

CONNECT_SECONDS = 1.0
READ_SECONDS = 1.5
IDLE_SECONDS = 20.0  # after so long a connection is made anew: something between may have forgotten it
LONGEST_LINE = 65536  # bytes of a line of an answer's head
MOST_HEADERS = 100
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([2-5]\d\d)(?: [^\r\n]*)?\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r?\n")
_LENGTHS = ("content-length", "transfer-encoding")  # what says where a body ends
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


class _Response(http.client.HTTPResponse):
    """http.client's answer with its head read into `fields` (names in lower case), for what a JSON service sends.

    The library reads a head with the parser of e-mails, which was a tenth of the CPU of a counted use. Bodies, also
    those in chunks, are still the library's. Raises http.client.HTTPException for a head that is none.
    """

    fields: Mapping[str, str] = MappingProxyType({})

    def begin(self) -> None:
        """Reads the head, and says how long the body is."""
        line = self._line()
        found = _STATUS_LINE.fullmatch(line)
        if not found:
            raise http.client.BadStatusLine(repr(line))
        self.version, self.status, self.code = 10 + int(found[1]), int(found[2]), int(found[2])
        self.fields = fields = self._fields()
        encoding = fields.get("transfer-encoding", "").lower()
        if encoding not in ("", "chunked"):
            raise http.client.UnknownTransferEncoding(encoding)
        self.chunked, self.chunk_left = encoding == "chunked", None
        length = fields.get("content-length")
        if self.status in (204, 304):
            self.length = 0
        elif self.chunked or length is None:
            self.length = None
        elif length.isascii() and length.isdigit():
            self.length = int(length)
        else:
            raise http.client.HTTPException(f"an answer {length!r} bytes long")
        wish = fields.get("connection", "").lower()
        ends = "close" in wish or (self.version == 10 and "keep-alive" not in wish)
        self.will_close = ends or (self.length is None and not self.chunked)

    def _fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while (line := self._line()) not in (b"\r\n", b"\n"):
            found = _HEADER.fullmatch(line)
            if not found:
                raise http.client.HTTPException(f"a header that is none: {line!r}")
            name, value = found[1].decode("latin-1").lower(), found[2].decode("latin-1")
            if name in _LENGTHS and fields.get(name, value) != value:
                raise http.client.HTTPException(f"two headers {name} that differ")
            fields[name] = value
            if len(fields) > MOST_HEADERS:
                raise http.client.HTTPException(f"more than {MOST_HEADERS} headers")
        return fields

    def _line(self) -> bytes:
        line = self.fp.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise http.client.LineTooLong("head")
        if not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("the answer ends in its head")
        return line


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
            answer = _Response(connection, method="POST")
            try:
                answer.begin()
                body = answer.read()
            finally:
                answer.close()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"no answer from {self._address[0]}: {error!r}") from error
        checksum = answer.fields.get("x-amz-crc32")
        try:
            damaged = checksum is not None and int(checksum) != zlib.crc32(body)
        except ValueError as error:
            raise NoAnswer("the answer's checksum is none") from error
        if damaged:
            raise NoAnswer("the answer was damaged on its way")
        return HttpAnswer(answer.status, body, answer.fields.get("date")), not answer.will_close
