"""Services over HTTP in the test's process: Tollgate's own functions, or whatever a test answers."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.http_events import authorized, http_event


class Asked(NamedTuple):
    """A call that came."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    headers: Mapping[str, str]
    raw_query: str = ""
    text: str | None = None


class Said(NamedTuple):
    """What is answered: a JSON value, or text as it is; `cut` bytes of it are kept back and the connection is closed."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}
    cut: int = 0


Answers = Callable[[Asked], Said]


@contextmanager
def served(answers: Answers) -> Iterator[str]:
    """A server on 127.0.0.1 that answers so; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer leaves in one piece

        def answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("content-length", 0))
            text = self.rfile.read(length).decode() if length else None
            said = answers(
                Asked(
                    self.command,
                    parts.path,
                    parse_qs(parts.query),
                    json.loads(text) if text else None,
                    {name.lower(): value for name, value in self.headers.items()},
                    parts.query,
                    text,
                )
            )
            content = (said.body if isinstance(said.body, str) else json.dumps(said.body)).encode()
            self.send_response(said.status)
            for name, value in {"content-type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) - said.cut])
            if said.cut:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - as the library calls them

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has gone is none of the server's troubles."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tollgate(environments: Mapping[str, str]) -> Answers:
    """Tollgate's functions, as they were started last in this process (`a_place`) and are routed in the stack; what they
    answer is not held against the documents, as it is long. `environments`: which one each key opens."""
    lock = threading.Lock()

    def answers(asked: Asked) -> Said:
        key = asked.headers.get("x-api-key") or asked.headers.get("authorization", "").removeprefix("Bearer ")
        environment = environments.get(key)
        if environment is None:
            return Said({"message": "Unauthorized"}, 401)
        event = http_event(
            f"{asked.method} {asked.path}", asked.text, headers=dict(asked.headers), query=asked.raw_query
        )
        handler = importlib.import_module(f"functions.{_function(asked)}.app").handler
        with lock:
            answer = handler(authorized(event, environment=environment), None)
        return Said(answer["body"], answer["statusCode"])

    return answers


def _function(asked: Asked) -> str:
    if asked.path.startswith("/api/"):
        return "metric_access" if asked.method == "GET" else "lotus"
    if "x-api-key" in asked.headers:
        return "entitlements"
    name = asked.path.removeprefix("/v1/").removeprefix("balances.")
    return name if name in ("check", "track") else "manage"
