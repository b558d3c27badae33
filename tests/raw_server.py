"""A server that answers each request with the next of the answers that it was given, byte for byte, or in another way."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple


class Say(NamedTuple):
    """What the server does with one request: answers with these bytes, then goes on or closes the connection."""

    answer: bytes
    closes: bool = False


HANG_UP = Say(b"", closes=True)


def http(body: Any = None, status: int = 200, *, raw: bytes | None = None, **headers: str) -> bytes:
    """An answer as DynamoDB sends it, with its length and checksum."""
    content = json.dumps({} if body is None else body).encode() if raw is None else raw
    all_headers = {
        "Content-Length": str(len(content)),
        "x-amz-crc32": str(zlib.crc32(content)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + content


class Request(NamedTuple):
    """A request that came, and the number of the connection that it came on."""

    connection: int
    headers: dict[str, str]
    body: bytes


class RawServer:
    """Listens on 127.0.0.1. `received` are the requests so far; `hang_up_idle` closes what is open and waits for it."""

    def __init__(self, say: list[Say | Callable[[Request], Say]], context: ssl.SSLContext | None) -> None:
        self.say = say
        self.received: list[Request] = []
        self.connections = 0
        self._context = context
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http{'s' if self._context else ''}://{host}:{self.port}"

    def hang_up_idle(self) -> None:
        """Closes the open connections, as a server does that has waited long enough."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def stop(self) -> None:
        self._listener.close()
        self.hang_up_idle()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError, ValueError):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            stream = connection.makefile("rb")
            while stream.readline():
                headers = {}
                while line := stream.readline().decode().strip():
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                request = Request(number, headers, stream.read(int(headers.get("content-length", 0))))
                self.received.append(request)
                said = self.say.pop(0) if self.say else HANG_UP
                said = said(request) if callable(said) and not isinstance(said, Say) else said
                assert isinstance(said, Say)
                connection.sendall(said.answer)
                if said.closes:
                    connection.shutdown(socket.SHUT_RDWR)
                    connection.close()
                    return


@contextmanager
def raw_server(*say: Say | Callable[[Request], Say], context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """A server that does these things in turn."""
    server = RawServer(list(say), context)
    try:
        yield server
    finally:
        server.stop()
