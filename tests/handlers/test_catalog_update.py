"""A whole catalog at once, as Autumn's command line pushes it.

Rules: management.md 13.
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
