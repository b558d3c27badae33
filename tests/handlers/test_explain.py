"""What a denied check says of itself, and `balances.explain`, as a caller sees them.

Rules: autumn.md 2.10, 2.11.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.conftest import Here

CHECK = "POST /v1/balances.check"


def explained(here: Here, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """The answer; nothing may have changed."""
    before = here.contents()
    found, answer = here.call("manage", "POST /v1/balances.explain", body)
    assert found == status, answer
    assert here.contents() == before
    return answer


@pytest.fixture(scope="module")
def shop(here: Here) -> Here:
    """A customer with 5 messages a month, and another with nothing."""
    for route, body in (
        ("features.create", {"feature_id": "mails", "name": "Mails", "type": "metered", "consumable": True}),
        ("features.create", {"feature_id": "board", "name": "Board", "type": "boolean"}),
        ("customers.get_or_create", {"customer_id": "poor"}),
        ("customers.get_or_create", {"customer_id": "rich"}),
        (
            "balances.create",
            {"customer_id": "rich", "feature_id": "mails", "included_grant": 5, "reset": {"interval": "month"}},
        ),
    ):
        status, answer = here.call("manage", f"POST /v1/{route}", body)
        assert status == 200, answer
    return here


class TestReason:
    """autumn.md 2.10: `reason` where a check is denied, and only there."""

    def test_a_denied_check_says_why(self, shop: Here) -> None:
        for customer, reason in (("poor", "not_granted"), ("rich", "balance_exhausted")):
            for more in ({}, {"send_event": True}, {"lock": {"lock_id": "l1"}}):
                body = {"customer_id": customer, "feature_id": "mails", "required_balance": 6, **more}
                status, answer = shop.call("check", CHECK, body)
                assert (status, answer["allowed"], answer["reason"]) == (200, False, reason)

    @pytest.mark.parametrize("version", ["2.0", "2.1", "2.3", "2.5"])
    def test_it_says_so_in_every_version_from_2_0_on(self, shop: Here, version: str) -> None:
        body = {"customer_id": "poor", "feature_id": "mails"}
        _, answer = shop.call("check", CHECK, body, headers={"x-api-version": version})
        assert (answer["allowed"], answer["reason"]) == (False, "not_granted")
        assert "reason" not in shop.call("check", CHECK, body, headers={"x-api-version": "1.2"})[1]

    def test_an_allowed_one_does_not(self, shop: Here) -> None:
        _, answer = shop.call("check", CHECK, {"customer_id": "rich", "feature_id": "mails"})
        assert answer["allowed"]
        assert "reason" not in answer


class TestExplain:
    """autumn.md 2.11."""

    def test_every_step_is_told_in_words(self, shop: Here) -> None:
        answer = explained(shop, {"customer_id": "rich", "feature_id": "mails", "required_balance": 8})
        assert (answer["allowed"], answer["reason"]) == (False, "balance_exhausted")
        assert answer["answered_by"] == {"feature_id": "mails", "required_balance": 8}
        assert [(step["rule"], step["outcome"]) for step in answer["steps"]] == [
            ("granted", "goes_on"),
            ("balance", "goes_on"),
            ("overage", "denies"),
            ("answer", "denies"),
        ]
        assert answer["steps"][1]["message"] == "5 remain, 8 are asked for: 3 are missing."
        (grant,) = answer["features"][0]["grants"]
        assert (grant["state"], grant["gives"], grant["takes"], grant["plan_id"]) == ("available", 5, 0, None)

    def test_what_would_make_it_allowed(self, shop: Here) -> None:
        would = explained(shop, {"customer_id": "rich", "feature_id": "mails", "required_balance": 8})["would_allow"]
        (change,) = would["changes"]
        assert (change["type"], change["feature_id"], change["entity_id"], change["amount"]) == (
            "grant",
            "mails",
            None,
            3,
        )
        assert change["message"] == "Grant 3 more of Mails to the customer."
        assert (would["required_balance"], would["at"]) == (5, None)

    def test_an_allowed_check_is_explained_too(self, shop: Here) -> None:
        answer = explained(shop, {"customer_id": "rich", "feature_id": "mails", "required_balance": 2})
        assert (answer["allowed"], answer["reason"], answer["would_allow"]) == (True, "within_balance", None)
        assert answer["features"][0]["grants"][0]["takes"] == 2

    def test_a_flag(self, shop: Here) -> None:
        answer = explained(shop, {"customer_id": "poor", "feature_id": "board"})
        assert answer["would_allow"]["changes"][0]["message"] == "Grant Board to the customer."
        answer = explained(shop, {"customer_id": "poor", "feature_id": "board", "send_event": True}, 400)
        assert answer["code"] == "invalid_inputs"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"customer_id": "nobody", "feature_id": "mails"}, 404, "customer_not_found"),
            ({"customer_id": "rich", "feature_id": "nothing"}, 404, "feature_not_found"),
            ({"customer_id": "rich", "feature_id": "mails", "entity_id": "e9"}, 404, "entity_not_found"),
            ({"customer_id": "rich", "product_id": "pro"}, 400, "invalid_inputs"),
            ({"customer_id": "rich", "feature_id": "mails", "required_balance": "1"}, 400, "invalid_inputs"),
            ([], 400, "invalid_inputs"),
        ],
    )
    def test_what_cannot_be_explained_is_refused(self, shop: Here, body: Any, status: int, code: str) -> None:
        assert explained(shop, body, status)["code"] == code
