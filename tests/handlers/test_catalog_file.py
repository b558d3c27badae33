"""The catalog as a file, through the handlers: whatever was there, what is applied is what is read back, digit for digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from hypothesis import HealthCheck, example, given, settings
from typer.testing import CliRunner

from tests.catalog_everything import everything
from tests.catalog_files import catalog_files
from tests.handlers.conftest import Here
from tests.http_events import authorized, http_event
from tests.profiles import examples
from tollgate.domain.environments import Environment
from tollgate.exact_json import dumps
from tollgate_cli.__main__ import app
from tollgate_cli.api import Api
from tollgate_cli.catalog import commands, file, yaml_text
from tollgate_cli.catalog.changes import Change, ChangeError, changes_to
from tollgate_cli.catalog.file import Catalog
from tollgate_cli.catalog.target import Target


class InProcess(Api):
    """The API without HTTP."""

    def __init__(self, here: Here, environment: Environment) -> None:
        self.url = "http://here"
        self._here, self._environment = here, environment

    def _answer(self, method: str, name: str, body: Any) -> httpx.Response:
        event = http_event(f"{method} /v1/{name}", None if body is None else dumps(body))
        answer = self._here.handlers["manage"](authorized(event, environment=self._environment.value), None)
        return self.checked(name, httpx.Response(answer["statusCode"], text=answer["body"]))


@pytest.fixture
def sandbox(here: Here) -> Target:
    emptied(here)
    return Target(InProcess(here, Environment.SANDBOX), Environment.SANDBOX)


@pytest.fixture
def live(here: Here) -> Target:
    return Target(InProcess(here, Environment.LIVE), Environment.LIVE)


def emptied(here: Here) -> None:
    """Without anything in the table."""
    table = here.service.table
    for item in table.client.scan(TableName=table.name)["Items"]:
        table.client.delete_item(TableName=table.name, Key={name: item[name] for name in ("pk", "sk")})


def become(target: Target, wanted: Catalog) -> None:
    """Makes an environment hold what is wanted. What is not, and is not archived, goes."""
    there = target.catalog()
    surplus = [f"feature:{id}" for id in there.features if id not in wanted.features]
    surplus += [f"plan:{id}" for id in there.plans if id not in wanted.plans]
    commands.carry_out(target, target.foreseen(changes_to(there, wanted, surplus), there))


def catalog_of(value: Any) -> Catalog:
    catalog, problems = file.checked(value)
    assert not problems, problems
    return catalog


@pytest.mark.property
@example(first={"features": [], "plans": []}, second=everything())
@example(first=everything(), second={"features": everything()["features"], "plans": []})
@settings(max_examples=examples(0.4), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=catalog_files(), second=catalog_files())
def test_what_is_applied_is_what_is_pulled(here: Here, sandbox: Target, live: Target, first: Any, second: Any) -> None:
    """management.md 2, 3: from whatever was there before, and again in another environment."""
    emptied(here)
    for value in (first, second):
        wanted = catalog_of(value)
        become(sandbox, wanted)
        pulled = sandbox.catalog()
        assert_holds(pulled, wanted)
        content = file.text(pulled)
        again = catalog_of(yaml_text.read(content).value)
        assert file.text(again) == content
        assert changes_to(pulled, again).each == []
    become(live, pulled)
    assert_holds(live.catalog(), pulled)


def assert_holds(there: Catalog, wanted: Catalog) -> None:
    """What is wanted is there, and nothing else that is not archived."""
    for found, expected in ((there.features, wanted.features), (there.plans, wanted.plans)):
        assert {id: body for id, body in found.items() if id in expected} == expected
        assert all(body.get("archived") for id, body in found.items() if id not in expected)


MONTH = {"interval": "month"}
FEATURES: list[Any] = [
    {
        "feature_id": "calls",
        "name": "Calls",
        "type": "metered",
        "consumable": True,
        "description": "d",
        "unit_plural": "u",
    },
    {"feature_id": "exports", "name": "Exports", "type": "boolean"},
    {
        "feature_id": "coins",
        "name": "Coins",
        "type": "credit_system",
        "credit_schema": [{"metered_feature_id": "calls", "credit_cost": 2}],
    },
]
TEAM: Any = {
    "plan_id": "team",
    "name": "Team",
    "group": "main",
    "items": [{"feature_id": "calls", "included": 10, "reset": MONTH}, {"feature_id": "exports"}],
}
PACK: Any = {"plan_id": "pack", "name": "Pack", "add_on": True, "items": [{"feature_id": "calls", "included": 5}]}
EXAMPLE: Any = {"features": FEATURES, "plans": [TEAM, PACK]}


class Shell:
    """The command line over environments in this process, in a directory of its own."""

    def __init__(self, folder: Path, targets: dict[Environment, Target], patch: pytest.MonkeyPatch) -> None:
        patch.chdir(folder)
        patch.setattr(commands, "connected", lambda environment, **_: targets[environment or Environment.SANDBOX])
        self.path = folder / "tollgate.yaml"

    def write(self, value: Any) -> None:
        self.path.write_text(yaml_text.write(value))

    def run(self, *words: str, exits: int = 0) -> str:
        """What `tollgate catalog` prints; of a failure, what it fails with."""
        done = CliRunner().invoke(app, ["catalog", *words], env={"COLUMNS": "80"})
        if isinstance(done.exception, ChangeError | file.FileError):
            assert exits == 1
            return str(done.exception)
        assert done.exit_code == exits, done.output
        assert exits == 1 or all(len(line) <= 80 for line in done.output.splitlines())
        return done.output

    def planned(self, *words: str) -> dict[str, Any]:
        """`plan --json`, whose exit code says whether there are changes."""
        done = CliRunner().invoke(app, ["catalog", "plan", "--json", "--detailed-exitcode", *words])
        found: dict[str, Any] = json.loads(done.output)
        assert done.exit_code == (2 if found["each"] else 0)
        return found


@pytest.fixture
def shell(sandbox: Target, live: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell(tmp_path, {Environment.SANDBOX: sandbox, Environment.LIVE: live}, monkeypatch)
    made.write(EXAMPLE)
    return made


def subscribed(target: Target, plan_id: str) -> None:
    target.api.exact("customers.get_or_create", {"customer_id": f"of-{plan_id}"})
    target.api.exact("billing.attach", {"customer_id": f"of-{plan_id}", "plan_id": plan_id})


def test_a_plan_is_applied_and_nothing_is_left_to_do(shell: Shell, sandbox: Target) -> None:
    assert [each["action"] for each in shell.planned()["each"]] == ["create"] * 5
    assert sandbox.catalog().features == {}
    assert "Done: create 5." in shell.run("apply", "--yes")
    assert shell.planned() == {
        "environment": "sandbox",
        "changes": None,
        "each": [],
        "left_alone": [],
        "nothing_to_remove": [],
    }
    assert "No changes." in shell.run("apply")
    written = shell.path.read_text()
    assert "tollgate.yaml says the same" in shell.run("pull")
    sandbox.api.exact("plans.update", {"plan_id": "pack", "name": "Other"})
    assert shell.run("pull", exits=1) == "tollgate.yaml says something else: --force writes over it"
    assert shell.path.read_text() == written
    shell.run("pull", "--force")
    assert shell.path.read_text().startswith("# yaml-language-server: $schema=tollgate.schema.json\n")
    assert shell.planned()["each"] == []
    assert "3 features, 2 plans" in shell.run("pull")


def test_a_field_that_is_taken_out_of_the_file_goes(shell: Shell, sandbox: Target) -> None:
    """management.md 2: null takes away what is only kept and shown."""
    shell.run("apply", "--yes")
    bare = {name: value for name, value in FEATURES[0].items() if name not in ("description", "unit_plural")}
    less = {name: value for name, value in TEAM.items() if name != "group"}
    shell.write({"features": [bare, *FEATURES[1:]], "plans": [less, PACK]})
    shown = shell.run("plan")
    assert "- description: d" in shown
    assert "- group: main" in shown
    shell.run("apply", "--yes")
    assert shell.planned()["each"] == []
    assert sandbox.api.exact("features.get", {"feature_id": "calls"}).keys().isdisjoint({"description", "unit_plural"})


def test_who_stays_on_the_old_version_is_told(shell: Shell, sandbox: Target) -> None:
    """management.md 3: a new version where customers have the plan and what it grants changes; a name is changed in place."""
    plan = {**TEAM, "plan_id": "held", "name": "Held"}
    shell.write({"features": FEATURES, "plans": [plan]})
    shell.run("apply", "--yes")
    subscribed(sandbox, "held")
    shell.write({"features": FEATURES, "plans": [{**plan, "name": "Kept"}]})
    (change,) = shell.planned()["each"]
    assert (change["new_version"], change["customers_who_stay"]) == (None, [])
    included = [{**TEAM["items"][0], "included": 20.25}, TEAM["items"][1]]
    shell.write({"features": FEATURES, "plans": [{**plan, "items": included}]})
    (change,) = shell.planned()["each"]
    assert change["differences"] == [{"path": "items[calls per month].included", "old": 10, "new": 20.25}]
    assert (change["new_version"], change["customers_who_stay"]) == (2, [{"version": 1, "customers": 1}])
    shown = shell.run("plan")
    assert "~ plan held  makes version 2" in shown
    assert "1 customer stays on version 1" in shown
    shell.run("apply", "--yes")
    assert sandbox.api.exact("plans.get", {"plan_id": "held"})["version"] == 2
    shell.write(EXAMPLE)
    (*_, removal) = shell.planned("--prune", "held")["each"]
    assert (removal["action"], removal["archives"]) == ("remove", True)
    shell.run("apply", "--yes", "--prune", "held")
    assert sandbox.api.exact("plans.get", {"plan_id": "held"})["archived"]
    assert shell.planned("--prune", "held")["nothing_to_remove"] == ["held"]


def test_what_the_file_does_not_name_stays_unless_it_is_named_to_go(shell: Shell, sandbox: Target) -> None:
    twice = {**PACK, "plan_id": "exports", "items": []}
    shell.write({"features": FEATURES, "plans": [TEAM, PACK, twice]})
    shell.run("apply", "--yes")
    shell.write({"features": FEATURES[:1], "plans": [PACK]})
    found = shell.planned()
    assert found["each"] == []
    assert [(each["kind"], each["id"]) for each in found["left_alone"]] == [
        ("feature", "exports"),
        ("feature", "coins"),
        ("plan", "exports"),
        ("plan", "team"),
    ]
    assert "say --prune feature:exports or --prune plan:exports" in shell.run("plan", "--prune", "exports", exits=1)
    assert "take it out of the file first" in shell.run("plan", "--prune", "pack", exits=1)
    words = [word for id in ("feature:exports", "coins", "team", "never") for word in ("--prune", id)]
    assert "there is no never" in shell.run("apply", "--yes", *words)
    assert (set(sandbox.catalog().features), set(sandbox.catalog().plans)) == ({"calls"}, {"pack", "exports"})


def test_a_feature_that_an_old_version_names_is_archived(shell: Shell, sandbox: Target) -> None:
    plan = {**TEAM, "plan_id": "older"}
    shell.write({"features": FEATURES, "plans": [plan]})
    shell.run("apply", "--yes")
    subscribed(sandbox, "older")
    shell.write({"features": [FEATURES[0], FEATURES[2]], "plans": [{**plan, "items": plan["items"][:1]}]})
    shell.run("apply", "--yes", "--prune", "exports")
    assert sandbox.catalog().features["exports"]["archived"]
    assert shell.planned()["each"] == []


def test_after_a_step_that_fails_the_next_apply_makes_the_rest(shell: Shell, sandbox: Target) -> None:
    """management.md 13: those before it stay. Two automatic plans of a group are refused, and one is there already."""
    sandbox.api.exact("plans.create", {"plan_id": "gift", "name": "Gift", "group": "main", "auto_enable": True})
    shell.write({"features": FEATURES, "plans": [{**TEAM, "auto_enable": True}, PACK]})
    told = shell.run("apply", "--yes", exits=1)
    assert told.startswith("plan team: Automatic plans must not replace each other")
    assert "4 of 5 changes were made" in told
    assert set(sandbox.catalog().plans) == {"gift", "pack"}
    assert [(each["kind"], each["id"]) for each in shell.planned()["each"]] == [("plan", "team")]
    assert "Done: create 1, remove 1." in shell.run("apply", "--yes", "--prune", "gift")
    assert set(sandbox.catalog().plans) == {"team", "pack"}
    assert shell.planned()["each"] == []


def test_an_automatic_plan_hands_over_to_another(shell: Shell) -> None:
    solo = {**TEAM, "plan_id": "a-solo"}
    shell.write({"features": FEATURES, "plans": [{**TEAM, "auto_enable": True}, solo]})
    shell.run("apply", "--yes")
    shell.write({"features": FEATURES, "plans": [{**solo, "auto_enable": True}, TEAM]})
    shell.run("apply", "--yes")
    assert shell.planned()["each"] == []


def test_nothing_is_changed_without_an_answer(shell: Shell, here: Here) -> None:
    before = here.contents()
    assert "--yes does not ask" in shell.run("apply", exits=1)
    assert "not the changes 123" in shell.run("apply", "--yes", "--expect", "123", exits=1)
    shell.run("apply", "--all", exits=1)
    assert here.contents() == before
    shell.run("apply", "--yes", "--expect", shell.planned()["changes"])
    assert shell.planned()["each"] == []


def asked(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Any]) -> None:
    """The question is answered with yes, after something else has happened."""

    def confirm(_: str) -> bool:
        meanwhile()
        return True

    monkeypatch.setattr(typer, "confirm", confirm)


def test_a_catalog_that_has_changed_since_is_left_alone(
    shell: Shell, sandbox: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.run("apply", "--yes")
    shell.write({"features": FEATURES, "plans": [{**TEAM, "name": "Mine"}, PACK]})
    asked(monkeypatch, lambda: sandbox.api.exact("plans.update", {"plan_id": "team", "name": "Theirs"}))
    assert "has changed since these changes were shown" in shell.run("apply", exits=1)
    assert sandbox.catalog().plans["team"]["name"] == "Theirs"


def test_a_step_whose_plan_has_changed_since_is_not_made(shell: Shell, sandbox: Target) -> None:
    shell.run("apply", "--yes")
    there = sandbox.catalog()
    mine, theirs = ({**there.plans["team"], "name": name} for name in ("Mine", "Theirs"))
    sandbox.apply(Change("plan", "team", there.plans["team"], theirs))
    for change in (Change("plan", "team", there.plans["team"], mine), Change("plan", "team", None, mine)):
        with pytest.raises(ChangeError, match="plan team has changed since"):
            sandbox.apply(change)
    assert sandbox.catalog().plans["team"]["name"] == "Theirs"


def test_a_catalog_is_promoted(shell: Shell, sandbox: Target, live: Target) -> None:
    shell.run("apply", "--yes")
    assert "Changes" in shell.run("diff", "sandbox", "live", "--detailed-exitcode", exits=2)
    assert live.catalog().plans == {}
    live.api.exact("plans.create", {"plan_id": "own", "name": "Own"})
    assert "Done: create 5." in shell.run("promote", "sandbox", "live", "--yes")
    assert "Not named, and left alone: plan own" in shell.run("diff", "sandbox", "live", "--detailed-exitcode")
    assert live.catalog().features == sandbox.catalog().features
    assert shell.run("diff", "live", "live", exits=1) == "live and live are the same"
    shell.run("diff", "sandbox", "production", exits=1)


def test_a_key_of_another_environment_is_refused(here: Here) -> None:
    before = here.contents()
    with pytest.raises(ChangeError, match="the key is one of live, not of sandbox"):
        Target(InProcess(here, Environment.LIVE), Environment.SANDBOX).check_key()
    assert here.contents() == before


def test_the_type_of_a_feature_is_not_changed(shell: Shell) -> None:
    shell.run("apply", "--yes")
    shell.write({"features": [{**FEATURES[1], "type": "static"}, *FEATURES[::2]], "plans": [PACK]})
    assert "its type cannot be changed" in shell.run("apply", "--yes", exits=1)


def test_a_file_that_is_wrong_changes_nothing(shell: Shell, here: Here) -> None:
    before = here.contents()
    shell.write({"features": FEATURES, "plans": [{**TEAM, "items": [{"feature_id": "calls", "includes": 1}]}]})
    for words in (("apply", "--yes"), ("plan",), ("validate",)):
        told = shell.run(*words, exits=1)
        assert told == "tollgate.yaml:23:9: plans[0].items[0].includes is no field here: is included meant?"
    assert here.contents() == before
