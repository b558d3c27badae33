"""atmn 1.1.25, Autumn's command line for a catalog in code, against a stack of its own: a push makes the catalog what the file says.

Rules: management.md 13.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.e2e.programs import CLIENTS, NODE, without_a_path
from tollgate_cli import stack as local
from tollgate_cli.api import Api
from tollgate_cli.servers import free_port
from tollgate_cli.stack import Stack

ATMN = CLIENTS / "node_modules" / "atmn" / "dist" / "cli.js"
CONFIG = """\
import { feature, item, plan } from 'atmn';

export const calls = feature({ id: 'calls', name: 'Calls', type: 'metered', consumable: true });
export const team = plan({
  id: 'team',
  name: 'Team',
  items: [item({ featureId: calls.id, included: 1000, reset: { interval: 'month' } })],
});
"""


@dataclass(frozen=True)
class Project:
    """A developer's directory, and the keys of both environments."""

    path: Path
    url: str
    stack: Stack

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`atmn`, without a terminal."""
        env = {
            "HOME": str(self.path),
            "PATH": str(NODE.parent),
            "NO_COLOR": "1",
            "ATMN_BACKEND_URL": self.url,
            "ATMN_DISABLE_AUTH_RECOVERY": "1",
            "AUTUMN_SECRET_KEY": self.stack.secret_key,
            "AUTUMN_PROD_SECRET_KEY": self.stack.live_secret_key,
        }
        command: list[str | Path] = [NODE, ATMN, "--headless", *arguments]
        return subprocess.run(
            command, cwd=self.path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )


def project(path: Path, url: str, stack: Stack) -> Project:
    (path / "package.json").write_text('{"name": "app", "type": "module", "private": true}')
    (path / "node_modules").symlink_to(CLIENTS / "node_modules")
    return Project(path, url, stack)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running, server = local.start(free_port(), tmp_path_factory.mktemp("own"), detached=False)
    assert server
    with server:
        yield running


@pytest.fixture(scope="module")
def url(own: Stack) -> Iterator[str]:
    with without_a_path(own.url) as address:
        yield address


@pytest.fixture
def app(tmp_path: Path, url: str, own: Stack) -> Project:
    return project(tmp_path, url, own)


def test_the_catalog_is_listed(app: Project) -> None:
    features = app.run("features")
    assert features.returncode == 0
    assert re.search(r"^messages +Messages +metered +Yes +Active *$", features.stdout, re.MULTILINE)
    plans = app.run("plans")
    assert plans.returncode == 0
    assert re.search(r"^pro +Pro +v1 +Plan ", plans.stdout, re.MULTILINE)


def test_the_local_stacks_address_will_do(tmp_path: Path, own: Stack) -> None:
    done = project(tmp_path, own.url, own).run("features")
    assert done.returncode == 0, done.stderr


def test_it_says_which_environment_a_key_opens(app: Project) -> None:
    done = app.run("env")
    assert done.returncode == 0, done.stderr
    assert "Environment: Sandbox" in done.stdout
    assert "Environment: Production" in app.run("--prod", "env").stdout


def test_customers_are_listed(app: Project) -> None:
    done = app.run("customers")
    assert done.returncode == 0, done.stderr
    assert "customer-1" in done.stdout


def test_events_are_listed(app: Project, own: Stack) -> None:
    body = {"customer_id": "customer-1", "feature_id": "messages", "value": 1, "async": False}
    api = Api(own.url, own.secret_key)
    api.call("balances.track", body)
    wait_for(lambda: bool(api.call("events.list", {"customer_id": "customer-1"})["list"]), 60, "the use in the history")
    done = app.run("events")
    assert done.returncode == 0, done.stderr
    assert "customer-1" in done.stdout


def test_the_catalog_is_pulled(app: Project, own: Stack) -> None:
    api = Api(own.url, own.secret_key)
    features, plans = (len(api.call(f"{noun}.list", {})["list"]) for noun in ("features", "plans"))
    done = app.run("pull")
    assert done.returncode == 0, done.stderr
    assert f"Pulled {features} features, {plans} plans" in done.stdout
    written = (app.path / "autumn.config.ts").read_text()
    assert re.search(r"feature\(\{\s+id: 'messages',\s+name: 'Messages',\s+type: 'metered',", written)
    assert re.search(r"plan\(\{\s+id: 'pro',", written)
    assert (app.path / "@useautumn-sdk.d.ts").exists()


def test_a_catalog_is_pushed(app: Project, own: Stack) -> None:
    """Into the live environment, which has none."""
    (app.path / "autumn.config.ts").write_text(CONFIG)
    done = app.run("--prod", "push", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Push complete!" in done.stdout
    (item,) = Api(own.url, own.live_secret_key).call("plans.get", {"plan_id": "team"})["items"]
    assert (item["feature_id"], item["included"]) == ("calls", 1000)
    assert "Already in sync" in app.run("--prod", "push", "--yes").stdout


def test_what_was_pulled_and_is_pushed_changes_nothing(app: Project, own: Stack) -> None:
    """Though the file cannot say it all: a static feature and its value, a soft limit, a rollover without a maximum."""
    api = Api(own.url, own.secret_key)
    api.call("features.create", {"feature_id": "region", "name": "Region", "type": "static"})
    items = [
        {"feature_id": "region", "static_value": "eu"},
        {"feature_id": "messages", "included": 10, "reset": {"interval": "month"}, "is_soft_limit": True},
        {
            "feature_id": "messages",
            "included": 5,
            "reset": {"interval": "day"},
            "rollover": {"expiry_duration_type": "month", "expiry_duration_length": 2},
        },
    ]
    api.call("plans.create", {"plan_id": "kept", "name": "Kept", "items": items})
    before = api.call("plans.list", {}), api.call("features.list", {})
    pulled = app.run("pull")
    assert pulled.returncode == 0, pulled.stderr
    pushed = app.run("push", "--yes")
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert (api.call("plans.list", {}), api.call("features.list", {})) == before
