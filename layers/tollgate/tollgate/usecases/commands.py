"""What a caller asks of a customer's balances, and how it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.api_keys import Caller
from tollgate.domain.balances import BalanceKey, Balances
from tollgate.domain.decisions import Check, Deduction, Overage, Reason, UseRequest
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import InvalidInput
from tollgate.domain.features import Feature
from tollgate.domain.quantities import ZERO
from tollgate.domain.use_records import NO_PROPERTIES, UNKNOWN, Origin, UseRecord

if TYPE_CHECKING:
    from tollgate.domain.features import Catalog
    from tollgate.domain.idempotency import IdempotencyKey


IN_FUTURE = "must not be in the future"


class UseCommand(NamedTuple):
    """A check, a use or a hold of one feature by one customer, by their ids.

    - `amount`: units of the feature; below zero gives back. A check asks whether so many may be used.
    - `overage`: what becomes of the part that the balances do not cover; a check does not look at it.
    - `at`: when it happened (ms); None for now.
    - `idempotency_keys`: the keys under which it is counted one time.
    - `event_name`: the event that it is, where it was named by one.
    - `itemized`: the answer is to tell what moved on each grant.
    """

    customer_id: str
    feature_id: str
    amount: Decimal
    overage: Overage = Overage.CAP
    properties: Mapping[str, Any] = NO_PROPERTIES
    entity_id: str = ""
    at: int | None = None
    idempotency_keys: tuple[IdempotencyKey, ...] = ()
    itemized: bool = True
    event_name: str = ""

    def check_time(self, now: int) -> None:
        """Raises InvalidInput where it would have happened after the customer's time `now` (autumn.md 3.12)."""
        if self.at is not None and self.at > now:
            raise InvalidInput("timestamp", IN_FUTURE)

    def request_in(self, catalog: Catalog) -> UseRequest:
        """The command with the feature and its credit pools looked up; raises NotFound for an unknown feature."""
        return self.request_of(catalog.feature(self.feature_id), catalog)

    def request_of(self, feature: Feature, catalog: Catalog) -> UseRequest:
        """The same as a use of this feature, whatever the command names."""
        pools = catalog.pools(feature.id)
        return UseRequest(feature, pools, self.entity_id, self.amount, self.overage, self.properties)


class UseCall(NamedTuple):
    """A command on its way: who calls, whose balances it is about, what is asked, and the wall clock's time (ms)."""

    caller: Caller
    customer: CustomerRef
    command: UseCommand
    request: UseRequest
    now: int

    def record(self, key: BalanceKey, drawn: Decimal, at: int, *, part: bool = False) -> UseRecord:
        """What a balance remembers of the use: `drawn` of its units at the customer's time `at` (ms), where the command
        names no time of its own. `part`: another balance tells of the same use."""
        command, feature_id = self.command, self.request.feature.id
        return UseRecord(
            "",  # the store gives it the id of the write that counts it
            command.amount,
            drawn,
            at if command.at is None else command.at,
            self.caller.key_id,
            command.properties,
            feature_id if feature_id != key.feature_id else None,
            command.entity_id if command.entity_id != key.entity_id else None,
            part,
            origin=Origin(command.event_name) if command.event_name else UNKNOWN,
        )


class Outcome(NamedTuple):
    """The answer to a check, a use or a hold.

    - `answering`: the feature that answered, itself or a credit pool; `required`: what was asked of it.
    - `balances`: those to show, as of the customer's time `now` (ms); `features`: the ids of those that may pay.
    - `drawn` and `deductions`: what a use moved, in units of what was asked, and on each grant.
    - `reason`: why it was not allowed; None where it was.
    """

    allowed: bool
    feature: Feature
    answering: str
    required: Decimal
    balances: Balances
    features: tuple[str, ...]
    entity_id: str = ""
    drawn: Decimal = ZERO
    deductions: tuple[Deduction, ...] = ()
    now: int = 0
    reason: Reason | None = None


def outcome_of(request: UseRequest, answer: Check, balances: Balances, now: int) -> Outcome:
    """The outcome that says what a check says; nothing was drawn."""
    return Outcome(
        answer.allowed,
        request.feature,
        answer.feature_id,
        answer.required,
        balances,
        request.feature_ids,
        request.entity_id,
        now=now,
        reason=None if answer.allowed else answer.reason,
    )
