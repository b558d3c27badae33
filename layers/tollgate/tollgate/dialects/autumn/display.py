"""What a price and a plan's item are called on a page of prices (autumn.md 1.5.7): two short texts each."""

from __future__ import annotations

from decimal import Decimal

from tollgate.domain.features import Feature
from tollgate.domain.periods import Interval
from tollgate.domain.plans import BasePrice, ItemPrice, PlanItem
from tollgate.domain.quantities import ZERO


def price_display(price: BasePrice) -> dict[str, str]:
    """A plan's own price: the amount, and how often it is due."""
    return _texts(_money(price.amount), _often(price.interval, price.interval_count))


def item_display(item: PlanItem, feature: Feature | None) -> dict[str, str]:
    """What an item grants, and what more of it costs; of one that includes nothing, what it costs."""
    if feature is not None and feature.type.is_flag:
        return _texts(_called(item, feature, Decimal(1)))
    if item.unlimited:
        return _texts(f"Unlimited {_called(item, feature, None)}")
    included = f"{_number(item.included)} {_called(item, feature, item.included)}" if item.included > 0 else ""
    if item.price is None:
        return _texts(included or _called(item, feature, None))
    price = f"{_costs(item.price)} per {_lot(item, item.price, feature)}"
    return _texts(included, f"then {price}") if included else _texts(price)


def _texts(primary: str, secondary: str = "") -> dict[str, str]:
    return {"primary_text": primary, "secondary_text": secondary}


def _called(item: PlanItem, feature: Feature | None, units: Decimal | None) -> str:
    """The feature's name for so many units; None for any number."""
    if feature is None:
        return item.feature_id
    return str(feature.display.get("singular" if units == 1 else "plural") or feature.name)


def _lot(item: PlanItem, price: ItemPrice, feature: Feature | None) -> str:
    name = _called(item, feature, price.billing_units)
    return name if price.billing_units == 1 else f"{_number(price.billing_units)} {name}"


def _costs(price: ItemPrice) -> str:
    if not price.tiers:
        return _money(price.amount or ZERO)
    amounts = [_money(Decimal(tier["amount"])) for tier in price.tiers]
    return amounts[0] if len(amounts) == 1 else f"{amounts[0]} - {amounts[-1]}"


def _money(amount: Decimal) -> str:
    return f"-${_number(-amount)}" if amount < 0 else f"${_number(amount)}"


def _number(amount: Decimal) -> str:
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _often(interval: Interval, count: int) -> str:
    if interval is Interval.ONE_OFF:
        return "one-off"
    name = "half year" if interval is Interval.SEMI_ANNUAL else interval.value
    return f"per {name}" if count == 1 else f"per {count} {name}s"
