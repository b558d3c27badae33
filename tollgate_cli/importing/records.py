"""What a service says of a customer, in words that no vendor owns.

A reader makes records of a vendor's answers; what both sides say is compared as records. Amounts are exact, times epoch
milliseconds, `None` where a service does not say.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from tollgate.domain.periods import Interval, Reset
from tollgate.domain.quantities import quantity

Amount = Annotated[Decimal, AfterValidator(lambda value: quantity(value, "amount"))]


class Record(BaseModel):
    """A part of a customer. Two that are equal say the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Note(Record):
    """What cannot be carried over, or not exactly, and why. Without a feature it is of the customer."""

    what: str
    reason: str
    feature_id: str = ""
    entity_id: str = ""


class EntityRecord(Record):
    """Something of a customer's that a feature counts."""

    id: str
    feature_id: str
    name: str | None = None
    created_at: int | None = None
    controls: dict[str, Any] = {}


class SubscriptionRecord(Record):
    """One customer's, or entity's, hold of a plan."""

    id: str
    plan_id: str
    version: int | None = None
    entity_id: str = ""
    started_at: int
    created_at: int | None = None
    canceled_at: int | None = None
    expires_at: int | None = None
    trial_ends_at: int | None = None
    period: tuple[int, int] | None = None
    quantities: dict[str, Amount] = {}
    filters: tuple[tuple[str, str], ...] = ()
    cycle: tuple[str, int] | None = None
    anchor: int | None = None
    parent_id: str | None = None
    stacks: bool = False
    extra: dict[str, Any] = {}


class RolloverRecord(Record):
    """Unused units of an earlier period."""

    granted: Amount
    left: Amount
    expires_at: int | None = None


class GrantRecord(Record):
    """Units of a feature from one origin, or a flag that is held."""

    feature_id: str
    entity_id: str = ""
    id: str = ""
    plan_id: str | None = None
    subscription_id: str | None = None
    share: bool = False
    flag: bool = False
    value: str | None = None
    included: Amount = Decimal(0)
    prepaid: Amount = Decimal(0)
    used: Amount = Decimal(0)
    unlimited: bool = False
    reset: tuple[str, int] | None = None
    next_reset_at: int | None = None
    expires_at: int | None = None
    created_at: int | None = None
    method: str | None = None
    max_purchase: Amount | None = None
    price: dict[str, Any] = {}
    rollovers: tuple[RolloverRecord, ...] = ()

    @property
    def period(self) -> Reset | None:
        """How often it resets; None: never."""
        if self.reset is None or self.reset[0] == Interval.ONE_OFF:
            return None
        return Reset(Interval(self.reset[0]), self.reset[1])


class LimitRecord(Record):
    """How much of a usage limit was used in the window that runs."""

    feature_id: str
    entity_id: str = ""
    interval: str
    filter: tuple[tuple[str, str], ...] = ()
    used: Amount


class CustomerRecord(Record):
    """A customer and all that it has, as read at `read_at`."""

    id: str
    name: str | None = None
    email: str | None = None
    fingerprint: str | None = None
    metadata: dict[str, Any] = {}
    created_at: int | None = None
    send_email_receipts: bool = False
    unpooled: bool = False
    controls: dict[str, Any] = {}
    entities: tuple[EntityRecord, ...] = ()
    subscriptions: tuple[SubscriptionRecord, ...] = ()
    grants: tuple[GrantRecord, ...] = ()
    limits: tuple[LimitRecord, ...] = ()
    rolling: tuple[str, ...] = ()
    """The features of which unused units roll over, or have."""
    notes: tuple[Note, ...] = ()
    read_at: int = 0
