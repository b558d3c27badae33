"""Errors as Lotus's answers: `{type, detail, title}`, and what is wrong with which field (lotus.md 1.9)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tollgate.dialects.edge import Dialect
from tollgate.dialects.http import Answer
from tollgate.dialects.problems import problems, words
from tollgate.domain import errors
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError
from tollgate.exact_json import dumps

_DOCS = "https://docs.uselotus.io/errors/error-responses"
VALIDATION, CLIENT, SERVER = (f"{_DOCS}#{kind}-error" for kind in ("validation", "client", "server"))

_NUMBER, _WHOLE, _BOOLEAN = "A valid number is required.", "A valid integer is required.", "Must be a valid boolean."
_DJANGO = {  # what Django REST framework says, by pydantic's kind or ours; `received`: the type in Python's words
    "string_type": "Not a valid string.",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "is_instance_of": _NUMBER,
    "number": _NUMBER,
    "list_type": 'Expected a list of items but got type "{received}".',
    "dict_type": 'Expected a dictionary of items but got type "{received}".',
    "model_type": "Invalid data. Expected a dictionary, but got {received}.",
    "string_too_long": "Ensure this field has no more than {max_length} characters.",
    "too_long": "Ensure this field has no more than {max_length} elements.",
    "too_short": "Ensure this field has at least {min_length} elements.",
    "greater_than_equal": "Ensure this value is greater than or equal to {ge}.",
    "less_than_equal": "Ensure this value is less than or equal to {le}.",
}

REQUIRED = "This field is required."
BLANK = "This field may not be blank."


class Problem(NamedTuple):
    """What is wrong with one field (`attr`; empty for the whole request)."""

    code: str
    detail: str
    attr: str | None = None


class Invalid(TollgateError):
    """The request is not what Lotus documents."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems[0].detail)
        self.problems = problems


class NotAllowed(TollgateError):
    """The path is served, but not for this method."""


class NotServed(TollgateError):
    """One of Lotus's own routes that is not served here."""


class DuplicateResource(TollgateError):
    """The caller's id is taken."""


class OverlappingPlans(TollgateError):
    """The customer holds the plan already, under filters of which one set includes the other."""


_TABLE: dict[type[TollgateError], tuple[int, str, str]] = {
    errors.InvalidRequest: (400, CLIENT, "invalid"),
    errors.AlreadyAttached: (400, CLIENT, "invalid"),
    errors.LimitReached: (400, CLIENT, "invalid"),
    errors.AlreadyExists: (400, CLIENT, "duplicate_resource"),
    errors.Conflict: (400, CLIENT, "conflict"),
    errors.BadKey: (401, CLIENT, "authentication_failed"),
    errors.Forbidden: (403, CLIENT, "permission_denied"),
    errors.NotFound: (404, CLIENT, "not_found"),
    errors.DuplicateRequest: (409, CLIENT, "duplicate_request"),
    errors.TooManyCalls: (429, CLIENT, "throttled"),
    errors.Unavailable: (503, SERVER, "service_unavailable"),
    errors.OutcomeUnknown: (503, SERVER, "service_unavailable"),
    DuplicateResource: (400, CLIENT, "duplicate_resource"),
    OverlappingPlans: (400, CLIENT, "overlapping_plans"),
    NotAllowed: (405, CLIENT, "method_not_allowed"),
    NotServed: (501, SERVER, "not_implemented"),
}


def error_answer(error: TollgateError, _: Environment | None) -> Answer:
    """A domain error as Lotus answers it: its status, and `{type, detail, title}`."""
    if isinstance(error, Invalid):
        return _validation(error.problems)
    if isinstance(error, errors.InvalidInput):
        if error.field == "body":
            return Answer({"type": CLIENT, "detail": f"JSON parse error - {error.rule}", "title": "parse_error"}, 400)
        return _validation([Problem("invalid", error.rule, error.field or None)])
    status, kind, title = _TABLE[type(error)]
    if isinstance(error, errors.BadKey) and error.reason is errors.BadKeyReason.MISSING:
        title = "not_authenticated"
    detail = "Not found." if status == 404 else str(error)
    return Answer({"type": kind, "detail": detail, "title": title}, status)


def internal_error(_: Environment | None) -> Answer:
    """The answer where the code itself failed. It tells the caller no details."""
    return Answer({"type": SERVER, "detail": "A server error occurred.", "title": "error"}, 500)


def _bad_body(path: str) -> Answer | None:
    """The answer of `track` to a body that is no JSON, in the shape of a batch's answer; None for other paths."""
    if path.rstrip("/") != "/api/track":
        return None
    return Answer({"success": "none", "failed_events": {"no_idempotency_id": "Invalid JSON"}}, 400)


LOTUS = Dialect(error_answer, internal_error, 512 * 1024, _bad_body)  # the SDK's batches hold up to 475,000 bytes


def does_not_exist(field: str, value: str) -> Invalid:
    """The refusal of an id that names nothing."""
    return Invalid(Problem("does_not_exist", f"Object with {field}={value} does not exist.", field))


def invalid(error: ValidationError, sent: Any) -> Invalid:
    """All that pydantic found wrong with what was sent, in the words of Django REST framework."""
    return Invalid(*(_problem(found.field or None, found.detail) for found in problems(error, sent)))


def plain(problems: Sequence[Problem]) -> Answer:
    """The body of Django REST framework itself, as Lotus answered in 2022: `{field: [details]}`."""
    body: dict[str, Any] = {}
    for problem in problems:
        body.setdefault(problem.attr or "non_field_errors", []).append(problem.detail)
    return Answer(body, 400)


def _validation(problems: Sequence[Problem]) -> Answer:
    body = {
        "type": VALIDATION,
        "detail": problems[0].detail,
        "title": problems[0].code,
        "validation_errors": [problem._asdict() for problem in problems],
    }
    return Answer(body, 400)


def _problem(attr: str | None, error: ErrorDetails) -> Problem:
    kind = error["type"]
    if kind == "missing":
        return Problem("required", REQUIRED, attr)
    if kind == "string_too_short":
        return Problem("blank", BLANK, attr)
    if kind == "literal_error":
        sent = error["input"] if isinstance(error["input"], str) else dumps(error["input"])
        return Problem("invalid_choice", f'"{sent}" is not a valid choice.', attr)
    if kind in _DJANGO:
        said = _DJANGO[kind].format(**error.get("ctx", {}), received=_python_type(error["input"]))
        return Problem("invalid", said, attr)
    return Problem("invalid", words(error), attr)


def _python_type(value: Any) -> str:
    """The type that Python's own reader of JSON would give a value."""
    return "float" if isinstance(value, Decimal) else type(value).__name__
