"""What all dialects share at their edge: which route a request takes, and what becomes of an error.

Rules: management.md 1.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http_events import authorized, http_event
from tollgate.dialects.edge import Dialect, handle
from tollgate.dialects.fields import iso_ms
from tollgate.dialects.http import NO_CONTENT, Answer, Request
from tollgate.dialects.routing import Match, match, run, wide_match
from tollgate.domain.errors import Forbidden, NotFound, TollgateError, Unavailable

TEMPLATES = ("GET /a/{}", "GET /a/usage", "GET /a/{}/{}", "GET /a/b/{}", "POST /a/{}")


class TestRouting:
    @pytest.mark.parametrize("templates", [TEMPLATES, TEMPLATES[::-1]])
    @pytest.mark.parametrize(
        ("path", "template", "arguments"),
        [
            ("GET /a/usage", "GET /a/usage", []),
            ("GET /a/x", "GET /a/{}", ["x"]),
            ("GET /a/b/x", "GET /a/b/{}", ["x"]),
            ("GET /a/x/y", "GET /a/{}/{}", ["x", "y"]),
            ("POST /a/usage", "POST /a/{}", ["usage"]),
        ],
    )
    def test_the_most_specific_template_wins_wherever_it_stands(
        self, templates: tuple[str, ...], path: str, template: str, arguments: list[str]
    ) -> None:
        assert match(templates, path) == Match(template, arguments)

    def test_a_part_is_unquoted_after_the_path_was_divided(self) -> None:
        assert match(TEMPLATES, "GET /a/x%2Fy%25") == Match("GET /a/{}", ["x/y%"])

    @pytest.mark.parametrize(
        ("path", "template", "arguments"),
        [
            ("GET /c/x/y", "GET /c/{}", ["x/y"]),
            ("GET /c/x/y/entities", "GET /c/{}/entities", ["x/y"]),
            ("GET /c/x/y/entities/e/1", "GET /c/{}/entities/{}", ["x/y", "e/1"]),
        ],
    )
    def test_an_id_may_have_a_slash_that_was_decoded_with_the_path(
        self, path: str, template: str, arguments: list[str]
    ) -> None:
        """management.md 1."""
        templates = ("GET /c/{}", "GET /c/{}/entities", "GET /c/{}/entities/{}")
        assert wide_match(templates, path) == wide_match(templates[::-1], path) == Match(template, arguments)

    def test_a_path_is_not_served_where_no_such_id_is_known(self) -> None:
        """management.md 1: what is not served is not taken for an id with a slash."""

        def call(found: Match) -> Answer:
            if found.arguments != ["x/y"]:
                raise NotFound("customer", found.arguments[0])
            return Answer({})

        missing = NotFound("route", "")
        assert run(["GET /c/{}"], "GET /c/x/y", call, missing) == Answer({})
        for path in ("GET /c/x/unknown", "GET /d"):
            with pytest.raises(NotFound, match="Route"):
                run(["GET /c/{}"], path, call, missing)

    def test_what_follows_no_template_has_no_route(self) -> None:
        assert match(TEMPLATES, "DELETE /a/x") is None
        assert match(TEMPLATES, "GET /a") is None


def error_answer(error: TollgateError, _: object) -> Answer:
    return Answer({"error": type(error).__name__}, 503 if isinstance(error, Unavailable) else 400)


PLAIN = Dialect(error_answer, lambda env: Answer({"env": env and env.value}, 500), 10)


class TestEdge:
    def answer(self, route: Any, body: Any = None, dialect: Dialect = PLAIN) -> tuple[int, Any, dict[str, str]]:
        self.told: list[str] = []
        event = authorized(http_event("POST /v1/x", body))
        answer = handle(event, dialect, route, lambda: 1, self.told.append)
        return answer["statusCode"], json.loads(answer.get("body", "null")), answer["headers"]

    def test_an_error_of_the_domain_is_answered_in_the_dialects_words_and_is_no_defect(self) -> None:
        def route(_: Request) -> Answer:
            raise Forbidden("no")

        status, body, headers = self.answer(route)
        assert (status, body, self.told) == (400, {"error": "Forbidden"}, [])
        assert "retry-after" not in headers

    def test_a_503_says_when_to_try_again(self) -> None:
        def route(_: Request) -> Answer:
            raise Unavailable("busy")

        status, _, headers = self.answer(route)
        assert (status, headers["retry-after"]) == (503, "1")

    def test_a_defect_is_told_and_answered_without_a_word_of_it(self) -> None:
        assert self.answer(lambda _: 1 / 0)[:2] == (500, {"env": "sandbox"})
        assert self.told == ["unexpected error"]

    def test_an_answer_without_content_has_no_body(self) -> None:
        assert self.answer(lambda _: NO_CONTENT) == (204, None, {})

    def test_a_body_that_cannot_be_read_is_an_error_unless_the_dialect_has_an_answer_of_its_own(self) -> None:
        def own(path: str) -> Answer | None:
            return Answer({"path": path}, 400) if path == "/v1/x" else None

        never: Any = None
        assert self.answer(never, {"long": "x" * 20})[1] == {"error": "InvalidInput"}
        assert self.answer(never, "{", PLAIN._replace(bad_body=own))[1] == {"path": "/v1/x"}


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01 01:00:00.001999+01:00", 1_767_225_600_001),
        ("2026-01-01", 1_767_225_600_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_a_time_is_exact_to_the_millisecond_and_utc_unless_it_says_otherwise(text: str, ms: int) -> None:
    assert iso_ms(text) == ms


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01"])
def test_a_text_that_is_no_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        iso_ms(text)
