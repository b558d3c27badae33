"""A page of another origin, in a real browser: what its scripts may ask of the deployed stack.

Rules: management.md 14. The pages are served by the browser's own routing, so their origins need no server.

The emulator answers every preflight itself, and knows no OPTIONS routes. So a server stands before it here that does with
a preflight what API Gateway does: it takes the route that the deployed API has for it, and calls that route's function.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.browser import browser
from tests.e2e.fixture import Shop, monthly
from tests.http_events import http_event
from tollgate_cli.deploy import local_parameters
from tollgate_cli.stack import Stack

NAMED = local_parameters()["BrowserOrigins"].split(",")
OTHER = "http://localhost:4999"

FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        return [answer.status, await answer.json()];
    } catch (error) {
        return [0, String(error)];
    }
}"""


class Gateway:
    """The deployed API, with its OPTIONS routes."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        gateway, api = stack.client("apigatewayv2"), stack.outputs["ApiUrl"].split("//")[1].split(".")[0]
        self._routes = {one["RouteKey"]: one for one in gateway.get_routes(ApiId=api, MaxResults="500")["Items"]}
        self._integrations = {
            one["IntegrationId"]: one["IntegrationUri"]
            for one in gateway.get_integrations(ApiId=api, MaxResults="500")["Items"]
        }

    def preflight(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        """What the function behind the path's route says; without such a route an authorizer misses the key."""
        route = self._routes.get(f"OPTIONS {path}")
        if route is None or route.get("AuthorizationType", "NONE") != "NONE":
            return 401, {}
        uri = self._integrations[route["Target"].removeprefix("integrations/")]
        (name,) = re.findall(r"functions/(?:arn:[^/]*:function:)?([^/:]+)", uri)
        event = http_event(f"OPTIONS {path}", headers=headers)
        called = self._stack.client("lambda").invoke(FunctionName=name, Qualifier="live", Payload=json.dumps(event))
        answer = json.loads(called["Payload"].read())
        return answer["statusCode"], answer["headers"]

    def call(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        """The emulator's own answer."""
        sent = {
            name: value for name, value in headers.items() if name not in ("host", "content-length", "accept-encoding")
        }
        return httpx.request(method, self._stack.url + path, headers=sent, content=body, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    """The address of a gateway before the stack."""
    gateway = Gateway(stack)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            if self.command == "OPTIONS":
                status, answered = gateway.preflight(self.path.partition("?")[0], headers)
                content = b""
            else:
                got = gateway.call(self.command, self.path, headers, body)
                status, answered, content = got.status_code, dict(got.headers), got.content
            self.send_response(status)
            for name, value in answered.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_OPTIONS = _answer  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


def opened(chromium: Browser, origin: str) -> Page:
    """An empty page of that origin."""
    context = chromium.new_context()
    context.grant_permissions(["local-network-access"])  # Chromium asks the user before a page calls this machine
    page = context.new_page()
    page.route(f"{origin}/", lambda route: route.fulfill(content_type="text/html", body="<p>A shop</p>"))
    page.goto(f"{origin}/")
    page.unroute_all()  # while there is a route, Playwright answers preflights itself
    return page


def fetched(page: Page, url: str, **options: Any) -> tuple[int, Any]:
    """Status and body as the page's script reads them; 0 and the error where the browser does not let it."""
    status, body = page.evaluate(FETCH, [url, options])
    return status, body


def post(page: Page, url: str, path: str, key: str, **body: Any) -> tuple[int, Any]:
    text = page.evaluate("JSON.stringify", body)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-api-version": "2.1"}
    return fetched(page, f"{url}/v1/{path}", method="POST", headers=headers, body=text)


@pytest.mark.parametrize("origin", NAMED)
def test_a_page_checks_with_a_publishable_key(
    chromium: Browser, stack: Stack, url: str, shop: Shop, origin: str
) -> None:
    id = shop.customer(monthly(5))
    page = opened(chromium, origin)
    for path in ("check", "balances.check", "entitled"):
        status, answer = post(page, url, path, stack.publishable_key, customer_id=id, feature_id="messages")
        assert (status, answer["allowed"]) == (200, True), path


def test_a_page_reads_lotuss_access(chromium: Browser, stack: Stack, url: str, shop: Shop) -> None:
    id = shop.customer(monthly(5))
    page = opened(chromium, NAMED[0])
    asked = f"{url}/api/metric_access?customer_id={id}&metric_id=nothing"
    status, answer = fetched(page, asked, headers={"x-api-key": stack.publishable_key})
    assert (status, "title" in answer) == (400, True), "a refusal, which the page can read"


def test_a_page_reads_why_it_is_refused(chromium: Browser, stack: Stack, url: str, shop: Shop) -> None:
    id = shop.customer(monthly(5))
    page = opened(chromium, NAMED[0])
    use = {"customer_id": id, "feature_id": "messages", "send_event": True}
    status, answer = post(page, url, "check", stack.publishable_key, **use)
    assert (status, answer["code"]) == (400, "invalid_request")
    status, answer = post(page, url, "check", stack.secret_key, **use)
    assert (status, answer["code"]) == (403, "insufficient_scopes")
    status, answer = post(page, url, "check", "am_pk_test_nobody", **use)
    assert (status, answer["code"]) == (401, "invalid_secret_key")
    assert shop.left(id) == 5


def test_a_page_cannot_call_anything_else(chromium: Browser, stack: Stack, url: str) -> None:
    page = opened(chromium, NAMED[0])
    for key in (stack.publishable_key, stack.secret_key):
        for path in ("customers.list", "balances.track", "keys.create", "customers"):
            assert post(page, url, path, key)[0] == 0, path


def test_a_page_of_another_origin_can_call_nothing(chromium: Browser, stack: Stack, url: str, shop: Shop) -> None:
    id = shop.customer(monthly(5))
    page = opened(chromium, OTHER)
    for key in (stack.publishable_key, stack.secret_key):
        status, error = post(page, url, "check", key, customer_id=id, feature_id="messages", send_event=True)
        assert (status, error) == (0, "TypeError: Failed to fetch")
    assert shop.left(id) == 5
