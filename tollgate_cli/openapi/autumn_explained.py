"""The answer of `balances.explain`, Tollgate's own."""

from __future__ import annotations

from typing import Literal

from tollgate.domain.decisions import Reason
from tollgate.domain.explanations import State
from tollgate_cli.openapi.autumn_shapes import Interval
from tollgate_cli.openapi.shapes import Millis, Number, Shape, absent


class AnsweredBy(Shape):
    """The feature that answers, and what is asked of it."""

    feature_id: str
    """The feature that was asked for, or a credit system."""
    required_balance: Number
    """Units of it that are needed."""


class Step(Shape):
    """One thing that was asked, and what became of it."""

    feature_id: str
    """The feature that was asked."""
    rule: str
    """What it was asked: `granted`, `flag`, `unlimited`, `gives_back`, `usage_limit`, `balance`, `overage`, `credits` or `answer`."""
    outcome: Literal["goes_on", "allows", "denies"]
    """Whether that decides."""
    message: str
    """The same in words."""


class ExplainedGrant(Shape):
    """One grant, and what it could do for the use. Amounts are units of its feature."""

    id: str
    """Its id."""
    entity_id: str | None
    """The entity that holds it; null: the customer itself."""
    plan_id: str | None
    """The plan that it comes from."""
    state: State
    """What stands between the use and its units."""
    granted: Number
    """Units in all."""
    usage: Number
    """Units that were used."""
    remaining: Number
    """Units that are left."""
    rolled_over: Number
    """Units of earlier periods among them."""
    gives: Number | None
    """What it could give without overage; null: no limit."""
    overage_left: Number | None
    """What it could give beyond that, by its own bounds alone; null: no limit."""
    takes: Number
    """What the use would draw from it; 0 where it is not allowed."""
    properties: dict[str, str]
    """What a use must have for it to pay."""
    starts_at: Millis | None
    """When it begins."""
    next_reset_at: Millis | None
    """When its units come back."""
    expires_at: Millis | None
    """When it ends."""


class WindowLimit(Shape):
    """A usage limit as it stands."""

    limit: Number
    """At most so many units."""
    interval: Interval
    """In such a span of time."""
    usage: Number
    """Units that it has counted."""
    left: Number
    """What it leaves."""
    ends_at: Millis
    """When its window ends, in epoch ms."""
    properties: dict[str, str]
    """The uses that it counts; empty: all."""


class ExplainedLimit(WindowLimit):
    """A usage limit, and what it says to the use."""

    entity_id: str | None
    """The entity whose limit it is; null: the customer's."""
    matches: bool
    """Whether it counts uses with these properties."""
    too_little: bool
    """Whether it leaves too little."""


class ExplainedSpend(Shape):
    """The spend limit."""

    limit: Number | None
    """At most so many units of overage."""
    percentage: Number | None
    """At most so much of what is granted."""
    left: Number | None
    """What it leaves; null: a percentage of nothing is no limit."""


class ExplainedFeature(Shape):
    """What one feature says to the use: the one that was asked for, or a credit system."""

    feature_id: str
    """The feature."""
    credit_cost: Number
    """Its units for one of what was asked for."""
    required_balance: Number
    """So many are asked of it."""
    allowed: bool
    """Whether it covers the use."""
    reason: Reason
    """Why."""
    remaining: Number | None
    """What its grants hold together; null: no limit."""
    overage_left: Number | None
    """What they may be overdrawn by; null: no limit."""
    overage_allowed: bool | None
    """Whether overage is switched on or off; null: neither."""
    grants: list[ExplainedGrant]
    """In the order in which they are drawn, then those that cannot be."""
    usage_limits: list[ExplainedLimit]
    """Its usage limits."""
    spend_limit: ExplainedSpend | None
    """Its spend limit."""


class Change(Shape):
    """A grant, or a higher usage limit."""

    type: Literal["grant", "usage_limit"]
    """What it changes."""
    feature_id: str
    """The feature."""
    entity_id: str | None
    """For the entity; null: for the customer."""
    amount: Number | None = absent
    """Units to grant; null for a flag; absent for a limit."""
    limits: list[WindowLimit] = absent
    """The limits as they would have to be; absent for a grant."""
    message: str
    """The same in words."""


class WouldAllow(Shape):
    """What would make it allowed."""

    changes: list[Change]
    """Changes that do it together; empty where none were found."""
    required_balance: Number | None
    """The most that is allowed now; null where nothing is."""
    at: Millis | None
    """When it is allowed by itself, in epoch ms; null where time does not help."""


class Explanation(Shape):
    """What a check is answered, and why."""

    allowed: bool
    """Whether it is allowed."""
    reason: Reason
    """Why, of the feature that answers."""
    message: str
    """The same in words."""
    customer_id: str
    """The customer."""
    feature_id: str
    """The feature that was asked for."""
    entity_id: str | None
    """The entity whose use it is."""
    required_balance: Number
    """Units of it that are needed."""
    answered_by: AnsweredBy
    """Which feature answers."""
    at: Millis
    """The time for which this holds, in epoch ms: the customer's."""
    steps: list[Step]
    """What was asked, one thing after another."""
    features: list[ExplainedFeature]
    """In the order in which they were asked."""
    would_allow: WouldAllow | None
    """What would make it allowed; null where it is."""
