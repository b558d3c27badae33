"""The body of a check, as a model.

The check function reads it with pydantic's core alone, to start quickly (docs/decisions/0002-a-lean-start.md); a test
holds that both take the same bodies, and refuse the same in the same words.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tollgate.dialects.autumn.fields import CustomerData, EntityData, Id, Number, Params, Properties, Text, Time

LockId = Annotated[str, Field(min_length=1, max_length=256)]


class LockParams(Params):
    """Units to hold before their cost is known, in place of counting them."""

    lock_id: LockId
    enabled: Literal[True] = True
    expires_at: Time | None = None
    overage_behavior: Literal["reject", "cap", "overflow"] | None = None


class CheckBody(Params):
    """A check. Of `feature_id` and `product_id` one is given, and from 2.1 on the first."""

    customer_id: Id
    feature_id: Id | None = None
    product_id: Id | None = None
    entity_id: Id | None = None
    required_balance: Number = Field(default=None, validate_default=False)  # type: ignore[assignment]
    required_quantity: Number | None = None
    properties: Properties | None = None
    send_event: bool | None = None
    skip_event: bool | None = None
    skip_cache: bool | None = None
    with_preview: bool | None = None
    expand: Annotated[list[Text], Field(max_length=20)] | None = None
    customer_data: CustomerData | None = None
    entity_data: EntityData | None = None
    lock: LockParams | None = None
