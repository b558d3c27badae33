"""The console in a browser's tab: signed in, with its calls and what the browser complained of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.browser import AXE
from tollgate_cli.stack import Stack

PATIENCE_MS = 30_000  # of the emulator's cold starts
WIDTHS = {"phone": (375, "dark"), "desk": (1280, "light")}
HEIGHT = 800

expect.set_options(timeout=PATIENCE_MS)


class Tab:
    """A tab, and what the browser complained of."""

    def __init__(self, page: Page, stack: Stack, width: int, scheme: Any) -> None:
        self.page, self.width = page, width
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme=scheme)
        self.complaints: list[str] = []
        self.calls: list[str] = []
        self._url = f"{stack.url}/console"
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda sent: self.calls.append(sent.url.removeprefix(stack.url)))

    def sign_in(self, key: str) -> Tab:
        """Signs in as a person does."""
        self.page.goto(self._url)
        self.page.get_by_label("Secret key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("navigation", name="Console")).to_be_visible()
        return self

    def signed_in(self, key: str) -> Tab:
        """A tab that was signed in before; a test opens its first page."""
        kept = json.dumps({"tollgate-key": key, "tollgate-env": "sandbox"})
        self.page.add_init_script(
            f"Object.entries({kept}).forEach(([name, text]) => sessionStorage.setItem(name, text))"
        )
        return self

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "Failed to load resource" not in text:  # a refusal that the page shows
            self.complaints.append(text)

    def open(self, place: str, title: str) -> Page:
        """The page of that place, when all of it is there."""
        self.page.goto(f"{self._url}#/{place}")
        expect(self.page.get_by_role("heading", level=1, name=title)).to_be_visible()
        self.ready()
        return self.page

    def ready(self) -> None:
        """Waits for what is being read or done."""
        busy = "main:not(:has(.wait, [aria-busy=true], button.main:disabled)) h1"
        self.page.wait_for_selector(busy, timeout=PATIENCE_MS)

    def until(self, done: Callable[[], bool]) -> None:
        """Waits for what the browser tells, such as a call that is routed."""
        for _ in range(PATIENCE_MS // 50):
            if done():
                return
            self.page.wait_for_timeout(50)
        raise TimeoutError("the browser told nothing")

    def check(self) -> None:
        """Nothing was complained of. At both widths, in light and dark: axe finds nothing, and nothing is wider than the
        window."""
        assert not self.complaints
        self.page.evaluate(AXE.read_text())
        for width, scheme in WIDTHS.values():
            colours: Any = scheme
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            self.page.emulate_media(color_scheme=colours)
            found: Any = self.page.evaluate("axe.run()")
            problems = [
                (each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"])
                for each in found["violations"]
            ]
            assert not problems, width
            self.page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")  # charts follow the window
        self.page.set_viewport_size({"width": self.width, "height": HEIGHT})
