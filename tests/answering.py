"""A server on this machine that answers every call alike, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import simplejson

from tollgate_cli.servers import HOST


class Answering:
    """What the server answers: `by_call` by the call's path, else `status` and `content`."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.content = b"{}"
        self.by_call: dict[str, Any] = {}
        self.asked: list[tuple[str, bytes]] = []

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body for a path."""
        if path in self.by_call:
            return 200, simplejson.dumps(self.by_call[path]).encode()
        return self.status, self.content


@contextmanager
def answering() -> Iterator[Answering]:
    """The server, while it runs."""
    told = Answering()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            told.asked.append((self.path, body))
            status, content = told.answer(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Who hangs up is no concern of the server's."""

    with Server((HOST, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        told.url = f"http://{HOST}:{server.server_port}"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
