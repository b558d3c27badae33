"""What can go wrong, in the domain's words. Each dialect turns these into its own body and status in one table."""

from __future__ import annotations


class TollgateError(Exception):
    """Base of every error that a caller is told about. Nothing was changed when one is raised, but for OutcomeUnknown."""


class InvalidInput(TollgateError):
    """A field of the request breaks its rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}" if field else rule)
        self.field = field
        self.rule = rule


class InvalidRequest(TollgateError):
    """The fields are well formed, but what they ask for makes no sense here."""


class NotFound(TollgateError):
    """`kind` (customer, entity, feature, plan, key, route) `id` does not exist in this environment."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind.capitalize()} {id} not found")
        self.kind = kind
        self.id = id


class AlreadyExists(TollgateError):
    """`kind` `id` exists already."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind.capitalize()} {id} already exists")
        self.kind = kind
        self.id = id


class LockAlreadyExists(TollgateError):
    """A reservation with this lock id lives."""

    def __init__(self) -> None:
        super().__init__("A lock with this ID already exists")


class Conflict(TollgateError):
    """What is there does not allow it: a paid grant cannot be deleted, a lock is being finalized."""


class DuplicateRequest(TollgateError):
    """The idempotency key was used by a call that succeeded, or is running."""

    def __init__(self) -> None:
        super().__init__("Another request with this idempotency key has already been received")


class UsageLimitExceeded(TollgateError):
    """A use with rejecting semantics is more than a usage limit leaves."""


class InsufficientBalance(TollgateError):
    """A use with rejecting semantics is more than what may still be deducted."""


class Forbidden(TollgateError):
    """The key is valid, but its scope does not allow the call."""


class Unavailable(TollgateError):
    """The store cannot be read or written now; nothing was changed. The same call may be repeated."""


class OutcomeUnknown(Unavailable):
    """A write's answer was lost and nobody can tell whether it took effect: it was applied once, or not at all."""
