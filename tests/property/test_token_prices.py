"""What tokens of AI models cost: as `genai-prices` says, to the last digit, and with a credit system's own terms
(autumn.md 3.14)."""

from __future__ import annotations

import json
import random
import subprocess
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.service import NOW
from tollgate import runtime
from tollgate.domain.errors import InvalidInput, InvalidRequest
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.quantities import quantity
from tollgate.domain.token_prices import ModelPrices, Tokens, cost

PYTHON = ROOT / ".venv-prices" / "bin" / "python"
DAY = 86_400_000
PRICES = runtime.model_prices()
PLAIN = Feature("credits", "Credits", FeatureType.AI_CREDIT_SYSTEM)
COUNTS = st.integers(0, 10**7)
TOKENS = st.builds(Tokens, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)

ASK = """
import json, sys
from datetime import datetime, timezone
from genai_prices import Usage, calc_price
def one(provider, model, at, t):
    i, o, cr, cw, ai, ao, r = t
    usage = Usage(input_tokens=i + cr + cw + ai, cache_read_tokens=cr, cache_write_tokens=cw, input_audio_tokens=ai,
                  cache_audio_read_tokens=0,
                  output_tokens=o + ao + r, output_audio_tokens=ao, output_reasoning_tokens=r)
    when = datetime.fromtimestamp(at / 1000, timezone.utc)
    try:
        priced = calc_price(usage, model, provider_id=provider, genai_request_timestamp=when)
        return str(priced.input_price + priced.output_price)  # without a fee for the call itself
    except LookupError:
        return None  # a model whose own id its rule does not find
print(json.dumps([one(*each) for each in json.load(sys.stdin)]))
"""


def sure(model: Any) -> bool:
    """Whether tokens alone have a price in it, in and out."""
    return all({"input_mtok", "output_mtok"} <= rates.keys() for _, rates in model[2])


@pytest.mark.servers
def test_every_price_is_the_librarys_to_the_last_digit() -> None:
    """Of models, times and counts that are drawn anew in each run; tiers, dates and times of day among them."""
    seed = random.Random()
    models = [(one["id"], model) for one in PRICES._providers for model in one["models"] if sure(model)]
    special = [
        one for one in models if len(one[1][2]) > 1 or any(isinstance(r, list) for r in one[1][2][0][1].values())
    ]
    questions = []
    for provider, model in [*seed.sample(models, 300), *special]:
        tokens = [seed.choice((0, 7, 150_000, 250_000, 1_000_003)) for _ in Tokens._fields]
        questions.append((provider, model[0].lower(), NOW - 200 * DAY + seed.randrange(600 * DAY), tokens))
    done = subprocess.run(
        [PYTHON, "-c", ASK], input=json.dumps(questions), capture_output=True, text=True, check=True, timeout=120
    )
    for (provider, model, at, tokens), told in zip(questions, json.loads(done.stdout), strict=True):
        if told is None:
            assert PRICES.rates(f"{provider}/{model}", at) is None
            continue
        found = cost(PLAIN, PRICES, f"{provider}/{model}", Tokens(*tokens), at)
        assert found == quantity(Decimal(told), "value"), (provider, model, at, tokens)


def terms(**extra: Any) -> Feature:
    return PLAIN._replace(extra=extra)


@given(TOKENS, st.decimals(-100, 500, places=3))
def test_a_mark_up_is_a_share_of_the_price_and_prices_of_ones_own_replace_the_published(
    tokens: Tokens, markup: Decimal
) -> None:
    own = {"input_cost": Decimal(2), "output_cost": Decimal("0.5"), "markup": markup}
    mine = terms(model_markups={"house/mine": own}, default_markup=Decimal(99))
    paid = tokens.all_input * 2 + Decimal(tokens.output + tokens.audio_output + tokens.reasoning) / 2
    assert cost(mine, PRICES, "house/mine", tokens, NOW) == quantity(paid / 10**6 * (100 + markup) / 100, "value")


@given(TOKENS)
def test_the_models_mark_up_comes_before_the_providers_and_that_before_the_systems(tokens: Tokens) -> None:
    models, providers = {"openai/gpt-4o": {"markup": 10}}, {"openai": {"markup": 20}}

    def of(*names: str) -> Decimal:
        given = {"model_markups": models, "provider_markups": providers, "default_markup": Decimal(30)}
        return cost(terms(**{name: given[name] for name in names}), PRICES, "openai/gpt-4o", tokens, NOW)

    def with_percent(percent: int) -> Decimal:
        plain = PRICES.rates("openai/gpt-4o", NOW)
        assert plain is not None
        return cost(terms(default_markup=Decimal(percent)), PRICES, "openai/gpt-4o", tokens, NOW)

    assert of("model_markups", "provider_markups", "default_markup") == with_percent(10)
    assert of("provider_markups", "default_markup") == with_percent(20)
    assert of("default_markup") == with_percent(30)
    assert cost(terms(default_markup=Decimal(-100)), PRICES, "openai/gpt-4o", tokens, NOW) == 0


def test_a_price_is_as_of_the_events_time_and_a_tier_holds_for_all_tokens() -> None:
    spans = [[None, {"input_mtok": ["1", [100, "2"]], "output_mtok": "4"}], ["2026-02-01", {"input_mtok": "8"}]]
    prices = ModelPrices(
        {
            "source": "",
            "providers": [{"id": "p", "match": None, "models_of": [], "models": [["m", ["equals", "m"], spans]]}],
        }
    )

    def costs(at: int, **tokens: int) -> Decimal:
        return cost(PLAIN, prices, "p/m", Tokens(**{"input": 0, "output": 0, **tokens}), at) * 10**6

    assert costs(NOW, input=100) == 100
    assert costs(NOW, input=101) == 202
    assert costs(NOW, input=50, cache_read=51, output=1) == 206
    assert costs(NOW + 31 * DAY - 1, input=1) == 1
    assert costs(NOW + 31 * DAY, input=1) == 8
    with pytest.raises(InvalidRequest, match="no price for output tokens"):
        costs(NOW + 31 * DAY, output=1)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "openai/no-such-model", "nobody/gpt-4o", "openai/", "/gpt-4o", "/", "openai"]
)
def test_a_model_that_nothing_prices_is_refused(model: str) -> None:
    with pytest.raises(InvalidInput, match="is not a model whose price is known"):
        cost(PLAIN, PRICES, model, Tokens(1, 1), NOW)


def test_what_is_known_of_a_model_by_another_name_is_found() -> None:
    assert PRICES.rates("anthropic/claude-sonnet-4-5-20250929", NOW)
    assert PRICES.rates("openrouter/anthropic/claude-sonnet-4.5", NOW)
    assert PRICES.rates("xai/grok-4", NOW) == PRICES.rates("x-ai/grok-4", NOW) is not None
