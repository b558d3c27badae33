"""What tokens of an AI model cost, and what an AI credit system takes for them (autumn.md 3.14).

Prices are dollars for a million tokens, as exact decimals. A credit of an AI credit system is a dollar. The prices are
Pydantic's (`model_prices.json`, made by `make prices`), with the rules by which a model's name is found in them; a
credit system may have prices of its own and adds its mark-up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.errors import InvalidInput, InvalidRequest
from tollgate.domain.features import Feature
from tollgate.domain.quantities import ZERO, quantity

_MILLION = Decimal(1_000_000)
_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
LEAST_MARKUP = Decimal(-100)  # percent: usage is free

Rate = str | list[Any]
"""A price as it is kept: a number as text, or that and `[more input tokens than, price of all]` for each tier."""


class Tokens(NamedTuple):
    """Tokens by kind. Each is counted in one kind only."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    audio_input: int = 0
    audio_output: int = 0
    reasoning: int = 0

    @property
    def all_input(self) -> int:
        """Everything that was sent to the model: what tiers of prices go by."""
        return self.input + self.cache_read + self.cache_write + self.audio_input


_INPUT, _OUTPUT = "input_mtok", "output_mtok"
_KINDS = (  # of Tokens: the price of its own, and of the text where there is none
    ("input", _INPUT, _INPUT),
    ("output", _OUTPUT, _OUTPUT),
    ("cache_read", "cache_read_mtok", _INPUT),
    ("cache_write", "cache_write_mtok", _INPUT),
    ("audio_input", "input_audio_mtok", _INPUT),
    ("audio_output", "output_audio_mtok", _OUTPUT),
    ("reasoning", "output_reasoning_mtok", _OUTPUT),
)


class ModelPrices:
    """The prices of all models, as `model_prices.json` holds them."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.source = str(data["source"])
        self._providers: Sequence[Mapping[str, Any]] = data["providers"]

    def rates(self, model_id: str, at: int) -> Mapping[str, Rate] | None:
        """The prices of a model (`provider/model`) at a time (epoch ms), by kind; None where it is not known."""
        provider_name, _, name = model_id.lower().partition("/")
        provider = self._provider(provider_name)
        if provider is None or not name:
            return None
        model = self._model(provider, name)
        if model is None and (dashed := _COMPACT_DATE.sub(r"\1\2-\3-\4", name)) != name:
            model = self._model(provider, dashed)
        return None if model is None else _rates_at(model[2], at)

    def _provider(self, name: str) -> Mapping[str, Any] | None:
        exact = (one for one in self._providers if one["id"] == name)
        alike = (one for one in self._providers if one["match"] and _matches(one["match"], name))
        return next(exact, None) or next(alike, None)

    def _model(self, provider: Mapping[str, Any], name: str) -> Sequence[Any] | None:
        """The first model whose rule the name fits: of the provider, else of one whose models it offers."""
        others = [one for id in provider["models_of"] for one in self._providers if one["id"] == id]
        for one in (provider, *others):
            for model in one["models"]:
                if _matches(model[1], name):
                    found: Sequence[Any] = model
                    return found
        return None


_NAMED: Mapping[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
}


def _matches(rule: Sequence[Any], name: str) -> bool:
    kind, *of = rule
    if kind in ("or", "and"):
        return (any if kind == "or" else all)(_matches(one, name) for one in of)
    text = of[0]
    if kind == "regex":
        return re.search(text, name) is not None
    fits = _NAMED[str(kind)]
    return fits(name, str(text).lower())


def _rates_at(spans: Sequence[Sequence[Any]], at: int) -> Mapping[str, Rate]:
    """The last prices that hold at a time; where none do, the first."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    found: Mapping[str, Rate] = next((rates for when, rates in reversed(spans) if _holds(when, moment)), spans[0][1])
    return found


def _holds(when: Any, moment: datetime) -> bool:
    if when is None:
        return True
    if isinstance(when, str):
        return moment.date().isoformat() >= when
    start, end = (str(one) for one in when)
    time = moment.time().isoformat()
    return start <= time < end if start <= end else time >= start or time < end


def cost(feature: Feature, prices: ModelPrices, model_id: str, tokens: Tokens, at: int) -> Decimal:
    """The credits that an AI credit system takes for tokens of a model that were used at a time (epoch ms).

    Its own prices (`model_markups`: `input_cost`, `output_cost`) come before the published ones, and stand for every
    kind of their side. Its mark-up in percent is the model's, else the provider's, else the system's. Raises InvalidInput
    for a model that nothing prices, InvalidRequest where it has no price for a kind of tokens that were used.
    """
    own = (feature.extra.get("model_markups") or {}).get(model_id, {})
    costs = {_INPUT: own.get("input_cost"), _OUTPUT: own.get("output_cost")}
    rates = None if None not in costs.values() else prices.rates(model_id, at)
    if rates is None and None in costs.values():
        raise InvalidInput(
            "model_id",
            f"is not a model whose price is known: {model_id}."
            " It is provider/model, or give it an input_cost and an output_cost in the feature's model_markups",
        )
    total = ZERO
    for kind, price, text in _KINDS:
        many = getattr(tokens, kind)
        if many:
            total += many * _rate(
                model_id, kind, costs[text], (rates or {}).get(price, (rates or {}).get(text)), tokens
            )
    markup = own.get("markup")
    if markup is None:
        markup = (feature.extra.get("provider_markups") or {}).get(model_id.partition("/")[0], {}).get("markup")
    if markup is None:
        markup = feature.extra.get("default_markup", ZERO)
    return quantity(total / _MILLION * (100 + Decimal(markup)) / 100, "value")


def _rate(model_id: str, kind: str, own: Any, published: Rate | None, tokens: Tokens) -> Decimal:
    if own is not None:
        return Decimal(own)
    if published is None:
        raise InvalidRequest(f"Model {model_id} has no price for {kind.replace('_', ' ')} tokens")
    if isinstance(published, str):
        return Decimal(published)
    base, *tiers = list(published)
    return Decimal(next((price for start, price in reversed(tiers) if tokens.all_input > start), base))
