"""Tokens of AI models through the deployed stack and Autumn's SDK (autumn.md 3.14)."""

from __future__ import annotations

from typing import Any

import pytest
from autumn_sdk.errors import AutumnError

from tests.e2e.fixture import Shop, every, new


def test_tokens_of_a_model_are_taken_from_the_credits_that_a_plan_grants(shop: Shop) -> None:
    credits = new("ai")
    own: dict[str, Any] = {"house/mine": {"input_cost": 2, "output_cost": 10, "markup": 0}}
    made = {"feature_id": credits, "name": "AI credits", "type": "ai_credit_system", "default_markup": 100}
    assert shop.api.call("features.create", {**made, "model_markups": own})["type"] == "ai_credit_system"
    customer = shop.customer(every("month", 5, credits))

    def tracked(model: str, **tokens: int) -> Any:
        return shop.autumn.track_tokens(
            customer_id=customer,
            feature_id=credits,
            model_id=model,
            **{"input_tokens": 0, "output_tokens": 0, **tokens},  # type: ignore[arg-type]
            async_=False,
        )

    told = tracked("house/mine", input_tokens=1_000_000, output_tokens=100_000)
    assert (told.value, told.balance.remaining) == (3, 2)
    published = tracked("anthropic/claude-3-haiku", input_tokens=1_000_000, cache_read_tokens=1_000_000)
    assert (published.value, published.balance.remaining) == (0.56, 1.44)  # twice 0.25 and 0.03
    with pytest.raises(AutumnError, match="is not a model whose price is known"):
        tracked("nobody/nothing", input_tokens=1)
    check = shop.autumn.check(customer_id=customer, feature_id=credits)
    assert check.balance is not None
    assert check.balance.remaining == 1.44
