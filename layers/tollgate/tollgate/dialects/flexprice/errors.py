"""Domain errors as Flexprice's answers: `{code, message, http_status_code, details, success, error}` (flexprice.md
1.4)."""

from __future__ import annotations

from typing import Any

from pydantic_core import ValidationError

from tollgate.dialects.edge import Dialect
from tollgate.dialects.http import Answer
from tollgate.dialects.problems import Problem, rules, words
from tollgate.domain import errors
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError


class NotServed(TollgateError):
    """A route or field of Flexprice's that has nothing behind it here (docs/flexprice.md names each, with why)."""


_TABLE: dict[type[TollgateError], tuple[int, str]] = {
    errors.InvalidInput: (400, "validation_error"),
    errors.InvalidRequest: (400, "invalid_operation"),
    errors.InsufficientBalance: (400, "invalid_operation"),
    errors.AlreadyAttached: (400, "invalid_operation"),
    errors.LimitReached: (400, "invalid_operation"),
    errors.UsageLimitExceeded: (400, "invalid_operation"),
    errors.Conflict: (400, "invalid_operation"),
    errors.BadKey: (401, "unauthenticated"),
    errors.Forbidden: (403, "permission_denied"),
    errors.NotFound: (404, "not_found"),
    errors.AlreadyExists: (409, "already_exists"),
    errors.DuplicateRequest: (409, "already_exists"),
    errors.LockAlreadyExists: (409, "already_exists"),
    errors.TooManyCalls: (429, "too_many_requests"),
    errors.Unavailable: (503, "service_unavailable"),
    errors.OutcomeUnknown: (503, "service_unavailable"),
    NotServed: (501, "not_implemented"),
}


def error_answer(error: TollgateError, _: Environment | None) -> Answer:
    """A domain error as Flexprice answers it: its status, and `{code, message, http_status_code, details}`."""
    status, code = _TABLE[type(error)]
    return Answer(_body(code, str(error), status), status)


def internal_error(_: Environment | None) -> Answer:
    """The answer where the code itself failed. It tells the caller no details."""
    return Answer(_body("internal_error", "An unexpected error occurred", 500), 500)


def _body(code: str, message: str, status: int) -> dict[str, object]:
    """Both shapes that SDKs parse: @flexprice/sdk 2.0 reads `success` and `error`, newer ones the others (flexprice.md
    1.4)."""
    error = {"message": message, "internal_error": code}
    return {
        "code": code,
        "message": message,
        "http_status_code": status,
        "details": {},
        "success": False,
        "error": error,
    }


FLEXPRICE = Dialect(error_answer, internal_error)


def invalid_input(error: ValidationError, sent: Any) -> errors.InvalidInput:
    """All that is wrong with what was sent."""
    problems = rules(error, sent, _rule)
    if len(problems) == 1:
        return errors.InvalidInput(*problems[0])
    return errors.InvalidInput("", "; ".join(f"{field}: {rule}" for field, rule in problems))


def _rule(problem: Problem) -> tuple[str, str]:
    return problem.field, words(problem.detail)
