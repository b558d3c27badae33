"""Writes what tokens of AI models cost from Pydantic's `genai-prices`, which is not deployed: `make prices`.

Runs in an environment of its own (requirements/prices.txt), so it imports nothing else of Tollgate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "layers" / "tollgate" / "tollgate" / "model_prices.json"
POOLS = (
    "input_mtok",
    "output_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "input_audio_mtok",
    "output_audio_mtok",
    "output_reasoning_mtok",
)


def document() -> dict[str, Any]:
    """The prices as the file holds them: numbers are texts, so that no digit is lost."""
    from genai_prices.data import providers

    return {"source": f"genai-prices {version('genai-prices')}", "providers": [_provider(one) for one in providers]}


def text() -> str:
    """The file's text: a line for each model."""
    found = document()
    lines = ['{"source": ' + json.dumps(found["source"]) + ', "providers": [']
    for number, provider in enumerate(found["providers"]):
        head = json.dumps({name: value for name, value in provider.items() if name != "models"})
        models = ",\n".join(json.dumps(model, separators=(",", ":")) for model in provider["models"])
        lines.append(("," if number else "") + head[:-1] + ', "models": [\n' + models + "\n]}")
    return "\n".join([*lines, "]}", ""])


def _provider(provider: Any) -> dict[str, Any]:
    return {
        "id": provider.id,
        "match": _clause(provider.provider_match),
        "models_of": list(provider.fallback_model_providers or ()),
        "models": [_model(model) for model in provider.models],
    }


def _model(model: Any) -> list[Any]:
    prices = model.prices if isinstance(model.prices, list) else None
    spans = (
        [[_when(one.constraint), _rates(one.prices)] for one in prices] if prices else [[None, _rates(model.prices)]]
    )
    return [model.id, _clause(model.match), spans]


def _when(constraint: Any) -> Any:
    """When prices hold: None for ever, a date from it on, or two times of a day (UTC) between which."""
    if constraint is None:
        return None
    if hasattr(constraint, "start_date"):
        return constraint.start_date.isoformat()
    return [_time(constraint.start_time), _time(constraint.end_time)]


def _time(value: Any) -> str:
    assert value.tzinfo is None or not value.utcoffset(), "a time of day that is not in UTC"
    return str(value.replace(tzinfo=None).isoformat())


def _rates(prices: Any) -> dict[str, Any]:
    return {pool: _rate(rate) for pool in POOLS if (rate := getattr(prices, pool, None)) is not None}


def _rate(rate: Any) -> Any:
    if hasattr(rate, "base"):
        return [str(rate.base), *([tier.start, str(tier.price)] for tier in rate.tiers)]
    return str(rate)


def _clause(clause: Any) -> Any:
    """A rule of names: `[kind, text]`, or `or` and `and` of several; None for none."""
    if clause is None:
        return None
    ((kind, value),) = vars(clause).items()
    kind = kind.rstrip("_")
    return [kind, *(_clause(one) for one in value)] if kind in ("or", "and") else [kind, value]


def _changes(old: str, new: str) -> Iterator[str]:
    before, after = set(old.splitlines()), set(new.splitlines())
    yield f"{len(after - before)} lines are new or changed, {len(before - after)} are gone"


def main() -> None:
    """Writes the file, and says how much changed."""
    old, new = FILE.read_text() if FILE.exists() else "", text()
    FILE.write_text(new)
    print(*_changes(old, new), f"{FILE.name}: {len(new) // 1024} KB, {document()['source']}", sep="\n")


if __name__ == "__main__":
    main()
