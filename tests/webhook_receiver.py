"""An address that webhooks are told at: a server on this machine that keeps what it gets and answers as it is told to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Received(NamedTuple):
    """One call: header names are lower case."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """`url` is its address, `got` what came. `status`, `headers` and `body` are its answer, which waits for `release`."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiver(secure: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that runs meanwhile; with a context it speaks TLS."""
    state = Receiver()
    state.release.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            state.got.append(Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            state.release.wait(60)
            self.send_response(state.status)
            for name, value in {"content-length": str(len(state.body)), **state.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # whoever called has gone
        if secure:
            server.socket = secure.wrap_socket(server.socket, server_side=True)
        state.url = f"http{'s' if secure else ''}://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield state
        finally:
            state.release.set()
            server.shutdown()
