"""Domain errors as Autumn's answers: `{message, code, env}` (autumn.md 1.1)."""

from __future__ import annotations

from tollgate.dialects.autumn.versions import UnknownVersion
from tollgate.dialects.http import Answer
from tollgate.domain import errors
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError

_TABLE: dict[type[TollgateError], tuple[int, str]] = {
    errors.InvalidInput: (400, "invalid_inputs"),
    errors.InvalidRequest: (400, "invalid_request"),
    errors.InsufficientBalance: (400, "insufficient_balance"),
    errors.UsageLimitExceeded: (400, "usage_limit_exceeded"),
    UnknownVersion: (400, "invalid_api_version"),
    errors.Forbidden: (403, "insufficient_scopes"),
    errors.NotFound: (404, "{kind}_not_found"),
    errors.AlreadyExists: (409, "duplicate_{kind}_id"),
    errors.LockAlreadyExists: (409, "lock_already_exists"),
    errors.Conflict: (409, "invalid_request"),
    errors.DuplicateRequest: (409, "duplicate_idempotency_key"),
    errors.Unavailable: (503, "service_unavailable"),
    errors.OutcomeUnknown: (503, "service_unavailable"),
}

_CODES: dict[tuple[type[TollgateError], str], str] = {
    (errors.NotFound, "balance"): "invalid_request",
    (errors.NotFound, "subscription"): "invalid_request",
    (errors.AlreadyExists, "customer"): "customer_already_exists",
    (errors.AlreadyExists, "entity"): "entity_already_exists",
}


def error_answer(error: TollgateError, env: Environment) -> Answer:
    status, code = _TABLE[type(error)]
    kind = getattr(error, "kind", "")
    code = _CODES.get((type(error), kind)) or code.format(kind=kind)
    headers = {"retry-after": "1"} if status == 503 else {}
    return Answer({"message": str(error), "code": code, "env": env.value}, status, headers)


def internal_error(env: Environment | None) -> Answer:
    """The answer to a defect of ours: it tells nothing of it."""
    return Answer({"message": "Internal error", "code": "internal_error", "env": env and env.value}, 500)
