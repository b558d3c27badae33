"""A whole catalog at once, as Autumn's command line pushes it.

Rules: management.md 3, 13.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.conftest import Here

CALLS = {"feature_id": "calls", "name": "Calls", "type": "metered", "consumable": True}
SEATS = {"feature_id": "places", "name": "Seats", "type": "metered"}
TEAM = {
    "plan_id": "team",
    "name": "Team",
    "group": "",
    "price": None,
    "licenses": [],
    "items": [{"feature_id": "calls", "included": 10, "reset": {"interval": "month"}}],
}
SOLO = {"plan_id": "solo", "name": "Solo", "items": [{"feature_id": "places", "included": 1}]}
WHOLE = {"features": [CALLS, SEATS], "plans": [TEAM, SOLO], "rewards": [], "referral_programs": []}


def preview(here: Here, body: dict[str, Any]) -> dict[str, str]:
    """What would become of each feature and plan by its id."""
    status, answer = here.call("manage", "POST /v1/catalog.preview_update", body)
    assert status == 200, answer
    return {
        change.get("plan_id") or change["feature_id"]: f"{change['action']}{' (archived)' * change['will_archive']}"
        for change in (*answer["feature_changes"], *answer["plan_changes"])
    }


def push(here: Here, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = here.call("manage", "POST /v1/catalog.update", body)
    assert status == 200, answer
    return answer


def own(changes: dict[str, str]) -> dict[str, str]:
    return {id: action for id, action in changes.items() if id in ("calls", "places", "team", "solo")}


@pytest.fixture(scope="module")
def pushed(here: Here) -> Here:
    before = here.contents()
    assert preview(here, WHOLE) == {"calls": "create", "places": "create", "team": "created", "solo": "created"}
    assert here.contents() == before
    push(here, WHOLE)
    return here


def test_the_same_push_again_changes_nothing(pushed: Here) -> None:
    assert preview(pushed, WHOLE) == dict.fromkeys(("calls", "places", "team", "solo"), "none")
    before = pushed.contents()
    push(pushed, WHOLE)
    assert pushed.contents() == before


def test_what_differs_is_changed_and_what_is_in_use_has_a_new_version(pushed: Here) -> None:
    changed = {**TEAM, "items": [{"feature_id": "calls", "included": 20, "reset": {"interval": "month"}}]}
    pushed.call("manage", "POST /v1/customers.get_or_create", {"customer_id": "team-1"})
    pushed.call("manage", "POST /v1/billing.attach", {"customer_id": "team-1", "plan_id": "team"})
    body = {"features": [{**CALLS, "name": "API calls"}], "plans": [changed]}
    _, answer = pushed.call("manage", "POST /v1/catalog.preview_update", body)
    assert [(c["action"], c["versionable"]) for c in answer["plan_changes"]] == [("updated", True)]
    push(pushed, body)
    assert pushed.call("manage", "POST /v1/plans.get", {"plan_id": "team"})[1]["version"] == 2
    assert preview(pushed, body) == {"calls": "none", "team": "none"}


def test_what_is_not_named_goes_or_is_archived(pushed: Here) -> None:
    _, listed = pushed.call("manage", "POST /v1/features.list", {})
    others = [feature["id"] for feature in listed["list"] if feature["id"] not in ("calls", "places")]
    body = {"features": [], "plans": [], "skip_deletions": False, "skip_feature_ids": others}
    expected = {
        "calls": "remove (archived)",
        "places": "remove (archived)",
        "team": "deleted (archived)",
        "solo": "deleted",
    }
    assert own(preview(pushed, body)) == expected
    push(pushed, body)
    assert own(preview(pushed, body)) == {}
    assert pushed.call("manage", "POST /v1/plans.get", {"plan_id": "solo"})[0] == 404
    assert pushed.call("manage", "POST /v1/features.get", {"feature_id": "places"})[0] == 404
    assert pushed.call("manage", "POST /v1/features.get", {"feature_id": "calls"})[1]["archived"]


def test_what_is_skipped_is_left_alone_and_what_is_archived_stays_so(pushed: Here) -> None:
    """A file that was pulled names archived plans too: to push it again changes nothing."""
    push(pushed, {"features": [CALLS], "plans": [TEAM]})
    body = {"features": [{**CALLS, "name": "Other"}], "plans": [{**TEAM, "name": "Other"}]}
    skipping = {**body, "skip_feature_ids": ["calls"], "skip_plan_ids": ["team"]}
    assert preview(pushed, skipping) == {"calls": "skipped", "team": "skipped"}
    before = pushed.contents()
    push(pushed, skipping)
    assert pushed.contents() == before
    push(pushed, {"plans": [{**TEAM, "archived": True}]})
    assert preview(pushed, {"plans": [{**TEAM, "archived": True}]}) == {"team": "none"}
    assert preview(pushed, {"plans": [TEAM]}) == {"team": "updated"}


def test_what_only_flexprice_names_is_shown_and_set_too(pushed: Here) -> None:
    """management.md 2, 3: a plan's lookup key, an item that is switched off, a meter's name and a filter for any value."""
    meter = {
        "name": "Calls",
        "event_name": "call",
        "aggregation": {"type": "SUM", "field": "n"},
        "filters": [{"key": "region", "values": []}],
    }
    push(pushed, {"features": [{**CALLS, "meter": meter}, {"feature_id": "sso", "name": "SSO", "type": "boolean"}]})
    assert pushed.call("manage", "POST /v1/features.get", {"feature_id": "calls"})[1]["meter"] == meter
    call_item = {"feature_id": "calls", "included": 10}
    off = {"feature_id": "sso", "is_enabled": False}
    push(pushed, {"plans": [{"plan_id": "keyed", "name": "Keyed", "lookup_key": "key", "items": [off, call_item]}]})
    _, shown = pushed.call("manage", "POST /v1/plans.get", {"plan_id": "keyed"})
    assert (shown["lookup_key"], shown["items"][0]["is_enabled"]) == ("key", False)
    assert "is_enabled" not in shown["items"][1]
    pushed.call("manage", "POST /v1/plans.update", {"plan_id": "keyed", "lookup_key": None})
    pushed.call("manage", "POST /v1/features.update", {"feature_id": "calls", "meter": None})
    assert "lookup_key" not in pushed.call("manage", "POST /v1/plans.get", {"plan_id": "keyed"})[1]
    assert "meter" not in pushed.call("manage", "POST /v1/features.get", {"feature_id": "calls"})[1]


def test_what_cannot_be_kept_is_refused(pushed: Here) -> None:
    before = pushed.contents()
    for body in ({"rewards": [{"id": "r"}]}, {"plans": [{**SOLO, "items": [{"feature_id": "nothing"}]}]}):
        assert pushed.call("manage", "POST /v1/catalog.update", body)[0] in (400, 404)
    assert pushed.contents() == before


# ------------------------------------------------------------------ what a file cannot say, and versions

REGION = {"feature_id": "region", "name": "Region", "type": "static"}
KEPT: dict[str, Any] = {
    "plan_id": "kept",
    "name": "Kept",
    "items": [
        {"feature_id": "region", "static_value": "eu"},
        {"feature_id": "calls", "included": 10, "reset": {"interval": "month"}, "is_soft_limit": True},
        {
            "feature_id": "calls",
            "included": 5,
            "reset": {"interval": "day"},
            "is_enabled": False,
            "rollover": {"expiry_duration_type": "month", "expiry_duration_length": 2},
        },
    ],
}


@pytest.fixture
def kept(here: Here) -> Here:
    push(here, {"features": [CALLS, REGION], "plans": []})
    here.call("manage", "POST /v1/plans.delete", {"plan_id": "kept", "all_versions": True})
    status, answer = here.call("manage", "POST /v1/plans.create", KEPT)
    assert status == 200, answer
    return here


def as_a_file_says_it(plan: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A plan as atmn writes and reads it: some fields of an item it does not know, and a maximum it always has."""
    unknown = ("static_value", "is_soft_limit", "is_enabled")
    items = [{name: value for name, value in item.items() if name not in unknown} for item in plan["items"]]
    items = [{"included": 0, **item} for item in items]
    for item in items:
        if "rollover" in item:
            item["rollover"] = {**item["rollover"], "max": item["rollover"].get("max") or 0}
    return {**plan, "items": items, **changed}


def stored(here: Here, plan_id: str, version: int | None = None) -> dict[str, Any]:
    return here.call("manage", "POST /v1/plans.get", {"plan_id": plan_id, "version": version})[1]


def test_what_a_file_cannot_say_stays(kept: Here) -> None:
    before = stored(kept, "kept")
    _, listed = kept.call("manage", "POST /v1/features.list", {}, headers={"x-api-version": "2.1.0"})
    assert {"region": "boolean"}.items() <= {feature["id"]: feature["type"] for feature in listed["list"]}.items()
    body = {"features": [{**REGION, "type": "boolean"}], "plans": [as_a_file_says_it(KEPT)]}
    assert preview(kept, body) == {"region": "none", "kept": "none"}
    push(kept, {**body, "plans": [as_a_file_says_it(KEPT, name="Kept on")]})
    assert stored(kept, "kept") == {**before, "name": "Kept on"}
    assert kept.call("manage", "POST /v1/features.get", {"feature_id": "region"})[1]["type"] == "static"


def test_a_maximum_of_none_is_none_in_another_environment_too(kept: Here) -> None:
    """There the plan is new: what rolls over must not become nothing."""
    items = [item for item in KEPT["items"] if item["feature_id"] == "calls"]
    push(kept, {"plans": [as_a_file_says_it({**KEPT, "plan_id": "copied", "items": items})]})
    assert stored(kept, "copied")["items"][1]["rollover"]["max"] is None


BAD_PLANS = {
    "an unknown feature": [{"feature_id": "nothing"}],
    "one that is new and has no value": [{"feature_id": "brand-new", "included": 1}],
    "the same twice": [{"feature_id": "calls", "included": 1}, {"feature_id": "calls", "included": 2}],
    "a misfit": [{"feature_id": "calls", "included": -1}],
}


@pytest.mark.parametrize("items", BAD_PLANS.values(), ids=list(BAD_PLANS))
def test_all_is_checked_before_anything_is_written(kept: Here, items: list[dict[str, Any]]) -> None:
    new = {"feature_id": "brand-new", "name": "New", "type": "static"}
    body = {
        "features": [{**CALLS, "name": "Other"}, new],
        "plans": [{**KEPT, "name": "Other"}, {**SOLO, "plan_id": "bad", "items": items}],
    }
    before = kept.contents()
    for call in ("catalog.preview_update", "catalog.update"):
        status, answer = kept.call("manage", f"POST /v1/{call}", body)
        assert status in (400, 404), answer
        assert kept.contents() == before


def test_a_feature_does_not_change_its_type(kept: Here) -> None:
    body = {"features": [{**SEATS, "name": "Other"}, {**CALLS, "type": "boolean"}]}
    before = kept.contents()
    assert kept.call("manage", "POST /v1/catalog.update", body)[0] == 400
    assert kept.contents() == before


def test_a_credit_system_may_be_named_before_its_members(here: Here) -> None:
    schema = [{"metered_feature_id": "later", "credit_cost": 2}]
    pool = {"feature_id": "pool", "name": "Pool", "type": "credit_system", "credit_schema": schema}
    push(here, {"features": [pool, {**CALLS, "feature_id": "later"}]})


def in_use(here: Here, plan_id: str) -> None:
    here.call("manage", "POST /v1/customers.get_or_create", {"customer_id": f"{plan_id}-user"})
    status, answer = here.call(
        "manage", "POST /v1/billing.attach", {"customer_id": f"{plan_id}-user", "plan_id": plan_id}
    )
    assert status == 200, answer


def versions(here: Here, plan_id: str) -> list[tuple[int, int]]:
    """The versions of a plan, each with what its first item of calls grants."""
    _, answer = here.call("manage", "POST /v1/plans.list", {"all_versions": True, "include_archived": True})
    found = [plan for plan in answer["list"] if plan["id"] == plan_id]
    return sorted((plan["version"], plan["items"][0]["included"]) for plan in found)


@pytest.mark.parametrize("by", ["catalog.update", "plans.update", "products"])
def test_a_version_in_use_may_be_changed_in_place(here: Here, by: str) -> None:
    push(here, {"features": [CALLS]})
    id = f"placed-{by.replace('.', '-')}"
    plan = {"plan_id": id, "name": "P", "items": [{"feature_id": "calls", "included": 1}]}
    push(here, {"plans": [plan]})
    in_use(here, id)
    items = [{"feature_id": "calls", "included": 2}]
    if by == "catalog.update":
        push(here, {"plans": [{**plan, "items": items, "disable_version": True}]})
    elif by == "plans.update":
        here.call("manage", "POST /v1/plans.update", {"plan_id": id, "items": items, "disable_version": True})
    else:
        body = {"items": [{"feature_id": "calls", "included_usage": 2}]}
        assert here.call("manage", f"POST /v1/products/{id}", body, query="disable_version=true")[0] == 200
    assert versions(here, id) == [(1, 2)]
    _, answer = here.call("check", "POST /v1/balances.check", {"customer_id": f"{id}-user", "feature_id": "calls"})
    assert answer["balance"]["granted"] == 1  # who has it keeps it as it was


def test_an_older_version_and_every_version_can_be_changed(here: Here) -> None:
    push(here, {"features": [CALLS]})
    plan = {"plan_id": "aged", "name": "P", "items": [{"feature_id": "calls", "included": 1}]}
    push(here, {"plans": [plan]})
    in_use(here, "aged")
    push(here, {"plans": [{**plan, "items": [{"feature_id": "calls", "included": 2}]}]})
    assert versions(here, "aged") == [(1, 1), (2, 2)]
    older = {**plan, "version": 1, "items": [{"feature_id": "calls", "included": 5}]}
    push(here, {"plans": [older]})
    assert versions(here, "aged") == [(1, 5), (2, 2)]
    push(here, {"plans": [{**plan, "all_versions": True, "items": [{"feature_id": "calls", "included": 7}]}]})
    assert versions(here, "aged") == [(1, 7), (2, 7)]
    status, _ = here.call("manage", "DELETE /v1/products/aged", None, query="all_versions=true")
    assert status == 200
    _, answer = here.call("manage", "POST /v1/plans.list", {"all_versions": True})
    assert "aged" not in [found["id"] for found in answer["list"]]


TWICE = [{"feature_id": "calls", "included": 1}, {"feature_id": "calls", "included": 2}]
OF_1_2 = [{"feature_id": "calls", "included_usage": 1}, {"feature_id": "calls", "included_usage": 2}]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("POST /v1/plans.create", {"plan_id": "twice", "name": "T", "items": TWICE}),
        ("POST /v1/plans.update", {"plan_id": "once", "items": TWICE}),
        ("POST /v1/catalog.update", {"plans": [{"plan_id": "twice", "name": "T", "items": TWICE}]}),
        ("POST /v1/products", {"id": "twice", "name": "T", "items": OF_1_2}),
        ("POST /v1/products/once", {"items": OF_1_2}),
        (
            "POST /v1/billing.attach",
            {"customer_id": "twice-user", "plan_id": "once", "customize": {"items": TWICE}},
        ),
    ],
)
def test_no_two_items_grant_the_same(here: Here, route: str, body: dict[str, Any]) -> None:
    """management.md 3: wherever a plan's items are said."""
    push(here, {"features": [CALLS], "plans": [{"plan_id": "once", "name": "O", "items": TWICE[:1]}]})
    here.call("manage", "POST /v1/customers.get_or_create", {"customer_id": "twice-user"})
    before = here.contents()
    status, answer = here.call("manage", route, body)
    assert status == 400, answer
    assert here.contents() == before
