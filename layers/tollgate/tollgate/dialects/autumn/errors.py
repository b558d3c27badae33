"""Domain errors as Autumn's answers: `{message, code, env}` (autumn.md 1.1), and what is wrong with a request in its
words."""

from __future__ import annotations

from typing import Any

from pydantic_core import ValidationError

from tollgate.dialects.autumn.versions import UnknownVersion
from tollgate.dialects.edge import Dialect
from tollgate.dialects.http import Answer
from tollgate.dialects.problems import Problem, rules, words
from tollgate.domain import errors
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, TollgateError

_TABLE: dict[type[TollgateError], tuple[int, str]] = {
    errors.InvalidInput: (400, "invalid_inputs"),
    errors.InvalidRequest: (400, "invalid_request"),
    errors.InsufficientBalance: (400, "insufficient_balance"),
    errors.UsageLimitExceeded: (400, "insufficient_balance"),
    errors.AlreadyAttached: (409, "plan_already_attached"),
    errors.LimitReached: (400, "feature_limit_reached"),
    UnknownVersion: (400, "invalid_api_version"),
    errors.Forbidden: (403, "insufficient_scopes"),
    errors.NotFound: (404, "{kind}_not_found"),
    errors.AlreadyExists: (409, "duplicate_{kind}_id"),
    errors.LockAlreadyExists: (409, "lock_already_exists"),
    errors.Conflict: (409, "invalid_request"),
    errors.DuplicateRequest: (409, "duplicate_idempotency_key"),
    errors.TooManyCalls: (429, "rate_limit_exceeded"),
    errors.Unavailable: (503, "service_unavailable"),
    errors.OutcomeUnknown: (503, "service_unavailable"),
}

_BAD_KEYS = {
    errors.BadKeyReason.MISSING: "no_secret_key",
    errors.BadKeyReason.MALFORMED: "invalid_request",
    errors.BadKeyReason.UNKNOWN: "invalid_secret_key",
}

_CODES: dict[tuple[type[TollgateError], str], str] = {
    (errors.NotFound, "balance"): "invalid_request",
    (errors.NotFound, "held balance"): "customer_entitlement_not_found",
    (errors.NotFound, "subscription"): "invalid_request",
    (errors.NotFound, "plan"): "product_not_found",
    (errors.NotFound, "event"): "invalid_request",
    (errors.AlreadyExists, "balance"): "invalid_request",
    (errors.AlreadyExists, "plan"): "product_already_exists",
    (errors.AlreadyExists, "entity"): "entity_already_exists",
}

_STATUSES: dict[tuple[type[TollgateError], str], int] = {
    (errors.AlreadyExists, "plan"): 400,
    (errors.AlreadyExists, "balance"): 400,
}


def error_answer(error: TollgateError, env: Environment | None) -> Answer:
    """A domain error as Autumn answers it: its status, and `{message, code, env}`."""
    if isinstance(error, errors.BadKey):
        return Answer({"message": str(error), "code": _BAD_KEYS[error.reason], "env": None}, 401)
    status, code = _TABLE[type(error)]
    kind = getattr(error, "kind", "")
    code = _CODES.get((type(error), kind)) or code.format(kind=kind)
    status = _STATUSES.get((type(error), kind), status)
    return Answer({"message": str(error), "code": code, "env": env and env.value}, status)


def internal_error(env: Environment | None) -> Answer:
    """The answer where the code itself failed. It tells the caller no details."""
    return Answer({"message": "Internal error", "code": "internal_error", "env": env and env.value}, 500)


AUTUMN = Dialect(error_answer, internal_error)


def invalid_input(error: ValidationError, sent: Any) -> InvalidInput:
    """All that is wrong with what was sent, in Autumn's words (autumn.md 1.1)."""
    problems = rules(error, sent, _rule)
    if len(problems) == 1:
        return InvalidInput(*problems[0])
    listed = "; ".join(f"{field}: {rule}" for field, rule in problems)
    return InvalidInput("", f"[Validation Errors] {listed}")


def _rule(problem: Problem) -> tuple[str, str]:
    kind = problem.detail["type"]
    return problem.field or ("body" if kind in ("model_type", "dict_type") else ""), words(problem.detail)
