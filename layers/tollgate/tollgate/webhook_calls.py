"""Calls to addresses that callers chose: to the public internet alone, and not for long (management.md 15.4).

A name is resolved once, and what is connected to is the very address that was looked at. So a name that resolves to
something else the next time leads nowhere either. A redirect is an answer like any other.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from tollgate.domain.webhooks import is_loopback, is_public

RESOLVE_SECONDS = 3.0
CONNECT_SECONDS = 3.0
SECONDS = 10.0  # for the call, once connected
MOST_BYTES = 64 * 1024  # of an answer's body that are read


class Outcome(NamedTuple):
    """The status of an answer, or why there was none; and how long it took."""

    status: int | None
    error: str | None
    took_ms: int


def call(url: str, body: bytes, headers: Mapping[str, str], *, loopback: bool, seconds: float = SECONDS) -> Outcome:
    """Posts a body. Never raises for what the other side does. `loopback`: whether it may be this machine."""
    started = time.monotonic()

    def took() -> int:
        return int((time.monotonic() - started) * 1000)

    parts = urlsplit(url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    try:
        address = _address(host, port, loopback=loopback)
        if address is None:
            return Outcome(None, "the host's address is not a public one", took())
        sock = socket.create_connection((address, port), CONNECT_SECONDS)
        with _Watched(sock, seconds) as watched:
            if secure:
                watched.secure(host)
            return Outcome(_posted(watched.sock, parts.netloc, _target(parts), body, headers), None, took())
    except (OSError, http.client.HTTPException, ValueError) as error:
        if took() >= seconds * 1000:
            return Outcome(None, f"no answer within {seconds:g} seconds", took())
        return Outcome(None, f"{type(error).__name__}: {error}"[:200], took())


def _address(host: str, port: int, *, loopback: bool) -> str | None:
    """The address to connect to: the first that the name has. None where any of them must not be called."""
    resolver = ThreadPoolExecutor(1)  # a resolver knows no time-out
    try:
        known = resolver.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM).result(RESOLVE_SECONDS)
    finally:
        resolver.shutdown(wait=False)
    found = [str(one[4][0]) for one in known]
    allowed = all(is_public(one) or (loopback and is_loopback(one)) for one in found)
    return found[0] if found and allowed else None


def _posted(sock: socket.socket, netloc: str, target: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The answer's status. What follows its headers is read as far as it is small, and not looked at."""
    connection = http.client.HTTPConnection(netloc.rpartition("@")[2])
    connection.sock = sock
    connection.request("POST", target, body, {"host": netloc, "connection": "close", **headers})
    answer = connection.getresponse()
    if len(answer.read(MOST_BYTES + 1)) > MOST_BYTES:
        raise ValueError(f"the answer has more than {MOST_BYTES} bytes")
    return answer.status


def _target(parts: object) -> str:
    path, query = getattr(parts, "path", "") or "/", getattr(parts, "query", "")
    return f"{path}?{query}" if query else path


class _Watched:
    """A socket that is shut when its time is over: a time-out of its own counts from each byte anew."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self.sock = sock
        sock.settimeout(seconds)
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def secure(self, host: str) -> None:
        """Speaks TLS from here on. Raises OSError where the other side is not that host."""
        context = ssl.create_default_context()
        self.sock = secure = context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
        secure.do_handshake()

    def _shut(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already

    def __enter__(self) -> _Watched:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.sock.close()
