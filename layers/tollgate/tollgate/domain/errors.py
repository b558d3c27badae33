"""The errors that callers are told about. Each dialect has one table that gives an error its status and body."""

from __future__ import annotations

from enum import StrEnum


class TollgateError(Exception):
    """Base of every error that a caller is told about. Where one is raised nothing was changed, except for
    OutcomeUnknown.
    """


class InvalidInput(TollgateError):
    """A field of the request breaks a rule. `field` is its path (empty: several fields together), `rule` says what must
    hold.
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}" if field else rule)
        self.field = field
        self.rule = rule


class InvalidRequest(TollgateError):
    """Each field is valid, but the request cannot be done in the present state, or its fields contradict each other."""


class NotFound(TollgateError):
    """Nothing of this `kind` (customer, entity, feature, plan, key, route) has this `id` in the environment."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind.capitalize()} {id} not found")
        self.kind = kind
        self.id = id


class AlreadyExists(TollgateError):
    """Something of this `kind` has this `id` already."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind.capitalize()} {id} already exists")
        self.kind = kind
        self.id = id


class LockAlreadyExists(TollgateError):
    """A reservation with this lock id still holds units."""

    def __init__(self) -> None:
        super().__init__("A lock with this ID already exists")


class Conflict(TollgateError):
    """The present state does not allow the change: a paid grant cannot be deleted, another call finalizes the lock."""


class DuplicateRequest(TollgateError):
    """A call with this idempotency key has succeeded, or is running."""

    def __init__(self) -> None:
        super().__init__("Another request with this idempotency key has already been received")


class UsageLimitExceeded(TollgateError):
    """The use asked to be rejected rather than capped, and is more than a usage limit leaves."""


class InsufficientBalance(TollgateError):
    """The use asked to be rejected rather than capped, and is more than may still be deducted."""


class AlreadyAttached(InvalidRequest):
    """The customer has just this plan already."""


class LimitReached(TollgateError):
    """The plan sells no more of what was to be made: an entity takes up a seat."""


class BadKey(TollgateError):
    """The request has no key, no valid header for one, or a key that is unknown or revoked. `reason` says which."""

    def __init__(self, reason: BadKeyReason) -> None:
        super().__init__(_BAD_KEYS[reason])
        self.reason = reason


class BadKeyReason(StrEnum):
    """Why a request has no caller."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"


_BAD_KEYS = {
    BadKeyReason.MISSING: "No API key was sent: send `Authorization: Bearer <key>` or `x-api-key: <key>`",
    BadKeyReason.MALFORMED: "The Authorization header must be `Bearer <key>`",
    BadKeyReason.UNKNOWN: "The API key is unknown, or was revoked",
}


class Forbidden(TollgateError):
    """The key is valid, but its scope does not allow the call."""


class TooManyCalls(TollgateError):
    """The `caller` (key or customer) has made as many calls as are answered now; after `retry_after_s` whole seconds it may
    go on.
    """

    def __init__(self, caller: str, retry_after_s: int) -> None:
        super().__init__(f"Too many calls of this {caller}: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Unavailable(TollgateError):
    """The store could not be read or written. Nothing was changed; the same call may be repeated."""


class OutcomeUnknown(Unavailable):
    """The answer to a write was lost, and reading could not resolve it: the write was applied once, or not at all. Or it
    was applied, and what the answer shows beside it could not be read."""


WAS_COUNTED = "The use was counted, but what the answer shows beside it cannot be read now: do not send it again"
