"""One browser for the tests of the console's pages, and tabs of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.e2e.browser import browser
from tests.e2e.console.tab import PATIENCE_MS, WIDTHS, Tab
from tests.e2e.fixture import Shop
from tollgate_cli.stack import Stack


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="package")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """What all tabs share: the files that the browser keeps, and nothing of who is signed in."""
    context = chromium.new_context(locale="en-US")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def tab_of(context: BrowserContext, stack: Stack, width: str) -> Iterator[Tab]:
    page = context.new_page()
    yield Tab(page, stack, *WIDTHS[width])
    page.close()


@pytest.fixture(params=WIDTHS)
def fresh(request: pytest.FixtureRequest, context: BrowserContext, stack: Stack) -> Iterator[Tab]:
    """A new tab, at each width."""
    yield from tab_of(context, stack, request.param)


@pytest.fixture
def both(fresh: Tab, shop: Shop, stack: Stack) -> Tab:
    """A tab that is signed in, at each width: for a page's main action."""
    assert shop
    return fresh.signed_in(stack.secret_key)


@pytest.fixture
def phone(context: BrowserContext, shop: Shop, stack: Stack) -> Iterator[Tab]:
    """A tab that is signed in, at the width of a phone, where there is the least room; it is looked at in both."""
    assert shop
    for tab in tab_of(context, stack, "phone"):
        yield tab.signed_in(stack.secret_key)
