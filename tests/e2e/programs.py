"""Applications that use a vendor's client, each a process of its own: in another language, or with other dependencies."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from tests.conftest import ROOT
from tollgate_cli.servers import HOST, TOOLS
from tollgate_cli.stack import Stack

NODE = TOOLS / "node"
CLIENTS = ROOT / "tests" / "clients"
PATIENCE_SECONDS = 120.0


class Program:
    """A running one. It reads lines of JSON, `[what, ...arguments]`, and answers each with a line of JSON."""

    def __init__(self, *command: str | Path) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={}
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def line(self) -> str:
        """The next line it prints."""
        assert select.select([self._stdout], [], [], PATIENCE_SECONDS)[0], "the program does not answer"
        line = self._stdout.readline()
        assert line, "the program has ended"
        return line.rstrip()

    def __call__(self, what: str, *arguments: Any, **named: Any) -> Any:
        self._stdin.write(json.dumps([what, *arguments, *([named] if named else [])]) + "\n")
        self._stdin.flush()
        return json.loads(self.line())

    def stop(self) -> None:
        """Its input ends, and so does it."""
        self._stdin.close()
        try:
            status = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._stdout.close()
        assert status == 0


@contextmanager
def running(*command: str | Path) -> Iterator[Program]:
    program = Program(*command)
    try:
        yield program
    finally:
        program.stop()


def script(name: str, *arguments: str) -> tuple[str | Path, ...]:
    """The command of a JavaScript program."""
    return (NODE, CLIENTS / name, *arguments)


class Application:
    """A backend that mounts autumn-js's handler, and pages in jsdom that call it."""

    def __init__(self, stack: Stack, version: str) -> None:
        self._version = version
        self._server = Program(*script("backend.mjs", stack.url, stack.secret_key, version))
        self.url = self._server.line()

    def page(self, customer: str, *call: Any) -> Any:
        """What a page shows that uses a hook, and what the calls of it gave."""
        with running(*script("react.mjs", self.url, customer, self._version)) as page:
            return page(*call)

    def send(self, customer: str | None, route: str, **body: Any) -> httpx.Response:
        headers = {} if customer is None else {"x-customer": customer}
        return httpx.post(f"{self.url}/api/autumn/{route}", json=body, headers=headers, timeout=60, trust_env=False)

    def stop(self) -> None:
        self._server.stop()


@contextmanager
def without_a_path(url: str) -> Iterator[str]:
    """An address that has no path, as AWS's has none, and leads to this one that has: some clients resolve paths like
    `/v1/check` against the address they are given, and so lose what path it has."""

    class Forward(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() in SENT}
            answer = http.request(self.command, url + self.path, content=body, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", "application/json"))
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with (
        httpx.Client(timeout=30, trust_env=False) as http,
        ThreadingHTTPServer((HOST, 0), Forward) as server,
    ):
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


SENT = {"accept", "authorization", "content-type", "idempotency-key", "x-api-key", "x-api-version"}
