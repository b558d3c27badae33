"""The documentation's site as it is built, seen by a browser: it asks no other host, and fits a telephone."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page

from tests.conftest import ROOT
from tests.e2e.browser import browser
from tollgate_cli import site
from tollgate_cli.servers import HOST

BUILT = ROOT / ".local" / "site"
READ = ("index.html", "guides/index.html", "guides/credits.html", "architecture.html", "commands.html", "costs.html")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def built() -> Path:
    site.lay_out()
    done = subprocess.run(
        [ROOT / ".venv-site" / "bin" / "zensical", "build", "--strict", "--clean"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return BUILT


@pytest.fixture(scope="module")
def url(built: Path) -> Iterator[str]:
    with ThreadingHTTPServer((HOST, 0), partial(Quiet, directory=str(built))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_page_is_built_and_names_no_file_of_another_host(built: Path) -> None:
    for _, at in site.pages():
        name = at.with_name("index.html") if at.name == "README.md" else at.with_suffix(".html")
        page = (built / name).read_text()
        assert "<h1" in page, name
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="?([^" >]+)|<link[^>]+href="?([^" >]+)[^>]*>', page)
        assert not [each for pair in loaded for each in pair if re.match(r"(https?:)?//", each)], name


def watched(page: Page) -> tuple[list[str], list[str]]:
    """What the page will ask for, and the errors that it will tell."""
    asked: list[str] = []
    wrong: list[str] = []

    def told(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(message.text)

    page.on("request", lambda request: asked.append(request.url))
    page.on("console", told)
    return asked, wrong


def test_a_browser_asks_no_other_host_and_a_page_fits_a_telephone(url: str) -> None:
    with browser() as chromium:
        for width in (1280, 375):
            page = chromium.new_page(viewport={"width": width, "height": 800})
            asked, wrong = watched(page)
            for name in READ:
                page.goto(f"{url}/{name}", wait_until="load")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            page.goto(f"{url}/architecture.html")
            page.wait_for_selector("div.mermaid", timeout=30_000)  # drawn, with what the site itself carries
            assert not [each for each in asked if not each.startswith((url, "data:", "blob:"))]
            assert wrong == []
            page.close()
